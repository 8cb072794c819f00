"""A folder → which corpus it is and what it holds, or one clear error."""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.small_corpus import as_another_user
from xecgnet_jax.data.corpora import read_corpus, read_reference
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.labels import CPSC2018, count_codes
from xecgnet_jax.errors import CorpusError, RecordError

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")
DATA = SHARED / "data"


def write_table(path: Path, *rows: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def write_header(path: Path, comments: str = "#Age: 74\n#Sex: Male\n#Dx: 59118001\n") -> Path:
    """A header without its signal: opening a corpus reads no signals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{path.stem} 0 500 5000\n{comments}")
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ids_of(folder: Path) -> list[str]:
    return [entry.id for entry in read_corpus(folder).entries]


def refusal(folder: Path) -> str:
    with pytest.raises(CorpusError) as refused:
        read_corpus(folder)
    return str(refused.value)


# Real corpora


@needs_shared
def test_ptbxl():
    corpus = read_corpus(DATA / "ptbxl")
    assert corpus.kind == "ptbxl" and len(corpus.entries) == 1631
    assert sum(bool(CPSC2018.classes_of(entry.codes)) for entry in corpus.entries) == 1551
    first = corpus.entries[0]
    assert (first.id, first.codes, first.patient) == ("00001_hr", ("NORM", "LVOLT", "SR"), "15709")
    assert (first.fold, first.age, first.sex) == (3, 56, "F")
    assert {entry.fold for entry in corpus.entries} == set(range(1, 9))
    folds_of_patients = {(entry.patient, entry.fold) for entry in corpus.entries}
    assert len(folds_of_patients) == len({entry.patient for entry in corpus.entries}) == 1597
    assert max(entry.age or 0 for entry in corpus.entries) < 100  # 300 means: above 89
    assert read_record(first.path).id == first.id


@needs_shared
def test_cpsc2018():
    corpus = read_corpus(DATA / "cpsc2018")
    assert corpus.kind == "cpsc2018"
    assert [entry.id for entry in corpus.entries] == [f"A{number}" for number in range(1980, 1990)]
    table = read_reference(DATA / "cpsc2018" / "REFERENCE.csv")
    assert all(entry.codes == table[entry.id] for entry in corpus.entries)
    assert all(read_record(entry.path).id == entry.id for entry in corpus.entries)


@needs_shared
@pytest.mark.parametrize(
    ("source", "count"),
    [("cpsc_2018", 10), ("cpsc_2018_extra", 14), ("georgia", 24), ("chapman_ningbo", 24), ("ptb", 5), ("", 77)],
)
def test_challenge_sources(source, count):
    corpus = read_corpus(DATA / "challenge" / source)
    assert corpus.kind == "challenge" and len(corpus.entries) == count
    for entry in corpus.entries[:10]:
        recording = read_record(entry.path)
        assert (entry.id, entry.codes, entry.age, entry.sex) == (
            recording.id, recording.codes, recording.age, recording.sex
        )  # fmt: skip


@needs_shared
def test_the_label_table_of_cpsc2018_has_the_published_counts():
    table = read_reference(DATA / "cpsc2018" / "REFERENCE.csv")
    classes, others = count_codes(table.values())
    assert len(table) == 6877 and not others
    assert classes == {
        "AF": 1221, "I-AVB": 722, "LBBB": 236, "Normal": 918, "PAC": 616, "PVC": 700, "RBBB": 1857,
        "STD": 869, "STE": 220,
    }  # fmt: skip
    assert Counter(len(CPSC2018.classes_of(codes)) for codes in table.values()) == {1: 6401, 2: 470, 3: 6}
    assert table["A0953"] == ("6", "6") and CPSC2018.classes_of(table["A0953"]) == {"PAC"}


@needs_shared
def test_a_folder_of_several_corpora_is_none():
    assert "is one folder below" in refusal(DATA)


# Layouts


@pytest.mark.parametrize("folders", [[""], ["TrainingSet"], ["TrainingSet1", "TrainingSet2", "TrainingSet3"]])
def test_layouts_of_cpsc2018(tmp_path, folders):
    names = [f"A000{number}" for number in range(6)]
    rows = [{"Recording": name, "First_label": "5", "Second_label": "", "Third_label": ""} for name in names]
    write_table(tmp_path / "REFERENCE.csv", *rows)
    touch(*(tmp_path / folders[i % len(folders)] / f"{name}.mat" for i, name in enumerate(names[:5])))
    touch(tmp_path / folders[0] / "._A0001.mat")  # what macOS leaves behind
    corpus = read_corpus(tmp_path)
    assert [entry.id for entry in corpus.entries] == names[:5]  # the table may list more than is there
    assert {entry.codes for entry in corpus.entries} == {("5",)}
    touch(tmp_path / folders[0] / "B0001.mat")
    assert "no row for 1 recordings: B0001" in refusal(tmp_path)


def test_challenge_sources_may_be_nested(tmp_path):
    write_header(tmp_path / "g2" / "E00002.hea")
    write_header(tmp_path / "g1" / "E00001.hea", "# Dx: 426783006, 164889003\n")
    corpus = read_corpus(tmp_path)
    assert [(entry.id, entry.codes) for entry in corpus.entries] == [
        ("E00001", ("426783006", "164889003")),
        ("E00002", ("59118001",)),
    ]
    write_header(tmp_path / "g3" / "E00001.hea")
    assert "another recording of this name" in refusal(tmp_path)


def test_a_damaged_header_does_not_close_a_corpus_but_is_never_read(tmp_path):
    write_header(tmp_path / "E00001.hea")
    (tmp_path / "E00002.hea").write_bytes(b"\0\0\0")
    first, damaged = read_corpus(tmp_path).entries
    assert (first.codes, damaged.codes) == (("59118001",), ())
    with pytest.raises(RecordError, match=r"E00002\.hea"):
        read_record(damaged.path)


def test_challenge_sources_that_contradict_themselves(tmp_path):
    write_header(tmp_path / "E00001.hea")
    write_header(tmp_path / "E00002.hea", "#Age: 5\n")
    assert "no line #Dx: in the header of 1 recordings: E00002" in refusal(tmp_path)
    write_header(tmp_path / "E00002.hea", "#Dx:\n")
    assert read_corpus(tmp_path).entries[1].codes == ()
    touch(tmp_path / "E00003.mat")
    assert "no header (.hea) beside the signal file of 1 recordings: E00003" in refusal(tmp_path)


PTBXL_ROW = {
    "ecg_id": "7", "patient_id": "12.0", "age": "300.0", "sex": "0", "scp_codes": "{'NORM': 0.0}",
    "strat_fold": "9", "filename_hr": "records500/00000/00007_hr",
}  # fmt: skip


def test_ptbxl_rows(tmp_path):
    write_table(tmp_path / "ptbxl_database.csv", PTBXL_ROW)
    assert "no file in records500/ for 1 recordings: 00007_hr" in refusal(tmp_path)
    touch(tmp_path / "records500" / "00000" / "00007_hr.hea")
    (entry,) = read_corpus(tmp_path).entries
    assert (entry.id, entry.codes, entry.patient, entry.fold) == ("00007_hr", ("NORM",), "12", 9)
    assert (entry.age, entry.sex) == (None, "M")


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("scp_codes", "NORM", "no dictionary"),
        ("scp_codes", "__import__('os').getcwd()", "no dictionary"),
        ("scp_codes", "{[]: 1}", "no dictionary"),
        ("scp_codes", "{1: 2}", "no dictionary"),
        ("scp_codes", "(" * 5000, "no dictionary"),
        ("filename_hr", "../../etc/passwd", "does not lie in records500"),
        ("filename_hr", "/records500/0/x", "does not lie in records500"),
        ("filename_hr", "records500/../x", "does not lie in records500"),
        ("filename_hr", "", "does not lie in records500"),
        ("strat_fold", "nine", "'nine' is no integer"),
    ],
)
def test_ptbxl_rows_that_are_refused(tmp_path, column, value, cause):
    write_table(tmp_path / "ptbxl_database.csv", PTBXL_ROW | {column: value})
    touch(tmp_path / "records500" / "00000" / "00007_hr.hea")
    message = refusal(tmp_path)
    assert cause in message and "ecg_id 7" in message


def test_a_table_of_labels(tmp_path):
    write_header(tmp_path / "b" / "r2.hea", "")
    write_header(tmp_path / "a" / "r1.hea")
    first = {"id": "r2", "labels": "AF; RBBB;", "patient": "p", "fold": "3.0", "age": "61", "sex": "F"}
    write_table(tmp_path / "labels.csv", first, dict.fromkeys(first, "") | {"id": "r1"})
    corpus = read_corpus(tmp_path)
    assert corpus.kind == "wfdb-csv"
    one, two = corpus.entries
    assert (one.id, one.codes, one.patient, one.fold, one.age, one.sex) == ("r1", (), None, None, None, None)
    assert (two.codes, two.patient, two.fold, two.age, two.sex) == (("AF", "RBBB"), "p", 3, 61, "F")
    assert two.path == tmp_path / "b" / "r2.hea"


def test_the_line_of_annotated_classes_stands_above_the_columns(tmp_path):
    write_header(tmp_path / "r1.hea")
    (tmp_path / "labels.csv").write_text("classes: AF; RBBB, PAC\nid,labels\nr1,AF\n")
    corpus = read_corpus(tmp_path)
    assert corpus.annotated == ("AF", "RBBB", "PAC") and corpus.entries[0].codes == ("AF",)
    (tmp_path / "labels.csv").write_text("classes:\nid,labels\nr1,AF\n")
    assert "line 1 lists no class" in refusal(tmp_path)
    (tmp_path / "labels.csv").write_text("classes: AF\nid,labels\nr1\n")
    assert "line 3 has more or fewer cells" in refusal(tmp_path)


def test_rows_without_a_file_and_files_without_a_row_may_be_skipped(tmp_path):
    for name in ("r1", "r2"):
        write_header(tmp_path / f"{name}.hea")
    (tmp_path / "labels.csv").write_text("id,labels\nr1,AF\nr3,AF\n../r4,AF\n")
    corpus = read_corpus(tmp_path, skip_lost=True)
    assert [entry.id for entry in corpus.entries] == ["r1"]
    table, absent = tmp_path / "labels.csv", "no recording (.hea, or a hospital's file) for it"
    assert corpus.lost == {"r3": f"{table}: {absent}", "../r4": f"{table}: {absent}", "r2": f"{table}: no row for it"}
    (tmp_path / "labels.csv").write_text("id,labels\nr3,AF\n")
    with pytest.raises(CorpusError, match="for 1 recordings: r3"):
        read_corpus(tmp_path, skip_lost=True)  # nothing would be left


def test_a_table_of_labels_without_the_optional_columns(tmp_path):
    write_header(tmp_path / "r1.hea")
    write_table(tmp_path / "labels.csv", {"id": "r1", "labels": "2"})
    assert ids_of(tmp_path) == ["r1"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("id,labels\nr1,AF\nr2,AF\n", "no recording (.hea, or a hospital's file) for 1 recordings: r2"),
        ("id,labels\n", "no row for 1 recordings: r1"),
        ("id,labels\nr1,AF\nr1,AF\n", "more than one row for 1 recordings: r1"),
        ("id,labels\n../r1,AF\n", "no recording (.hea, or a hospital's file) for 1 recordings: ../r1"),
        ("id,label\nr1,AF\n", "no column labels"),
        ("", "no column labels"),
        ("id,labels\nr1\n", "line 2 has more or fewer cells"),
        ("id,labels\nr1,AF,PVC\n", "line 2 has more or fewer cells"),
        ("id,labels,fold\nr1,AF,x\n", "id r1: the fold 'x' is no integer"),
        (f"id,labels,fold\nr1,AF,{'1' * 30}\n", "id r1: the fold '111111111111111111111111111111' is no integer"),
        (f"id,labels,fold\nr1,AF,{'1' * 5000}\n", "1…' is no integer"),
        ("id,labels,labels\nr1,AF,Normal\n", "the column 'labels' is there more than once"),
        ("id,labels,Labels \nr1,AF,Normal\n", "the column 'labels' is there more than once"),
        ("id,labels,labels2\nr1,AF,Normal\n", "labels are read from labels, not 'labels2'"),
        ("id,labels,other_label\nr1,AF,Normal\n", "labels are read from labels, not 'other_label'"),
        (f"id,labels\nr1,{'AF;' * 1001}\n", "id r1: 1001 codes of up to 2 characters"),
        ('id,labels\nr1,"AF\n', "cannot be read as a UTF-8 CSV table"),
        ("id,labels\nr1,\udcff\n", "cannot be read as a UTF-8 CSV table"),
    ],
)
def test_tables_of_labels_that_are_refused(tmp_path, text, cause):
    write_header(tmp_path / "r1.hea")
    (tmp_path / "labels.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    message = refusal(tmp_path)
    assert cause in message and "labels.csv" in message


@pytest.mark.parametrize(
    ("rows", "cause"),
    [("A0001,5,,\nA0001,5,,", "more than one row for 1 recordings: A0001"), ("A0001,,,", "no label in the row of")],
)
def test_reference_tables_that_are_refused(tmp_path, rows, cause):
    path = tmp_path / "REFERENCE.csv"
    path.write_text(f"Recording,First_label,Second_label,Third_label\n{rows}\n")
    with pytest.raises(CorpusError) as refused:
        read_reference(path)
    assert cause in str(refused.value)


def test_a_fourth_label_is_not_dropped(tmp_path):
    touch(tmp_path / "A1.mat")
    names = ("First_label", "Second_label", "Third_label", "Fourth_label")
    write_table(tmp_path / "REFERENCE.csv", {"Recording": "A1"} | dict.fromkeys(names, "1"))
    assert "labels are read from First_label, Second_label, Third_label, not 'Fourth_label'" in refusal(tmp_path)


def test_empty_columns_of_a_spreadsheet_are_no_doubled_ones(tmp_path):
    write_header(tmp_path / "r1.hea")
    (tmp_path / "labels.csv").write_text("id,labels,,\nr1,AF,,\n")
    assert ids_of(tmp_path) == ["r1"]


def test_names_and_codes_that_cannot_be_written_are_refused(tmp_path):
    write_header(tmp_path / "r.hea").rename(tmp_path / "r\udcff.hea")
    assert r"no Unicode text are names or codes of 1 recordings: 'r\udcff'" in refusal(tmp_path)
    write_header(tmp_path / "ptbxl" / "records500" / "00000" / "00007_hr.hea")
    write_table(tmp_path / "ptbxl" / "ptbxl_database.csv", PTBXL_ROW | {"scp_codes": "{'\\ud800': 100.0}"})
    assert "no Unicode text" in refusal(tmp_path / "ptbxl")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there is no other user to be")
def test_a_folder_that_may_not_be_listed_is_told():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "corpus").mkdir(mode=0o100)
        Path(folder).chmod(0o711)
        with as_another_user():
            message = refusal(Path(folder, "corpus"))
    assert "cannot be listed (Permission denied)" in message


def test_a_missing_reference_table(tmp_path):
    with pytest.raises(CorpusError, match=r"REFERENCE\.csv: cannot be read"):
        read_reference(tmp_path / "REFERENCE.csv")


def test_folders_that_are_no_corpus(tmp_path):
    assert "no such folder" in refusal(tmp_path / "nowhere")
    message = refusal(tmp_path)
    for known in ("ptbxl_database.csv", "REFERENCE.csv", "labels.csv", "#Dx:"):
        assert known in message
    touch(tmp_path / "labels.csv", tmp_path / "REFERENCE.csv")
    assert "only one can apply" in refusal(tmp_path)


@given(content=st.binary(max_size=120), name=st.sampled_from(["ptbxl_database.csv", "REFERENCE.csv", "labels.csv"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_tables_make_no_other_error(tmp_path, content, name):
    folder = tmp_path / name.partition(".")[0]
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    assert str(folder) in refusal(folder)


# Tables as spreadsheets and programs write them


def test_labels_that_a_spreadsheet_wrote_keep_their_meaning(tmp_path):
    touch(*(tmp_path / f"A{row}.mat" for row in range(3)))
    rows = [("A0", "2.0", "5.0"), ("A1", "7", ""), ("A2", "1.0", "nan")]
    names = ("Recording", "First_label", "Second_label")
    write_table(tmp_path / "REFERENCE.csv", *(dict(zip(names, row, strict=True)) for row in rows))
    found = [CPSC2018.classes_of(entry.codes) for entry in read_corpus(tmp_path).entries]
    assert found == [{"AF", "RBBB"}, {"PVC"}, {"Normal"}]


def test_a_value_that_is_no_class_is_refused_with_its_place(tmp_path):
    touch(tmp_path / "A1.mat")
    write_table(tmp_path / "REFERENCE.csv", {"Recording": "A1", "First_label": "2", "Second_label": "11"})
    assert "REFERENCE.csv: line 2: Second_label is '11'. Known are 1 to 9" in refusal(tmp_path)


@pytest.mark.parametrize("code", ["164889003.0", "'164889003'", " 164889003 ", "af", "Afib", "AFIB"])
def test_spellings_of_a_code(tmp_path, code):
    write_header(tmp_path / "r1.hea", "")
    write_table(tmp_path / "labels.csv", {"id": "r1", "labels": f"{code}|59118001.0", "patient": "17.0", "sex": "F"})
    (entry,) = read_corpus(tmp_path).entries
    assert CPSC2018.classes_of(entry.codes) == {"AF", "RBBB"} and entry.patient == "17"


def test_a_code_that_counts_alone_is_alone_in_any_spelling():
    assert CPSC2018.classes_of(["426783006.0"]) == CPSC2018.classes_of(["426783006", "426783006.0"]) == {"Normal"}
    assert CPSC2018.classes_of(["426783006.0", "59118001"]) == {"RBBB"}


# Folders as people have them


def test_hidden_and_deleted_recordings_and_links_are_left_out_and_told(tmp_path):
    for folder in ("a", ".ipynb_checkpoints", ".Trash-1000/files", "__MACOSX"):
        write_header(tmp_path / "corpus" / folder / f"r{len(folder)}.hea")
    write_header(tmp_path / "elsewhere/r99.hea")
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "elsewhere")
    corpus = read_corpus(tmp_path / "corpus")
    assert [entry.id for entry in corpus.entries] == ["r1"]
    told = {path.name: why for path, why in corpus.left_out()}
    assert set(told) == {".ipynb_checkpoints", ".Trash-1000", "__MACOSX", "linked"}
    assert "a link to a folder" in told["linked"] and told[".Trash-1000"] == "hidden"


def test_names_in_capitals_are_refused_and_nested_folders_read(tmp_path):
    write_header(tmp_path / "a/r1.HEA")
    assert "the suffix .hea is in capitals in 1 recordings: a/r1.HEA" in refusal(tmp_path)
    touch(tmp_path / "cpsc/TrainingSet2/TrainingSet2/A1.mat", tmp_path / "cpsc/TrainingSet1/A2.mat")
    rows = [{"Recording": name, "First_label": "1"} for name in ("A1", "A2")]
    write_table(tmp_path / "cpsc/REFERENCE.csv", *rows)
    assert ids_of(tmp_path / "cpsc") == ["A1", "A2"]


def test_a_corpus_one_folder_below_is_named(tmp_path):
    write_header(tmp_path / "inner/r1.hea", "")
    write_table(tmp_path / "inner/labels.csv", {"id": "r1", "labels": ""})
    assert f"Give {tmp_path / 'inner'}" in refusal(tmp_path)
