"""Exported files against the checkpoint's own predictions."""

import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests import commands as cli
from tests.model.numpy_network import random_variables
from xecgnet_jax import XECGNet
from xecgnet_jax.config import Config, ModelConfig
from xecgnet_jax.data.labels import CLASSES, CPSC2018
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.errors import ExportError
from xecgnet_jax.evaluation.platt import Calibration
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.export.archive import describe, exact_thresholds, jax_archive, largest_difference
from xecgnet_jax.export.onnx import import_once, onnx_file
from xecgnet_jax.runs.load import Run
from xecgnet_jax.training.checkpoint import Checkpoints
from xecgnet_jax.training.description import Description
from xecgnet_jax.training.progress import Progress
from xecgnet_jax.training.state import TrainState

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 0.0625
SWITCHES = [
    {},
    pytest.param({"attention_head": "conv", "activation": "relu"}, marks=pytest.mark.slow),
    {"attention": False},
    {"pools": (3, 2, 4, 1, 1), "activation": "relu"},
]
#: (batch, samples): shorter than a bin, a sample more than one, and several bins.
SHAPES = [(5, 100), (1, 244), (5, 1000)]


def make_run(window: str = "whole", length: int = 0, **switches) -> Run:
    rng = np.random.default_rng(7)
    config = Config()
    model = XECGNet(width=WIDTH, **switches)
    description = Description(
        config=replace(
            config,
            model=ModelConfig(width=WIDTH, **switches),
            objective=replace(config.objective, gamma=0.01 if model.attention else 0.0),
            data=replace(config.data, window=window, seconds=length / 500),
        ),
        vocabulary=CPSC2018,
        normalization=Normalization(
            rng.normal(0, 0.5, 12).astype(np.float32), rng.uniform(0.1, 2, 12).astype(np.float32)
        ),
        data={"kind": "made up"},
        versions={},
        progress=Progress(),
        thresholds={
            "best-f1": Thresholds("best-f1", np.linspace(0.1, 0.9, 9)),
            "best-subset": Thresholds("best-subset", np.linspace(0.9, 0.1, 9)),
        },
        calibration=Calibration(np.linspace(0.5, 2, 9), np.linspace(-1, 1, 9), np.arange(9) > 6),
    )
    return Run(Path("run"), 3, description, model, random_variables(model, 5))


@cache
def whole_archive():
    return jax_archive(make_run())


def recordings(run: Run, batch: int, samples: int) -> np.ndarray:
    noise = np.random.default_rng(samples).standard_normal((batch, samples, 12))
    return (run.normalization.mean + run.normalization.std * noise).astype(np.float32)


def assert_as_predicted(run: Run, function, batch: int, samples: int) -> None:
    """Probabilities, maps and edges as the host makes them from the same recordings."""
    signals = recordings(run, batch, samples)
    found = {name: np.asarray(value) for name, value in function(signals).items()}
    expected = run.predict(signals, maps=True)
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-5, rtol=0)
    if not run.model.attention:
        assert set(found) == {"probabilities"}
        return
    assert set(found) == {"probabilities", "attention", "responses", "edges"}
    assert found["edges"].shape == (found["attention"].shape[1] + 1,)
    real = np.diff(found["edges"]) > 0
    for row, maps in enumerate(expected.maps):
        np.testing.assert_array_equal(np.unique(found["edges"]), maps.edges)
        np.testing.assert_allclose(found["attention"][row, real], maps.attention, atol=1e-5, rtol=0)
        largest = max(1.0, maps.responses.max())  # they have no upper limit
        np.testing.assert_allclose(found["responses"][row, real], maps.responses, atol=1e-5 * largest, rtol=0)


@pytest.mark.parametrize("switches", SWITCHES)
def test_one_archive_takes_any_batch_and_length(switches):
    run = make_run(**switches)
    _, function = jax_archive(run)
    for batch, samples in SHAPES:
        assert_as_predicted(run, function, batch, samples)


