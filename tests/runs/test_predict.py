"""The command that predicts, as a user types it, and what it is made of."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import commands as cli
from tests import learnable_corpus
from tests.data.small_corpus import write_record
from tests.learnable_corpus import CONFIG
from tests.model.numpy_network import random_variables
from xecgnet_jax.cli.predict import Predict, Table
from xecgnet_jax.data.io.discover import RecordingFile, find_recording_files
from xecgnet_jax.data.io.recording import hash_name
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.quality.plausibility import find_warnings
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.evaluation.platt import Calibration
from xecgnet_jax.evaluation.thresholds import NAMES, Thresholds, half
from xecgnet_jax.runs import predict as prediction
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.predict import FilePrediction, Refusal, picture_name, predict_files
from xecgnet_jax.runs.prediction_table import csv_text, jsonl_text, screen_text
from xecgnet_jax.training.checkpoint import Checkpoints
from xecgnet_jax.training.description import Description
from xecgnet_jax.training.progress import Progress
from xecgnet_jax.training.state import TrainState, build_model

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return learnable_corpus.write(tmp_path_factory.mktemp("predict") / "corpus", recordings=18)


@pytest.fixture(scope="module")
def workdir(corpus) -> Path:
    """A run that was never trained: what it predicts does not matter here."""
    folder = corpus.parent / "run"
    variables = random_variables(build_model(CONFIG.model, len(CPSC2018.classes)), seed=1)
    rng = np.random.default_rng(2)
    description = Description(
        config=CONFIG,
        vocabulary=CPSC2018,
        normalization=Normalization(*rng.uniform(0.5, 1, (2, 12)).astype(np.float32)),
        data={},
        versions={},
        progress=Progress(),
        thresholds={name: Thresholds(name, rng.uniform(0.3, 0.7, len(CPSC2018.classes))) for name in NAMES[1:]},
        calibration=Calibration(np.linspace(0.5, 2, 9), np.linspace(-1, 1, 9), np.arange(9) > 6),
    )
    checkpoints = Checkpoints(folder)
    state = TrainState(jnp.int32(7), jax.tree.map(jnp.asarray, variables), {"count": jnp.int32(7)}, None)
    checkpoints.save(state, description.to_json(), 0.5)
    checkpoints.close()
    return folder


@pytest.fixture
def recordings(corpus, tmp_path) -> Path:
    """Three records of the corpus, of their own."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("R000", "R003", "R005"):
        for suffix in (".hea", ".dat"):
            shutil.copy(corpus / (name + suffix), folder)
    return folder


@pytest.fixture
def predict(workdir, capsys):
    """The command in this process → (status, stdout, stderr)."""

    def run(*words: object, of: object = workdir) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.predict([str(of), *map(str, words), "--cache", str(workdir.parent / "cache"), "--no-progress"])
        except SystemExit as error:
            status = error.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table_of(path: Path, signal: np.ndarray, factor: float = 1.0, name_line: str = ",".join(LEADS)) -> Path:
    np.savetxt(path, factor * signal, delimiter=",", header=name_line, comments="", fmt="%.6f")
    return path


def test_predictions_are_those_of_the_pack(corpus, workdir, predict, tmp_path):
    status, printed, said = predict(corpus, "--output", tmp_path / "all.csv")
    assert status == 0
    assert f"ignored: {corpus}/labels.csv: its first line names no leads" in said
    run = load_run(workdir)
    pack = pack_of(corpus, corpus.parent / "pack", workers=1, progress=False)
    expected = run.predict_rows(pack, np.arange(len(pack))).probabilities
    rows = rows_of(tmp_path / "all.csv")
    assert [row["id"] for row in rows] == list(pack.ids)
    found = np.array([[float(row[f"probability {name}"]) for name in run.classes] for row in rows])
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert f"18 recordings, checkpoint {run.step} of {workdir}\nthreshold 0.5\n" in printed
    for row, values in zip(rows, expected, strict=True):
        assert row["predicted"] == ";".join(np.array(run.classes)[values >= 0.5])
        assert (row["step"], row["rate"], row["error"]) == (str(run.step), "500", "")
        assert Path(row["path"]) == corpus / f"{row['id']}.hea"
    lengths = {name: length / 500 for name, length in zip(pack.ids, pack.lengths, strict=True)}
    assert {row["id"]: float(row["seconds"]) for row in rows} == pytest.approx(lengths)


