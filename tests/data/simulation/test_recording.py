"""What holds of every simulated recording, and of many together."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from xecgnet_jax.data.labels import CLASSES, CPSC_INTEGERS
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.data.simulation.population import LABEL_SETS, draw_classes, draw_duration
from xecgnet_jax.errors import ConfigError

SHARED = Path(__file__).resolve().parents[4] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")

class_sets = st.one_of(
    st.sampled_from([frozenset(labels) for labels in LABEL_SETS]),
    st.frozensets(st.sampled_from([name for name in CLASSES if name not in ("Normal", "LBBB")]), min_size=1),
)
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 10**6), class_sets, st.floats(6.0, 40.0))
@example(1633, 1633, frozenset({"PAC", "PVC", "STD"}), 6.0)
@example(279, 279, frozenset({"PAC", "PVC"}), 6.0)
def test_any_possible_recording_is_sound(seed, index, classes, duration):
    recording = simulate_recording(seed, index, classes, duration_s=duration)
    signal = recording.signal
    assert signal.shape == (round(duration * RATE), 12)
    assert signal.dtype == np.float32
    assert np.isfinite(signal).all()
    assert 0.2 < np.ptp(signal, axis=0).max() < 16
    assert recording.classes == classes
    assert 18 <= recording.age <= 95
    assert recording.sex in "FM"
    one, two, three, avr, avl, avf = (signal[:, i].astype(np.float64) for i in range(6))
    for leads_sum in (one + three - two, avr + (one + two) / 2, avl - (one - three) / 2, avf - (two + three) / 2):
        assert np.abs(leads_sum).max() < 2e-6
    events = recording.annotations
    assert (np.diff(events.sample) >= 0).all()
    assert 0 <= events.sample[0] <= events.sample[-1] < len(signal)
    assert len(events.sample) == len(events.symbol) == len(events.aux)
    marks = [symbol for symbol in events.symbol if symbol not in "+sp"]
    assert marks == [mark for beat in marks[1::3] for mark in ("(", beat, ")")]
    assert set(marks[1::3]) <= set("NLRAV")
    assert ("A" in marks) == ("PAC" in classes)
    assert ("V" in marks) == ("PVC" in classes)
    assert ("(AFIB" in events.aux) == ("AF" in classes)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(0, 10**6))
def test_recording_is_a_function_of_seed_and_index(seed, index):
    first, again = (simulate_recording(seed, index, duration_s=8.0) for _ in range(2))
    assert first.signal.tobytes() == again.signal.tobytes()
    assert first.annotations.symbol == again.annotations.symbol
    other = simulate_recording(seed, index + 1, duration_s=8.0)
    assert not np.array_equal(first.signal, other.signal)


def test_noise_leaves_heart_and_annotations_as_they_are():
    clean, half, noisy = (simulate_recording(1, 2, duration_s=20.0, noise=noise) for noise in (0.0, 0.5, 1.0))
    assert np.array_equal(clean.annotations.sample, noisy.annotations.sample)
    difference = noisy.signal - clean.signal
    assert np.allclose(half.signal - clean.signal, difference / 2, atol=1e-6)
    assert 0.005 < difference.std() < 1.0


def test_noise_of_many_recordings_has_its_parts():
    """Wander below 0.7 Hz, mains in some recordings, muscle between; and single electrodes that slip."""
    bands = {"wander": (0.02, 0.7), "muscle": (70.0, 110.0), "mains": (49.5, 50.5), "beside mains": (45.0, 48.0)}
    power = {name: [] for name in bands}
    for index in range(60):
        noisy, clean = (
            simulate_recording(3, index, frozenset({"Normal"}), duration_s=20.0, noise=noise) for noise in (1.0, 0.0)
        )
        spectrum = np.abs(np.fft.rfft(noisy.signal[:, 0] - clean.signal[:, 0])) ** 2 / len(clean.signal) ** 2
        frequency = np.fft.rfftfreq(len(clean.signal), 1 / RATE)
        for name, (low, high) in bands.items():
            power[name].append(np.sqrt(2 * spectrum[(frequency >= low) & (frequency < high)].sum()))
    assert 0.02 < np.median(power["wander"]) < 0.3
    assert 0.001 < np.median(power["muscle"]) < 0.03
    with_mains = np.array(power["mains"]) > 2 * np.array(power["beside mains"])
    assert 0 < with_mains.mean() < 0.5


def test_slipping_electrode_of_the_chest_moves_one_lead():
    """The largest step within half a second, far above that of the other leads, is found in some recordings."""
    alone = Counter()
    for index in range(80):
        noisy, clean = (
            simulate_recording(4, index, frozenset({"Normal"}), duration_s=20.0, noise=noise) for noise in (1.0, 0.0)
        )
        noise = noisy.signal - clean.signal
        steps = np.abs(noise[200:] - noise[:-200]).max(axis=0)
        chest = np.sort(steps[6:])
        alone[LEADS[6 + steps[6:].argmax()]] += chest[-1] > 3 * chest[-2]
    assert sum(count > 0 for count in alone.values()) >= 3


def test_label_sets_are_drawn_with_their_frequencies():
    rng = np.random.default_rng(0)
    drawn = Counter(draw_classes(rng) for _ in range(20_000))
    assert set(drawn) <= {frozenset(labels) for labels in LABEL_SETS}
    frequent = [labels for labels, count in LABEL_SETS.items() if count >= 15]
    rest = sum(count for labels, count in LABEL_SETS.items() if labels not in frequent)
    observed = [drawn[frozenset(labels)] for labels in frequent]
    expected = np.array([LABEL_SETS[labels] for labels in frequent] + [rest]) * 20_000 / sum(LABEL_SETS.values())
    assert chisquare([*observed, 20_000 - sum(observed)], expected).pvalue > 0.001


def test_label_sets_have_the_totals_of_cpsc2018():
    totals = {name: sum(n for labels, n in LABEL_SETS.items() if name in labels) for name in CLASSES}
    assert sum(LABEL_SETS.values()) == 6877
    assert totals == {
        "AF": 1221, "I-AVB": 722, "LBBB": 236, "Normal": 918, "PAC": 616,
        "PVC": 700, "RBBB": 1857, "STD": 869, "STE": 220,
    }  # fmt: skip
    assert sum(count for labels, count in LABEL_SETS.items() if len(labels) > 1) == 476


@needs_shared
def test_label_sets_are_those_of_the_reference_table():
    with (SHARED / "data" / "cpsc2018" / "REFERENCE.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    counted = Counter(frozenset(CPSC_INTEGERS[code] for code in row[1:] if code) for row in rows)
    assert counted == {frozenset(labels): count for labels, count in LABEL_SETS.items()}


def test_durations_are_like_those_of_cpsc2018():
    rng = np.random.default_rng(1)
    seconds = np.array([draw_duration(rng) for _ in range(20_000)])
    assert seconds.min() >= 6.0
    assert seconds.max() <= 144.0
    assert 15.0 < seconds.mean() < 17.0
    assert ((seconds >= 10.0) & (seconds <= 15.0)).mean() > 0.6
    assert 0.005 < (seconds > 60.0).mean() < 0.011


def test_drawn_recordings_use_drawn_labels_and_lengths():
    recordings = [simulate_recording(9, index) for index in range(60)]
    assert len({recording.classes for recording in recordings}) > 6
    assert len({len(recording.signal) for recording in recordings}) > 20


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"classes": frozenset({"Flutter"})}, "Flutter"),
        ({"classes": frozenset()}, "one or more"),
        ({"classes": frozenset({"Normal", "AF"})}, "Normal stands alone"),
        ({"classes": frozenset({"LBBB", "RBBB"})}, "both bundle branches"),
        ({"duration_s": 5.0}, "duration 5"),
        ({"duration_s": float("nan")}, "duration nan"),
        ({"noise": -1.0}, "noise -1"),
        ({"noise": float("nan")}, "noise nan"),
    ],
)
def test_impossible_wishes_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        simulate_recording(0, 0, **arguments)


def test_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="seed -1"):
        simulate_recording(-1, 0)