@pytest.mark.parametrize("window", ["crop", pytest.param("pad", marks=pytest.mark.slow)])
def test_the_windows_are_made_inside(window):
    """As long as the window, shorter, longer (crop: two windows and a rest; pad: the beginning is lost)."""
    run = make_run(window, 600)
    _, function = jax_archive(run)
    for batch, samples in [(1, 600), (5, 300), (1, 1300)]:
        assert_as_predicted(run, function, batch, samples)


def test_the_highest_of_the_windows_is_taken_where_the_run_takes_it():
    run = make_run("crop", 600)
    highest = replace(run.config, data=replace(run.config.data, over_windows="max"))
    run = replace(run, description=replace(run.description, config=highest))
    assert_as_predicted(run, jax_archive(run)[1], 1, 1300)


@pytest.mark.parametrize("samples", [1300, 600, 300])
def test_windows_may_overlap_in_recordings_of_one_length(samples):
    run = make_run("crop", 600)
    data = replace(run.config.data, window_step=0.35)
    run = replace(run, description=replace(run.description, config=replace(run.config, data=data)))
    assert_as_predicted(run, jax_archive(run, samples)[1], 2, samples)
    with pytest.raises(ExportError, match=r"windows that overlap .* give --samples"):
        jax_archive(run)


def test_a_fixed_length_is_the_only_one():
    run = make_run()
    _, function = jax_archive(run, 1000)
    assert_as_predicted(run, function, 5, 1000)
    with pytest.raises(ValueError, match="1000"):
        function(recordings(run, 5, 1001))


@pytest.mark.slow
def test_a_mean_is_taken_as_zero_and_padding_too():
    """A recording that is the leads' mean before its beginning gives what the shorter one gives."""
    run = make_run()
    _, function = whole_archive()
    short = recordings(run, 1, 300)
    before = np.broadcast_to(run.normalization.mean, (1, 2 * 243 - 300, 12))
    long = np.concatenate([before, short], axis=1).astype(np.float32)
    for name in ("probabilities", "attention", "responses"):
        np.testing.assert_allclose(function(long)[name], function(short)[name], atol=1e-5, rtol=0)


def changed(function, name: str, change: float, signal: np.ndarray) -> dict[str, np.ndarray]:
    found = {key: np.array(value) for key, value in function(signal).items()}
    found[name].flat[-1] += change
    return found


def test_the_difference_sees_a_fault():
    run = make_run()
    _, function = whole_archive()
    assert largest_difference(run, function, 400) < 1e-5
    faults = [("probabilities", 1e-3), ("attention", -1e-3), ("responses", 1e-3), ("attention", np.nan), ("edges", 1)]
    for name, change in faults:
        found = largest_difference(run, partial(changed, function, name, change), 400)
        assert not found <= 1e-5, name
    transposed = largest_difference(
        run, lambda signal: (found := dict(function(signal))) | {"responses": found["responses"].swapaxes(1, 2)}, 400
    )
    assert transposed == np.inf


def test_about_says_how_to_read_the_outputs():
    told = json.loads(describe(make_run("crop"), None))
    assert told["classes"] == list(CLASSES) and told["leads"][:3] == ["I", "II", "III"]
    assert (told["rate"], told["units"], told["window"], told["window_samples"]) == (500, "mV", "crop", 2880)
    assert told["thresholds"]["0.5"] == [0.5] * 9
    np.testing.assert_allclose(told["thresholds"]["best-f1"], np.linspace(0.1, 0.9, 9), rtol=2e-7)
    assert told["samples"] is None


def test_archives_are_the_same_bytes_and_name_no_source():
    first, _ = whole_archive()
    assert first == jax_archive(make_run())[0]
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        network = archive.read("network.bin")
    assert b".py" not in network