def test_missing_leads_are_zero_where_that_is_asked_for(recordings, workdir, predict, tmp_path):
    signal = read_record(recordings / "R000.hea").signal
    names = ("I", "II", "V5")
    columns = signal[:, [LEADS.index(lead) for lead in names]]
    path = table_of(tmp_path / "holter.csv", columns, name_line=",".join(names))
    words = (path, "--rate", "500", "--units", "mV", "--output", tmp_path / "o.csv")
    status, _, said = predict(*words)
    assert status == 2 and "has no column III, aVR" in said and "--missing-leads zero" in said
    status, printed, said = predict(*words, "--missing-leads", "zero", "--plot", tmp_path / "plots")
    assert status == 0 and "missing-leads" in printed
    absent = "V1, V2, V3, V4, V6"
    assert f"WARNING: {path}: without {absent}, taken as 0 mV" in said
    row = rows_of(tmp_path / "o.csv")[0]
    assert f"missing-leads: without {absent}" in row["warnings"]
    one, two = np.round(columns[:, :2].T, 6)
    known = signal * np.isin(LEADS, [*names, "III", "aVR", "aVL", "aVF"])
    known[:, :6] = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    run = load_run(workdir)
    expected = run.predict(known.astype(np.float32)).probabilities
    found = [float(row[f"probability {name}"]) for name in run.classes]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert f"without {absent}" in "".join(ElementTree.parse(tmp_path / "plots/holter.svg").getroot().itertext())


def test_both_formats_say_the_same(recordings, predict, tmp_path):
    write_record(recordings, "broken", np.zeros((5, 12), np.int16))
    (recordings / "broken.dat").write_bytes(b"1")
    for suffix in ("csv", "jsonl"):
        assert predict(recordings, "--output", tmp_path / f"new/o.{suffix}", "--thresholds", "best-subset")[0] == 2
    rows = rows_of(tmp_path / "new/o.csv")
    values = [json.loads(line) for line in (tmp_path / "new/o.jsonl").read_text().splitlines()]
    assert len(rows) == len(values) == 4
    for row, value in zip(rows, values, strict=True):
        assert (row["path"], row["id"]) == (value["path"], value["id"])
        assert row["thresholds"] == value["thresholds"]["name"] == "best-subset"
        assert row["picture"] == "" and value["picture"] is None
        assert row["error"] == (value["error"] or "") and int(row["step"]) == value["step"]
        if value["error"]:
            assert value["probabilities"] is value["predicted"] is value["seconds"] is None
            assert row["predicted"] == row["probability AF"] == ""
            continue
        assert {f"probability {name}": f"{p:.9g}" for name, p in value["probabilities"].items()}.items() <= row.items()
        assert row["predicted"] == ";".join(value["predicted"])
        assert row["warnings"] == "; ".join(f"{one['kind']}: {one['text']}" for one in value["warnings"])


def test_thresholds_are_those_of_the_checkpoint(recordings, workdir, predict, tmp_path):
    run = load_run(workdir)
    for name in ("best-f1", "best-subset"):
        needed = run.thresholds(name).values
        status, printed, _ = predict(recordings, "--output", tmp_path / "o.csv", "--thresholds", name)
        assert status == 0
        listed = ", ".join(f"{one} {value:.3f}" for one, value in zip(run.classes, needed, strict=True))
        assert f"thresholds {name}: {listed}" in " ".join(printed.split())
        for row in rows_of(tmp_path / "o.csv"):
            values = np.array([row[f"probability {one}"] for one in run.classes], np.float32)
            is_in = np.isin(run.classes, row["predicted"].split(";"))
            np.testing.assert_array_equal(is_in, values >= needed)
    assert predict(recordings, "--output", tmp_path / "o.jsonl", "--thresholds", "best-subset")[0] == 0
    for line in (tmp_path / "o.jsonl").read_text().splitlines():
        found = json.loads(line)["thresholds"]
        values = run.thresholds("best-subset").values
        assert found["values"] == dict(zip(run.classes, values, strict=True))
        assert found["calibrated"] == dict(zip(run.classes, run.calibrate(values), strict=True))


