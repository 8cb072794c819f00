"""Runs as a notebook uses them: arrays in, probabilities, label sets and maps out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.export.test_export import make_run
from xecgnet_jax.data.io.wfdb import resample
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.runs.load import Run, load_run

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run()


@pytest.fixture
def signals() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(samples, 12)) for samples in (600, 900)]


def test_one_recording_several_and_a_list_say_the_same(run, signals):
    listed = run.predict(signals, maps=True)
    stacked = run.predict(np.stack([signals[0], 2 * signals[0]]), maps=True)
    one = run.predict(signals[0].astype(np.float32), maps=True)
    assert listed.probabilities.shape == stacked.probabilities.shape == (2, 9) and one.probabilities.shape == (9,)
    for found in (stacked.probabilities[0], one.probabilities):
        np.testing.assert_allclose(found, listed.probabilities[0], atol=1e-6)
    assert listed.label_sets[0] == stacked.label_sets[0] == one.label_sets
    assert len(listed.maps) == len(stacked.maps) == 2
    for maps in (stacked.maps[0], one.maps):
        np.testing.assert_array_equal(maps.edges, listed.maps[0].edges)
        np.testing.assert_allclose(maps.attention, listed.maps[0].attention, atol=1e-6)
    assert one.maps.edges[-1] == 600 and listed.maps[1].edges[-1] == 900
    assert run.predict(signals).maps is None


@pytest.mark.parametrize("name", ["0.5", "best-f1", "best-subset"])
def test_label_sets_go_by_the_thresholds(run, signals, name):
    found = run.predict(signals, thresholds=name)
    for row, names in zip(found.probabilities, found.label_sets, strict=True):
        assert names == tuple(np.array(run.classes)[row >= run.thresholds(name).values])


def test_other_rates_are_resampled(run, signals):
    found = run.predict(signals, rate=250, maps=True)
    expected = run.predict([resample(signal, 250, 500) for signal in signals])
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert [maps.edges[-1] for maps in found.maps] == [1200, 1800]


SIGNAL = np.zeros((600, 12))
NAN, HUGE = SIGNAL.copy(), SIGNAL.copy()
NAN[5, 1], HUGE[5, 6] = np.nan, 1e10


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (SIGNAL.T, r"recording 0 is \[12, 600\], and must be \[T, 12\].*leads come last: transpose it"),
        (SIGNAL[:, :8], r"recording 0 is \[600, 8\]"),
        (SIGNAL[:, 0], r"the signals are \[600\]"),
        (SIGNAL[None, None], r"the signals are \[1, 1, 600, 12\]"),
        ([SIGNAL, SIGNAL[:0]], r"recording 1 is \[0, 12\]"),
        ([], "there are no signals"),
        (np.zeros((0, 600, 12)), "there are no signals"),
        ([SIGNAL, NAN], "recording 1 has samples that are no voltages in II: NaN"),
        (np.where(np.isnan(NAN), np.inf, NAN), "no voltages in II"),
        (HUGE, "no voltages in V1"),
        (SIGNAL.astype(str), "recording 0 is of type <U32; give numbers, in mV"),
    ],
)
def test_what_is_no_ecg_is_refused(run, signals, said):
    with pytest.raises(ValueError, match=said):
        run.predict(signals)


@pytest.mark.parametrize("rate", [0, -500, 1, 1e6, np.nan, np.inf])
def test_impossible_rates_are_refused(run, rate):
    with pytest.raises(ValueError, match="an ECG has 50 to 100,000 Hz"):
        run.predict(SIGNAL, rate=rate)


def test_unknown_thresholds_are_refused(run):
    with pytest.raises(CheckpointError, match="there are no thresholds 'best'; possible: "):
        run.predict(SIGNAL, thresholds="best")


def test_a_path_may_be_text(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoints there"):
        load_run(str(Path(tmp_path)))
