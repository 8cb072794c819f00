"""Timings, tables, files of results and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import markdown
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.floor import step_floor
from benchmarks.memory import watch_memory
from benchmarks.tables import Table, format_cell, timing_table
from benchmarks.timing import Timing, summarize, time_in_turns
from benchmarks.traces import sum_times
from xecgnet_jax.errors import ConfigError, XECGNetError

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
    assert Table.from_json(json.loads(json.dumps(table.to_json()))) == Table(
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
    results = {"machine": {"threads": "2"}, "benchmarks": {"step": {"tables": [table.to_json()]}}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- step -->\nold\n<!-- /step -->\ntext\n<!-- other -->\nkept\n<!-- /other -->\n")
    assert main(["--markdown", str(tmp_path / "results.json"), "--into", str(page)]) == 0
    text = page.read_text()
    assert "| ours | 0.5 |" in text and "old" not in text
    assert text.startswith("# Title\n") and text.endswith("\ntext\n<!-- other -->\nkept\n<!-- /other -->\n")
    page.write_text("nothing")
    with pytest.raises(ConfigError, match=r"no place for machine, step"):
        markdown.show(tmp_path / "results.json", page)


def test_wrong_names_and_files_are_one_line(tmp_path, capsys):
    assert main(["nosuch"]) == 2
    assert "no benchmark nosuch; possible: step" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("[]")
    assert main(["--markdown", str(tmp_path / "x.json")]) == 2
    assert "holds no results" in capsys.readouterr().err


def test_the_list_names_modules_that_run(capsys):
    assert main(["--list"]) == 0
    named = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    with_run = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if re.search(r"^def run\(setting", path.read_text(), re.M)
    }
    assert named == set(BENCHMARKS) == with_run


def test_memory_of_a_command_and_its_children():
    child = "x = bytearray(60 << 20); sum(range(2 * 10**7))"
    parent = (
        f"import subprocess, sys; x = bytearray(50 << 20); subprocess.run([sys.executable, '-c', {child!r}]); print(7)"
    )
    ran = watch_memory([sys.executable, "-c", parent])
    assert ran.output == "7\n"
    assert 110 << 20 < ran.together <= ran.highest < 300 << 20
    with pytest.raises(XECGNetError, match="failed: wrong"):
        watch_memory([sys.executable, "-c", "raise SystemExit('wrong')"])


def test_the_floor_counts_by_hand():
    """A backbone convolution of the second group, a branch's, and a dense layer, on 2 × 30 samples."""
    import numpy as np

    params = {
        "backbone": {"conv_0": {"kernel": np.zeros((3, 12, 4))}, "conv_2": {"kernel": np.zeros((3, 4, 8))}},
        "branch": {"kernel": np.zeros((1, 8, 5))},
        "dense": {"kernel": np.zeros((5, 9)), "bias": np.zeros(9)},
    }
    first, second, branch, dense = 2 * 30 * 144, 2 * 10 * 96, 2 * 1 * 40, 2 * 45
    outputs = 2 * 30 * 4 + 2 * 10 * 8 + 2 * 5 + 2 * 9
    parameters = 144 + 96 + 40 + 45 + 9
    floor = step_floor(params, 2, 30)
    assert floor.multiply_adds == 2 * first + 3 * (second + branch + dense)
    assert floor.bytes == 4 * (5 * outputs + 8 * parameters)


def test_kernels_of_a_trace():
    """Only what ran on a GPU's streams counts."""

    def meta(kind, pid, tid, name):
        return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}

    events = [
        meta("process_name", 1, 0, "/device:GPU:0"),
        meta("process_name", 2, 0, "/host:CPU"),
        meta("thread_name", 1, 5, "Stream #5(Compute)"),
        meta("thread_name", 1, 6, "XLA Ops"),
        meta("thread_name", 2, 7, "python"),
        {"ph": "X", "pid": 1, "tid": 5, "name": "gemm", "dur": 2e6},
        {"ph": "X", "pid": 1, "tid": 5, "name": "gemm", "dur": 1e6},
        {"ph": "X", "pid": 1, "tid": 6, "name": "fusion", "dur": 9e6},
        {"ph": "X", "pid": 2, "tid": 7, "name": "wait", "dur": 9e6},
    ]
    assert sum_times(events) == {"gemm": pytest.approx(3.0)}


def test_without_a_gpu_the_gpu_script_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("no NVIDIA GPU that JAX can use")