def outcome(run: Run, probabilities: list[float], thresholds: Thresholds, **values) -> FilePrediction:
    found = np.array(probabilities, np.float32)
    labels = tuple(np.array(run.classes)[found >= thresholds.values])
    about = {"warnings": (), "notes": (), "calibrated": run.calibrate(found)} | values
    return FilePrediction(Path("a.hea"), "a", 10.0, 500.0, found, labels=labels, **about)


def test_written_probabilities_agree_with_the_label_set_next_to_a_threshold(workdir):
    run = load_run(workdir)
    thresholds = half(len(run.classes))
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    one = outcome(run, [below, 0.5, *[0.1] * 7], thresholds)
    (row,) = csv.DictReader(csv_text(run, thresholds, [one]).splitlines())
    value = json.loads(jsonl_text(run, thresholds, [one]))
    assert row["predicted"] == run.classes[1] and value["predicted"] == [run.classes[1]]
    for found in (
        [float(row[f"probability {name}"]) for name in run.classes],
        list(value["probabilities"].values()),
    ):
        np.testing.assert_array_equal(np.array(found) >= 0.5, np.arange(9) == 1)
    for found in ([float(row[f"calibrated {name}"]) for name in run.classes], list(value["calibrated"].values())):
        np.testing.assert_allclose(found, run.calibrate(one.probabilities), rtol=1e-5)


def test_the_nearest_class_goes_by_its_threshold(workdir):
    run = load_run(workdir)
    thresholds = Thresholds("best-f1", np.array([0.9, 0.2, *[0.95] * 7]))
    printed = screen_text(run, thresholds, [outcome(run, [0.6, 0.18, *[0.05] * 7], thresholds)])
    assert f"none (nearest {run.classes[1]} 0.18 of 0.20)" in printed


def test_warnings_in_a_cell_can_be_told_apart(workdir):
    run = load_run(workdir)
    thresholds = half(len(run.classes))
    signal = simulate_recording(3, 0, frozenset({"Normal"}), duration_s=8).signal.astype(np.float32)
    signal[:, 6] = 0
    for units in (None, "mV"):
        said = find_warnings(1000 * signal, units=units)
        assert len(said) > 1
        (row,) = csv.DictReader(
            csv_text(run, thresholds, [outcome(run, [0.1] * 9, thresholds, warnings=said)]).splitlines()
        )
        assert row["warnings"].split("; ") == [f"{one.kind}: {one.text}" for one in said]


def test_a_cell_that_is_no_voltage_costs_no_other_recording(recordings, predict, tmp_path):
    path = table_of(recordings / "table.csv", read_record(recordings / "R000.hea").signal / 1000)
    lines = path.read_text().splitlines()
    lines[4] = ",".join(["1e36", *lines[4].split(",")[1:]])
    path.write_text("\n".join(lines))
    options = ("--rate", 500, "--units", "V", "--output", tmp_path / "o.csv", "--plot", tmp_path / "pictures")
    status, _, said = predict(recordings, *options)
    assert status == 2
    assert f"refused: {path}: line 5, column I: '1e36' V is no voltage" in said
    assert sum(bool(row["predicted"] or row["probability AF"]) for row in rows_of(tmp_path / "o.csv")) == 3


@pytest.mark.filterwarnings("error")
def test_the_largest_voltage_is_predicted_and_drawn(tmp_path, predict):
    signal = np.random.default_rng(0).choice([-1e9, 1e9], (1500, 12))
    path = table_of(tmp_path / "table.csv", signal)
    options = ("--rate", 500, "--units", "mV", "--output", tmp_path / "o.csv", "--plot", tmp_path / "pictures")
    status, _, said = predict(path, *options)
    assert status == 0 and "units look wrong" in said
    (row,) = rows_of(tmp_path / "o.csv")
    assert row["picture"] == "table.svg" and (tmp_path / "pictures" / "table.svg").is_file()


def test_a_picture_that_cannot_be_drawn_takes_no_prediction_with_it(recordings, workdir, tmp_path):
    """Nothing can be drawn with thresholds that are no numbers."""
    run = load_run(workdir)
    sources = [RecordingFile(path) for path in sorted(recordings.glob("*.hea"))]
    broken = Thresholds("best-f1", np.full(len(run.classes), np.nan))
    found = predict_files(run, sources, thresholds=broken, plots=tmp_path / "pictures")
    assert len(found) == 3
    for one in found:
        assert isinstance(one, FilePrediction) and np.isfinite(one.probabilities).all() and one.picture is None
        assert "no picture can be drawn of it: thresholds must be" in one.notes[-1]