def test_the_loader_in_the_docs_needs_neither_flax_nor_this_package(tmp_path):
    run = make_run()
    (tmp_path / "model.zip").write_bytes(whole_archive()[0])
    signals = recordings(run, 5, 1000)
    np.save(tmp_path / "ecg.npy", signals)
    printed = in_fresh_process(loader("jax.export"), tmp_path)
    with np.load(tmp_path / "found.npz") as found:
        assert_as_predicted(run, lambda _: dict(found), 5, 1000)
        likely = [[name for name, p in zip(CLASSES, row, strict=True) if p >= 0.5] for row in found["probabilities"]]
    assert printed.splitlines() == [str(names) for names in likely]


def loader(library: str) -> str:
    """The Python of docs/export.md that uses `library`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if library in block]
    assert len([line for line in code.splitlines() if line]) <= 10
    return code


def in_fresh_process(code: str, folder: Path) -> str:
    code += "import sys\nassert not {'flax', 'xecgnet_jax'} & set(sys.modules)\nnp.savez('found.npz', **found)\n"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_thresholds_decide_the_same_in_both_types_of_numbers():
    """As predict decides: float32 probabilities beside float64 thresholds; "never" stays never."""
    rng = np.random.default_rng(0)
    likely = rng.uniform(size=400).astype(np.float32)
    values = (likely.astype(np.float64) + np.nextafter(likely, np.float32(2))) / 2
    values[:2] = np.nextafter(1.0, 2), 0.5
    told = json.loads(json.dumps(exact_thresholds(values).tolist()))
    for neighbor in (likely, np.nextafter(likely, np.float32(2)), np.float32([1, 0.5] * 200)):
        by_predict = neighbor >= values
        assert [p >= t for p, t in zip(neighbor, told, strict=True)] == by_predict.tolist()
        assert [float(p) >= t for p, t in zip(neighbor, told, strict=True)] == by_predict.tolist()


@pytest.fixture(scope="module")
def converter():
    pytest.importorskip("jax2onnx", reason="needs the extra onnx")


@pytest.mark.parametrize("switches", SWITCHES)
def test_one_onnx_file_takes_any_batch_and_length(converter, switches):
    run = make_run(**switches)
    _, function = onnx_file(run, None, describe(run, None))
    for batch, samples in SHAPES:
        assert_as_predicted(run, function, batch, samples)


@pytest.mark.parametrize(
    ("window", "samples", "switches"),
    [("whole", 1000, {"attention_head": "conv"}), ("crop", 1300, {}), ("pad", 300, {})],
)
def test_an_onnx_file_of_one_length(converter, window, samples, switches):
    run = make_run(window, 0 if window == "whole" else 600, **switches)
    _, function = onnx_file(run, samples, describe(run, samples))
    for batch in (1, 5):
        assert_as_predicted(run, function, batch, samples)


def test_the_onnx_loader_in_the_docs(converter, tmp_path):
    run = make_run()
    (tmp_path / "model.onnx").write_bytes(onnx_file(run, None, describe(run, None))[0])
    np.save(tmp_path / "ecg.npy", recordings(run, 5, 1000))
    in_fresh_process(loader("onnxruntime") + "import sys\nassert 'jax' not in sys.modules\n", tmp_path)
    with np.load(tmp_path / "found.npz") as found:
        assert_as_predicted(run, lambda _: dict(found), 5, 1000)


def test_merged_graphs_import_their_operators_once_and_can_be_quantized(tmp_path):
    """ONNX's own operators have two names, and merging two graphs keeps an import for each."""
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    quantization = pytest.importorskip("onnxruntime.quantization", reason="needs the extra onnx")
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18, "ai.onnx" : 18]> g (float[2, 2] x) => (float[2, 2] y)'
        " <float[2, 2] w = {1.0, 2.0, 3.0, 4.0}> { y = MatMul(x, w) }"
    )
    import_once(model)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    onnx.save(model, tmp_path / "model.onnx")
    quantization.quantize_dynamic(tmp_path / "model.onnx", tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size > 0


@pytest.mark.parametrize("samples", [None, 600])
def test_an_onnx_file_imports_its_operators_once(converter, samples):
    import onnx

    run = make_run()
    content, _ = onnx_file(run, samples, describe(run, samples))
    assert [one.domain for one in onnx.load_from_string(content).opset_import] == [""]


@pytest.mark.parametrize("samples", [None, 600])
def test_what_people_do_next_with_an_onnx_file(converter, tmp_path, samples):
    """Quantize it, and convert it to later operators: it runs, and says about, or exactly, the same."""
    import onnx
    from onnxruntime import InferenceSession, quantization

    run = make_run()
    (tmp_path / "model.onnx").write_bytes(onnx_file(run, samples, describe(run, samples))[0])
    quantization.quantize_dynamic(tmp_path / "model.onnx", tmp_path / "small.onnx")
    later = onnx.version_converter.convert_version(onnx.load(tmp_path / "model.onnx"), 21)
    onnx.checker.check_model(later, full_check=True)
    onnx.save(later, tmp_path / "later.onnx")
    signal = {"signal": recordings(run, 3, 600)}
    found = {
        name: InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"]).run(None, signal)[0]
        for name in ("model", "small", "later")
    }
    np.testing.assert_allclose(found["later"], found["model"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["small"], found["model"], rtol=0, atol=0.1)


@pytest.mark.parametrize("window", ["crop", "pad"])
def test_onnx_needs_a_length_for_windows_of_one(window):
    with pytest.raises(ExportError, match=f"--window {window} .* give --samples, or --format jax"):
        onnx_file(make_run(window), None, "")


def test_onnx_without_its_extra_says_what_to_install(monkeypatch):
    for name in ("onnx", "jax2onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"pip install 'xecgnet-jax\[onnx\]'"):
        onnx_file(make_run(), None, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "model.zip"], "nowhere: no checkpoints there; give the working directory of a training run"),
        (["nowhere", "there.zip"], "there.zip: is there already; remove it or give another name"),
        (["nowhere", "model.pb"], "model.pb: --format jax writes a .zip file; name it so"),
        (["nowhere", "model.onnx"], "model.onnx: --format jax writes a .zip file; name it so, or give --format onnx"),
        (["nowhere", "model.zip", "--samples", "0"], "samples is 0; possible: 1 or more"),
        (["nowhere", "model.zip", "--format", "torch"], "torch"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.zip").write_text("mine")
    try:
        status = cli.export(words)
    except SystemExit as error:
        status = error.code
    printed = capsys.readouterr().err
    assert status == 2 and said in printed and "Traceback" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["there.zip"]
    assert (tmp_path / "there.zip").read_text() == "mine"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """A working directory with one checkpoint, of the weights of `make_run()`."""
    run = make_run()
    folder = tmp_path_factory.mktemp("export") / "run"
    checkpoints = Checkpoints(folder)
    checkpoints.save(TrainState(jnp.asarray(3), run.variables, {}, None), run.description.to_json(), 0.5)
    checkpoints.close()
    return folder


def test_the_command_writes_a_checked_file(workdir, tmp_path, capsys):
    output = tmp_path / "new" / "model.zip"
    assert cli.export([str(workdir), str(output)]) == 0
    printed = capsys.readouterr().out
    assert f"from checkpoint 3 of {workdir}" in printed and "float32 [batch, samples, 12], mV at 500 Hz" in printed
    assert "probabilities [batch, 9], attention [batch, bins], responses [batch, bins, 9], edges [bins + 1]" in printed
    assert [path.name for path in output.parent.iterdir()] == ["model.zip"]
    assert output.read_bytes() == whole_archive()[0]


def test_the_command_writes_onnx(converter, workdir, tmp_path, capsys):
    output = tmp_path / "model.onnx"
    assert cli.export([str(workdir), str(output), "--format", "onnx"]) == 0
    printed = capsys.readouterr().out
    difference = float(printed.split("predictions: ")[1].split()[0])
    assert 0 <= difference < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_place_that_cannot_be_written_is_refused(workdir, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.export([str(workdir), str(tmp_path / "file" / "model.zip")]) == 2
    printed = capsys.readouterr().err
    assert "check the path" in printed and "Traceback" not in printed
