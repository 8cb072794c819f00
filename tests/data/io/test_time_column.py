"""A column of time: its step as far as its digits tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xecgnet_jax.data.io.time_column import TimeColumn, TimeStep


def step_of(*blocks: list[str]) -> TimeStep | None:
    column = TimeColumn()
    for block in blocks:
        column.add(block)
    return column.step()


@settings(max_examples=200, deadline=None)
@given(
    rate=st.floats(50, 5000),
    digits=st.integers(0, 9),
    rows=st.integers(2, 400),
    start=st.floats(-100, 100),
    cut=st.integers(1, 400),
    comma=st.booleans(),
)
def test_the_true_step_lies_within_the_error(rate, digits, rows, start, cut, comma):
    """However time is rounded, and wherever the blocks end."""
    times = [f"{start + row / rate:.{digits}f}" for row in range(rows)]
    if comma:
        times = [time.replace(".", ",") for time in times]
    step = step_of(*filter(None, (times[:cut], times[cut:])))
    if step is None:
        assert float(times[0].replace(",", ".")) == float(times[-1].replace(",", "."))
    else:
        assert abs(step.size - 1 / rate) <= step.error * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize(
    "times",
    [
        ["3", "2", "1"],
        ["1", "1", "1"],
        ["1"],
        ["0", "1", "8", "9"],
        ["0.0", "0.1", "0.2", "0.3", "7.0"],
        ["0", "nan", "2"],
        ["0", "1_0", "20"],
        ["-1e300", "0", "1e300"],
        ["", "1", "2"],
    ],
)
def test_what_does_not_rise_evenly_says_nothing(times):
    assert step_of(times) is None


def test_no_rows_say_nothing():
    assert step_of() is None


def test_single_precision_rises_evenly():
    times = [str(time) for time in np.arange(5000, dtype=np.float32) / np.float32(360)]
    step = step_of(times)
    assert step is not None and step.size == pytest.approx(1 / 360)