def test_an_answer_that_is_no_number_is_a_refusal(recordings, workdir, tmp_path):
    run = load_run(workdir)
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), run.variables)
    lost = dataclasses.replace(run, variables=params)
    sources = [RecordingFile(path) for path in sorted(recordings.glob("*.hea"))]
    found = predict_files(lost, sources, thresholds=half(len(run.classes)), plots=tmp_path / "pictures")
    for one, source in zip(found, sources, strict=True):
        assert isinstance(one, Refusal) and one.reason.startswith(f"{source.path}: the network has no probabilities")


def test_a_table_is_predicted_like_the_record(recordings, predict, tmp_path):
    signal = read_record(recordings / "R000.hea").signal
    table_of(recordings / "table.csv", signal, 1000)
    status, _, _ = predict(recordings, "--rate", 500, "--units", "uV", "--output", tmp_path / "o.csv")
    assert status == 0
    rows = {row.pop("id"): row for row in rows_of(tmp_path / "o.csv")}
    for row in rows.values():
        del row["path"]
    assert rows["table"] == rows["R000"] != rows["R003"]


def test_one_broken_file_stops_no_other(recordings, predict, tmp_path):
    (recordings / "R003.dat").write_bytes(b"123")
    status, printed, said = predict(recordings, "--output", tmp_path / "o.csv", "--plot", tmp_path / "pictures")
    assert status == 2
    assert f"refused: {recordings}/R003.hea: " in said and "does not hold whole samples of 12 signals" in said
    assert said.splitlines()[-1].startswith("error: 1 of 3 recordings cannot be read and have no prediction")
    assert "R000" in printed and "R005" in printed and "R003" not in printed
    rows = rows_of(tmp_path / "o.csv")
    assert [row["id"] for row in rows if row["error"]] == ["R003"]
    assert [row["id"] for row in rows if row["predicted"] or row["probability AF"]] == ["R000", "R005"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["R000.svg", "R005.svg"]
    assert [row["picture"] for row in rows] == ["R000.svg", "", "R005.svg"]


def test_nothing_is_written_where_nothing_can_be_read(recordings, predict, tmp_path):
    for path in recordings.glob("*.dat"):
        path.write_bytes(b"")
    words = ("--output", tmp_path / "o.csv", "--plot", tmp_path / "pictures")
    status, printed, said = predict(recordings, *words)
    assert (status, printed) == (2, "")
    assert said.count("refused: ") == 3
    assert "error: none of the 3 recordings can be read" in said
    assert predict(recordings / "R000.hea", *words)[2].startswith(f"error: {recordings}/R000.hea: ")
    assert {path.name for path in tmp_path.iterdir()} == {"recordings"}


def test_recordings_of_one_name_stay_apart(recordings, predict, tmp_path):
    shutil.copytree(recordings, tmp_path / "others")
    words = (recordings, tmp_path / "others", "--output", tmp_path / "o.csv", "--plot", tmp_path / "pictures")
    status, printed, _ = predict(*words)
    assert status == 0
    rows = rows_of(tmp_path / "o.csv")
    assert len({row["path"] for row in rows}) == 6 and len({row["id"] for row in rows}) == 3
    assert all(row["path"] in printed for row in rows)
    pictures = {row["picture"] for row in rows}
    for row in rows:
        drawn = ElementTree.fromstring((tmp_path / "pictures" / row["picture"]).read_text(encoding="utf-8"))
        assert "".join(row["path"].split()) in "".join("".join(drawn.itertext()).split())
    assert pictures == {path.name for path in (tmp_path / "pictures").iterdir()}
    assert pictures == {f"{name}{number}.svg" for name in ("R000", "R003", "R005") for number in ("", "-2")}


def test_pictures_are_drawings_that_name_their_recording(recordings, predict, tmp_path):
    assert predict(recordings, "--plot", tmp_path / "pictures")[0] == 0
    for path in (tmp_path / "pictures").iterdir():
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg")
        assert path.stem in "".join(root.itertext())


@settings(max_examples=200)
@given(st.lists(st.text(max_size=90), min_size=1, max_size=8))
def test_names_of_pictures_stay_in_their_folder_and_apart(names):
    taken: set[str] = set()
    found = [picture_name(name, taken) for name in names]
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert name.isascii() and len(name) < 80
        assert Path("folder", name).resolve().parent == Path("folder").resolve()
        assert name.endswith(".svg") and not name.startswith(".")


def test_what_was_written_is_no_recording_at_the_next_run(recordings, predict):
    words = (recordings, "--output", recordings / "o.csv", "--plot", recordings / "pictures")
    assert predict(*words)[0] == 0
    before = (recordings / "o.csv").read_text()
    status, _, said = predict(*words)
    assert status == 0 and "o.csv: its first line names no leads" in said
    assert (recordings / "o.csv").read_text() == before


def test_warnings_are_said_and_written(predict, tmp_path):
    signal = simulate_recording(3, 0, frozenset({"Normal"}), duration_s=8).signal
    path = table_of(tmp_path / "uv.csv", signal, 1000)
    status, printed, said = predict(path, "--rate", 500, "--units", "mV", "--output", tmp_path / "o.csv")
    assert status == 0
    assert f"WARNING: {path}: units look wrong" in said and "give --units uV" in said
    assert printed.splitlines()[1].endswith("units")
    (row,) = rows_of(tmp_path / "o.csv")
    assert row["warnings"].startswith("units: units look wrong")
    status, printed, said = predict(path, "--rate", 500, "--units", "uV")
    assert (status, said) == (0, "")
    assert printed.splitlines()[1].endswith("–")


def test_groups_and_batches_change_nothing(corpus, workdir, monkeypatch, tmp_path):
    """Also not a recording that is too long for a whole batch of its kind, which goes in steps of its own."""
    run = load_run(workdir)
    sources = [RecordingFile(path) for path in sorted(corpus.glob("*.hea"))[:7]]
    values = np.round(1000 * np.random.default_rng(0).normal(size=(31_000, 12))).astype(np.int16)
    write_record(tmp_path, "long", values)
    write_record(tmp_path, "broken", values[:10])
    (tmp_path / "broken.dat").write_bytes(b"")
    sources[2:2] = [RecordingFile(tmp_path / "long.hea"), RecordingFile(tmp_path / "broken.hea")]
    together = predict_files(run, sources, thresholds=half(len(run.classes)))
    monkeypatch.setattr(prediction, "BATCHES_READ", 1)
    apart = predict_files(run, sources, thresholds=half(len(run.classes)), batch_size=2)
    assert [one.path for one in together] == [one.path for one in apart] == [source.path for source in sources]
    assert isinstance(together[3], prediction.Refusal)
    for one, other in zip(together, apart, strict=True):
        if isinstance(one, prediction.FilePrediction) and isinstance(other, prediction.FilePrediction):
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-6)


