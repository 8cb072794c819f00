"""Timings, tables, files of results and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.tables import Table, fill_page, format_cell, timing_table
from benchmarks.timing import Timing, summarize, time_in_turns
from xecgnet_jax.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_runs_take_turns_and_the_first_turns_do_not_count():
    calls = []
    timings = time_in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repetitions=3, warmup=2, pause=0
    )
    assert "".join(calls) == "ab" * 5
    assert timings["a"].repetitions == timings["b"].repetitions == 3


def test_calls_directly_before_each_timing_do_not_count():
    calls = []
    timings = time_in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repetitions=2, warmup=1, lead=2, pause=0
    )
    assert "".join(calls) == "aaabbb" * 3
    assert timings["a"].repetitions == 2


def test_quartiles():
    timing = summarize([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (timing.lower, timing.median, timing.upper, timing.repetitions) == (2.0, 3.0, 4.0, 5)


def test_a_timing_table_compares_with_its_baseline():
    timings = {"ours": Timing(0.5, 0.4, 0.6, 5), "peer": Timing(1.0, 0.9, 1.1, 5)}
    table = timing_table("A step", timings, baseline="peer", amount=32, unit="windows", compiling={"ours": 7.0})
    assert table.columns == ["", "median s", "quartiles s", "windows/s", "speed, peer = 1", "compiling s"]
    assert table.rows[0] == ["ours", 0.5, "0.4–0.6", 64.0, 2.0, 7.0]
    assert table.rows[1] == ["peer", 1.0, "0.9–1.1", 32.0, 1.0, None]
    assert Table(**json.loads(json.dumps(table.to_json()))) == Table(
        table.title, table.columns, table.rows, list(table.remarks)
    )
    lines = table.text().splitlines()
    assert len({len(line) for line in lines[2:4]}) == 1  # columns are aligned
    assert "| ours | 0.5 | 0.4–0.6 | 64 | 2 | 7 |" in table.markdown()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        ("x", "x"),
        (12345, "12,345"),
        (12345.6, "12,346"),
        (99.96, "100"),
        (0.0, "0"),
        (1.2345, "1.23"),
        (0.00001234, "0.000012"),
    ],
)
def test_numbers_are_shown_with_three_digits(cell, text):
    assert format_cell(cell) == text


def test_a_page_gets_the_tables_it_has_places_for(tmp_path):
    table = Table("Speed", ("", "s"), [["ours", 0.5]])
    results = {"machine": {"threads": "2", "jax": "1.0"}, "benchmarks": {"step": {"tables": [table.to_json()]}}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n<!-- step -->\nold\n<!-- /step -->\n"
        "<!-- machine --><!-- /machine -->\ntext\n<!-- other -->\nkept\n<!-- /other -->\n"
    )
    assert main(["--fill", str(tmp_path / "results.json"), str(page)]) == 0
    text = page.read_text()
    assert "| ours | 0.5 |" in text and "old" not in text
    assert "<!-- machine -->\nMeasured on: threads 2; jax 1.0.\n<!-- /machine -->" in text
    assert text.startswith("# Title\n") and text.endswith("\ntext\n<!-- other -->\nkept\n<!-- /other -->\n")
    page.write_text("nothing")
    with pytest.raises(ConfigError, match=r"no place for machine, step"):
        fill_page(tmp_path / "results.json", page)


def test_wrong_names_and_files_are_one_line(tmp_path, capsys):
    assert main(["nosuch"]) == 2
    assert "no benchmark nosuch; possible: step" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("[]")
    assert main(["--fill", str(tmp_path / "x.json"), str(tmp_path / "page.md")]) == 2
    assert "holds no results" in capsys.readouterr().err


def test_what_is_named_is_what_there_is():
    with_run = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if re.search(r"^def run\(setting", path.read_text(), re.M)
    }
    assert set(BENCHMARKS) == with_run


def test_without_a_gpu_the_gpu_script_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("no NVIDIA GPU that JAX can use")
