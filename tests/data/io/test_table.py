"""Tables of leads: read as written, or refused with the line."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xecgnet_jax.data.io.table import BLOCK, names_leads, read_table
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError


def write(path: Path, rows, head=LEADS, *, mark=",", encoding="utf-8", end="\n") -> Path:
    """A table of texts."""
    lines = [mark.join(head), *(mark.join(row) for row in rows)]
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def texts(values: np.ndarray, point: str = ".") -> list[list[str]]:
    return [[f"{value:.6f}".replace(".", point) for value in row] for row in values]


@pytest.fixture
def values() -> np.ndarray:
    """[50, 12] mV with six decimals."""
    return np.round(np.random.default_rng(1).normal(size=(50, 12)), 6)


def refusal(path: Path, units: str = "mV", longest: int = 100_000) -> str:
    with pytest.raises(RecordError) as error:
        read_table(path, units=units, longest=longest)
    assert str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize(("mark", "point"), [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_ways_of_writing_a_table_say_the_same(tmp_path, values, mark, point, encoding, end):
    path = write(tmp_path / "t.csv", texts(values, point), mark=mark, encoding=encoding, end=end)
    table = read_table(path, units="mV", longest=50)
    np.testing.assert_array_equal(table.signal, values)
    assert (table.ignored, table.step) == ((), None)
    assert names_leads(path)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(12)), upper=st.booleans(), extra=st.integers(0, 12))
def test_leads_are_found_by_name(tmp_path_factory, order, upper, extra):
    values = np.arange(36.0).reshape(3, 12) / 8
    head = [LEADS[lead].upper() if upper else LEADS[lead].lower() for lead in order]
    head.insert(extra, "note")
    rows = [[str(row[lead]) for lead in order] for row in values]
    for row in rows:
        row.insert(extra, "hello")
    table = read_table(write(tmp_path_factory.mktemp("t") / "t.csv", rows, head), units="mV", longest=3)
    np.testing.assert_array_equal(table.signal, values)
    assert table.ignored == ("note",)


@pytest.mark.parametrize(("units", "factor"), [("mV", 1), ("uV", 1e-3), ("V", 1e3)])
def test_units_are_those_stated(tmp_path, values, units, factor):
    path = write(tmp_path / "t.csv", texts(values))
    np.testing.assert_allclose(read_table(path, units=units, longest=50).signal, values * factor, rtol=1e-12)


def test_units_in_the_names_must_agree(tmp_path, values):
    head = [f"Lead {lead} [µV]" for lead in LEADS]
    path = write(tmp_path / "t.csv", texts(values), head, encoding="latin-1")
    np.testing.assert_allclose(read_table(path, units="uV", longest=50).signal, values / 1000)
    assert "lead I says µV, --units says mV" in refusal(path)


def test_quoted_cells_and_empty_last_lines_are_fine(tmp_path, values):
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerow(LEADS)
        rows.writerows(texts(values))
        file.write("\n\n")
    np.testing.assert_array_equal(read_table(path, units="mV", longest=50).signal, values)


def test_many_rows_are_read_in_order(tmp_path):
    values = np.arange((2 * BLOCK + 7) * 12.0).reshape(-1, 12)
    path = write(tmp_path / "t.csv", [[str(value) for value in row] for row in values])
    np.testing.assert_array_equal(read_table(path, units="mV", longest=len(values)).signal, values)
    assert f"more than {BLOCK} rows" in refusal(path, longest=BLOCK)


@pytest.mark.parametrize(
    ("name", "times", "step"),
    [
        ("time", ["0.000", "0.002", "0.004"], 0.002),
        ("Time (ms)", ["0", "2", "4"], 2),
        ("t", ["10:00:01", "10:00:02", "10:00:03"], None),
        ("time", ["3", "2", "1"], None),
        ("sample", ["0", "1", "2"], None),
    ],
)
def test_a_column_of_time_tells_its_step(tmp_path, values, name, times, step):
    rows = [[time, *row] for time, row in zip(times, texts(values[:3]), strict=True)]
    table = read_table(write(tmp_path / "t.csv", rows, (name, *LEADS)), units="mV", longest=50)
    assert (table.step and table.step.size) == (None if step is None else pytest.approx(step))
    assert table.ignored == (name,)


def test_numbers_are_no_voltages_in_their_units(tmp_path, values):
    path = write(tmp_path / "t.csv", changed(values, 3, 3, "-2e7"))
    for units in ("mV", "uV"):
        assert read_table(path, units=units, longest=50).signal.min() < -1e4
    assert "line 5, column aVR: '-2e7' V is no voltage" in refusal(path, units="V")
    enormous = write(tmp_path / "u.csv", changed(values, 3, 3, "1e308"))
    assert "line 5, column aVR: '1e308' V is no voltage" in refusal(enormous, units="V")


@pytest.mark.parametrize("cell", ["1", "-1", "+1.", ".5", "1e-2", "1E+02", " 0.25 "])
def test_plain_decimals_are_numbers(tmp_path, values, cell):
    table = read_table(write(tmp_path / "t.csv", changed(values, 3, 3, cell)), units="mV", longest=50)
    assert table.signal[3, 3] == float(cell)


def changed(values: np.ndarray, row: int, column: int, cell: str) -> list[list[str]]:
    rows = texts(values)
    rows[row][column] = cell
    return rows


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "line 5, column aVR: an empty cell"),
        ("n/a", "line 5, column aVR: 'n/a' is no number"),
        ("nan", "line 5, column aVR: 'nan' is no number"),
        ("inf", "line 5, column aVR: 'inf' is no number"),
        ("0_1", "line 5, column aVR: '0_1' is no number"),
        ("٣.٥", "line 5, column aVR: '٣.٥' is no number"),
        ("1e300", "line 5, column aVR: '1e300' mV is no voltage, it is beyond 1e+09 mV. Correct the cell"),
        ('"a\nb"', "line 6, column aVR: 'a\\nb' is no number"),
    ],
)
def test_a_cell_that_is_no_number_is_named(tmp_path, values, cell, said):
    assert said in refusal(write(tmp_path / "t.csv", changed(values, 3, 3, cell)))


def test_rows_of_other_lengths_are_named(tmp_path, values):
    rows = texts(values)
    rows[7] = rows[7][:-1]
    assert "line 9 has 11 cells, the first line has 12. Correct it." in refusal(write(tmp_path / "t.csv", rows))
    rows = texts(values)
    rows[7] = [""]
    assert "line 9 is empty, and rows follow" in refusal(write(tmp_path / "t.csv", rows))


def test_what_a_comma_means_is_not_guessed(tmp_path, values):
    between = write(tmp_path / "t.csv", texts(values, ","))
    assert re.search(r"line 2 has 24 cells.*Decimals with a comma need ; or tabs", refusal(between))
    thousands = [["1,234"] * 12] * 3
    assert "'1,234' may be a thousand and more" in refusal(write(tmp_path / "t.csv", thousands, mark=";"))
    decimals = [["1,234"] * 11 + ["0,5"]]
    table = read_table(write(tmp_path / "t.csv", decimals, mark=";"), units="mV", longest=1)
    np.testing.assert_array_equal(table.signal, [[1.234] * 11 + [0.5]])
    both = [["0,5"] * 11 + ["1.234,5"]]
    assert "'1.234,5' is no number" in refusal(write(tmp_path / "t.csv", both, mark=";"))


def test_leads_that_are_missing_or_doubled_are_named(tmp_path, values):
    rows = [row[:10] for row in texts(values)]
    assert "no column V5, V6" in refusal(write(tmp_path / "t.csv", rows, LEADS[:10]))
    rows = [[*row, "0"] for row in texts(values)]
    assert "more than one column II" in refusal(write(tmp_path / "t.csv", rows, (*LEADS, "ii")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line is: (nothing)"),
        (",".join(LEADS).encode(), "no row of samples"),
        (b"\x00\x01\x02\xff\xfe", "no column"),
        (",".join(LEADS).encode() + b'\n"1', "is no CSV table"),
    ],
)
def test_files_that_are_no_tables_of_leads_are_refused(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert said in refusal(path)


@pytest.mark.parametrize(
    "first",
    [
        "id,labels",
        "Recording,First_label,Second_label",
        "path,id,seconds,rate,probability I-AVB,predicted",
        "I,like",
        "",
    ],
)
def test_other_tables_name_no_leads(tmp_path, first):
    (tmp_path / "t.csv").write_text(first + "\n1,2\n")
    assert not names_leads(tmp_path / "t.csv")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_damage_is_refused_or_read_never_raised(tmp_path_factory, content, with_names):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes((",".join(LEADS) + "\n").encode() * with_names + content)
    try:
        assert read_table(path, units="mV", longest=100).signal.shape[1] == 12
    except RecordError as error:
        assert str(error).startswith(str(path))


def test_decimals_with_a_comma_may_begin_after_many_whole_numbers(tmp_path):
    """The first rows decide nothing where all their numbers are whole."""
    rows = [["0"] * 12 for _ in range(BLOCK)] + [["0,25"] * 12]
    path = write(tmp_path / "t.csv", rows, mark=";")
    table = read_table(path, units="mV", longest=2 * BLOCK)
    assert table.signal[-1].tolist() == [0.25] * 12
    assert "is no number" in refusal(write(tmp_path / "u.csv", [["0.5"] * 12] * BLOCK + [["0,25"] * 12], mark=";"))