def said_of(table: Path) -> list[tuple]:
    """What a table says of each recording, but for the last digits, which depend on what is in a batch."""
    if table.suffix == ".csv":
        rows = rows_of(table)
        values = [[row[f"probability {name}"] for name in CPSC2018.classes] for row in rows]
    else:
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        values = [list((row["probabilities"] or {}).values()) for row in rows]
    rounded = [tuple(round(float(value), 5) for value in own if value != "") for own in values]
    rest = [tuple(str(row[name]) for name in ("path", "predicted", "error", "picture")) for row in rows]
    return list(zip(rest, rounded, strict=True))


@pytest.mark.parametrize("suffix", [".csv", pytest.param(".jsonl", marks=pytest.mark.slow)])
def test_a_command_that_was_stopped_goes_on(corpus, workdir, predict, tmp_path, suffix):
    """Rows that were kept are not made again, and the table is the one of a command that nothing stopped."""
    folder = tmp_path / "folder"
    shutil.copytree(corpus, folder, ignore=shutil.ignore_patterns("labels.csv"))
    (folder / "R007.dat").write_bytes(b"")
    output, whole = tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    options = ("--plot", tmp_path / "pictures")
    status, _, _ = predict(folder, "--output", whole, *options)
    assert status == 2 and len(list((tmp_path / "pictures").iterdir())) == 17

    def stop(after: int) -> None:
        run = load_run(workdir)
        arguments = Predict(words=(workdir, folder), output=output, plot=tmp_path / "pictures")
        table = Table(arguments, output, run, half(len(run.classes)))
        files = find_recording_files([folder]).recordings
        todo = [file for file in files if table.log.row(file.path) is None][:after]
        pictures = {"plots": tmp_path / "pictures", "pictures": table.log.pictures}
        predict_files(run, todo, thresholds=half(len(run.classes)), keep=table.keep, **pictures)
        table.log.close()

    stop(5)
    stop(5)
    with output.with_name(f"out{suffix}.unfinished").open("a") as file:
        file.write('["cut')
    left = output.with_name(f".{output.name}.99.tmp")
    left.touch()  # of a process that was killed as it wrote the table
    status, _, said = predict(folder, "--output", output, *options)
    assert status == 2 and "9 recordings were predicted before" in said
    assert "1 of 18 recordings cannot be read" in said
    made, expected = (said_of(one) for one in (output, whole))
    assert made == expected and not output.with_name(f"out{suffix}.unfinished").exists() and not left.exists()
    assert len(list((tmp_path / "pictures").iterdir())) == 17

    stop(10)
    shutil.copy(folder / "R001.dat", folder / "R000.dat")  # one recording has changed, so its row is made again
    os.utime(folder / "R000.dat", ns=(1, 1))
    assert "8 recordings were predicted before" in predict(folder, "--output", output, *options)[2]
    stop(4)
    assert "before" not in predict(folder, "--output", output, *options, "--thresholds", "best-f1")[2]


