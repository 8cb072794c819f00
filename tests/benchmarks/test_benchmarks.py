"""Every benchmark runs, at tiny sizes, and gives finite ratios."""

from __future__ import annotations

import math

import jax
import pytest

from benchmarks import gpu
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.setting import Setting
from benchmarks.tables import Table, read_results


def assert_finite(table: Table) -> None:
    numbers = [cell for row in table.rows for cell in row if isinstance(cell, int | float)]
    assert numbers, table.title
    assert all(math.isfinite(number) and number > 0 for number in numbers), table.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    output = tmp_path / "results.json"
    assert main([name, "--quick", "--output", str(output)]) == 0
    results = read_results(output)
    assert set(results["benchmarks"]) == {name}
    tables = [Table(**table) for table in results["benchmarks"][name]["tables"]]
    printed = capsys.readouterr().out
    for table in tables:
        assert_finite(table)
        assert table.text() in printed
    speeds = [row[-2:] for table in tables for row in table.rows if any("speed" in name for name in table.columns)]
    assert speeds


@pytest.mark.slow
@pytest.mark.parametrize("part", (gpu.steps, gpu.epochs, gpu.sweep))
def test_what_gpus_are_measured_with_runs(part):
    for table in part(Setting(True)):
        assert_finite(table)


def test_a_setting_is_the_authors_network_or_a_tiny_one():
    full, tiny = Setting(False), Setting(True)
    assert (full.config.model.width, full.batch_size, full.samples) == (1.0, 32, 2880)
    assert full.config.objective.gamma == 0.01 and full.config.data.window == "crop"
    assert sum(leaf.size for leaf in jax.tree.leaves(tiny.variables["params"])) < 100_000