def test_hashed_names_are_all_that_is_told(recordings, predict, tmp_path, monkeypatch):
    """Neither stdout, stderr, table nor pictures have the name of a file; the same name has one hash."""
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "of this test, and long enough to be one")
    (recordings / "R003.dat").write_bytes(b"")
    (recordings / "R9notes.pdf").write_bytes(b"x")
    output, pictures = tmp_path / "out.csv", tmp_path / "pictures"
    status, printed, said = predict(recordings, "--hash-ids", "--output", output, "--plot", pictures)
    assert status == 2
    told = [printed, said, output.read_text(), *(file.name + file.read_text() for file in pictures.iterdir())]
    assert not [text for text in told for name in ("R000", "R003", "R005", "R9notes") if name in text]
    rows = rows_of(output)
    assert [row["id"] for row in rows] == [hash_name(name) for name in ("R000", "R003", "R005")]
    assert rows[1]["error"].startswith(f"{hash_name('R003')}: ") and rows[1]["path"] == hash_name(
        str(recordings / "R003.hea")
    )
    assert len(list(pictures.iterdir())) == 2


def test_names_of_signal_files_are_hashed_too_and_nothing_else_is(recordings, predict, monkeypatch):
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "of this test, and long enough to be one")
    header = recordings / "R003.hea"
    header.write_text(header.read_text().replace("R003.dat", "Smith_John.dat"))
    (recordings / "1.hea").write_text(
        (recordings / "R000.hea").read_text().replace("R000 12", "1 12").replace(" 16 ", " 17 ")
    )
    status, printed, said = predict(recordings, "--hash-ids")
    assert status == 2 and "Smith" not in printed + said and "its signal file" in said
    assert "storage format '17' is none of WFDB's" in said
    (recordings / "Doe_Jane.csv").write_text(",".join(LEADS) + "\n")
    status, printed, said = predict(recordings, "--hash-ids")
    assert status == 2 and "Doe" not in printed + said and "a table says neither" in said


def test_workers_change_nothing(corpus, workdir):
    run = load_run(workdir)
    files = [RecordingFile(path) for path in sorted(corpus.glob("*.hea"))]
    one, two = (predict_files(run, files, thresholds=half(len(run.classes)), workers=workers) for workers in (1, 2))
    assert [a.path for a in one] == [b.path for b in two]
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(one, two, strict=True))


def test_a_padded_window_says_what_it_does_not_see(recordings, workdir):
    run = load_run(workdir)
    config = dataclasses.replace(run.config, data=dataclasses.replace(run.config.data, window="pad", seconds=1.458))
    values = np.random.default_rng(0).integers(-900, 900, (1000, 12)).astype(np.int16)
    write_record(recordings, "longer", values)
    write_record(recordings, "end", values[-729:])
    sources = [RecordingFile(recordings / f"{name}.hea") for name in ("longer", "end")]
    longer, end = predict_files(
        dataclasses.replace(run, description=dataclasses.replace(run.description, config=config)),
        sources,
        thresholds=half(len(CPSC2018.classes)),
    )
    assert isinstance(longer, prediction.FilePrediction) and isinstance(end, prediction.FilePrediction)
    np.testing.assert_allclose(longer.probabilities, end.probabilities, atol=1e-6)
    assert "the run looks at the last 1 of its 2 s only" in [one.text for one in longer.warnings]
    assert not any(one.kind == "long" for one in end.warnings)


def test_one_checkpoint_is_used_by_its_path(recordings, workdir, predict):
    step = sorted((workdir / "checkpoints").iterdir())[0]
    status, printed, _ = predict(recordings, of=step)
    assert status == 0 and f"checkpoint {step.name} of {workdir}" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["{r}/table.csv"],
            "table.csv: a table says neither its sampling rate nor its units; give --rate HZ",
        ),
        (["{r}/table.csv", "--rate", "500"], "give --rate HZ and --units"),
        (["{r}/table.csv", "--units", "kV"], "kV"),
        (["{r}/table.csv", "--rate", "5", "--units", "mV"], "rate is 5; an ECG has 50 to 100,000 Hz"),
        (["{r}", "--rate", "500"], "give --rate HZ and --units"),
        (
            ["{r}/R000.hea", "--rate", "500", "--units", "mV"],
            "are for CSV tables and arrays; the other files",
        ),
        (["{r}/nowhere.hea"], "nowhere.hea: no such file or folder"),
        (["{r}/empty"], "empty: no recordings there"),
        (["{r}/notes"], "notes.txt: its first line names no leads"),
        ([], "no recordings are given"),
        (["{r}/R000.hea", "--output", "{r}/o.txt"], "o.txt: the format goes by the suffix; possible: .csv, .jsonl"),
        (["{r}/R000.hea", "--output", "{r}/folder.csv"], "folder.csv: is a folder"),
        (["{r}/R000.hea", "--output", "{r}/table.csv"], "table.csv: is a recording, which would be overwritten"),
        (["{r}/R000.hea", "--output", "{r}/R000.hea/o.csv"], "R000.hea is no folder; choose another place"),
        (["{r}/R000.hea", "--output", "/proc/nowhere/o.csv"], "/proc"),
        (["{r}/R000.hea", "--plot", "{r}/R000.hea"], "R000.hea is no folder; choose another place"),
        (["{r}/R000.hea", "--batch-size", "0"], "batch_size is 0; possible: 1 or more"),
        (["{r}/R000.hea", "--thresholds", "best"], "best-f1"),
    ],
)
def test_what_cannot_be_done_is_said_first(recordings, predict, words, said):
    table_of(recordings / "table.csv", np.zeros((3, 12)))
    (recordings / "empty").mkdir()
    (recordings / "notes").mkdir()
    (recordings / "notes" / "notes.txt").write_text("hello")
    (recordings / "folder.csv").mkdir()
    before = sorted(recordings.rglob("*"))
    status, printed, error = predict(*(word.format(r=recordings) for word in words))
    assert (status, printed) == (2, "")
    assert said in " ".join(error.replace("│", " ").split())
    assert sorted(recordings.rglob("*")) == before


def test_a_run_that_is_none_is_refused(recordings, predict, tmp_path):
    record = recordings / "R000.hea"
    (tmp_path / "empty").mkdir()
    assert "is no run (it has neither checkpoints nor weights)" in predict(record, of=tmp_path / "empty")[2]
    assert "is not there; the first word may be a recording, a run" in predict(record, of=tmp_path / "nothing")[2]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_refused(recordings, predict, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for option in (["--output", str(locked / "o.csv")], ["--plot", str(locked / "pictures")]):
        assert "cannot be written to" in predict(recordings, *option)[2]


def test_a_name_that_is_no_text_is_shown_nevertheless(recordings, predict, tmp_path):
    odd = os.fsdecode(os.fsencode(str(recordings)) + b"/\xff\n.csv")
    table_of(Path(odd), read_record(recordings / "R000.hea").signal)
    status, printed, _ = predict(recordings, "--rate", 500, "--units", "mV", "--output", tmp_path / "o.csv")
    assert status == 0
    assert {row["id"] for row in rows_of(tmp_path / "o.csv")} == {"R000", "R003", "R005", "� "}
    assert "� " in printed
