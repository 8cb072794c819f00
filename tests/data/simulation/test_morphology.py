"""Shapes by their textbook definitions, measured on clean signals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.data.simulation.measures import clean, complexes, lead, samples_of, st_levels
from xecgnet_jax.data.leads import LEADS

pytestmark = pytest.mark.ci

PATIENTS = range(20)
CONTIGUOUS = [("II", "aVF"), ("aVF", "III"), ("V1", "V2"), ("V2", "V3"), ("V3", "V4"), ("I", "aVL"), ("V5", "V6")]


def average_qrs(recording, name):
    """[W] mV of the conducted QRS complex in a lead, from its annotated onset to its end, against its onset."""
    signal, events = lead(recording, name), recording.annotations
    beats = [at for at, symbol in enumerate(events.symbol) if symbol in "NLR" and events.sample[at - 1] > 10]
    onsets, ends = (np.array([neighbor(events, at, step) for at in beats]) for step in (-1, 1))
    width = int(np.median(ends - onsets))
    whole = onsets[onsets + width < len(signal)]
    return np.mean([signal[onset : onset + width] - signal[onset - 1] for onset in whole], axis=0)


def neighbor(events, at, step):
    """Sample of the "(" before (step −1) or the ")" after (1) a beat."""
    wanted = "(" if step < 0 else ")"
    while events.symbol[at] != wanted:
        at += step
    return events.sample[at]


def qrs_duration(recording):
    return np.median([beat.duration for beat in complexes(recording) if beat.symbol in "NLR"])


def t_wave(recording, name):
    """mV of the largest deflection 100 to 330 ms after QRS complexes that have time for it, against their onset."""
    signal, beats = lead(recording, name), complexes(recording)
    average = np.mean(
        [
            signal[beat.end + 50 : beat.end + 165] - signal[beat.onset - 4]
            for beat, after in itertools.pairwise(beats)
            if beat.symbol in "NLR" and after.onset - beat.end > 200
        ],
        axis=0,
    )
    return average[np.abs(average).argmax()]


@pytest.mark.parametrize("classes", [("Normal",), ("I-AVB",), ("PAC",), ("PVC",), ("STD",), ("STE",)])
def test_qrs_complex_is_narrow_without_bundle_branch_block(classes):
    assert all(0.070 <= qrs_duration(clean(index, *classes)) <= 0.110 for index in PATIENTS)


@pytest.mark.parametrize(
    "classes", [("LBBB",), ("RBBB",), ("I-AVB", "LBBB"), ("PAC", "RBBB"), ("PVC", "RBBB"), ("RBBB", "STD")]
)
def test_qrs_complex_is_wide_with_bundle_branch_block(classes):
    assert all(0.120 <= qrs_duration(clean(index, *classes)) <= 0.170 for index in PATIENTS)


def test_normal_r_wave_grows_from_rs_in_v1_to_qr_in_v6():
    for index in PATIENTS:
        recording = clean(index, "Normal")
        v1, v6 = average_qrs(recording, "V1"), average_qrs(recording, "V6")
        assert 0.03 < v1.max() < 0.6 * -v1.min()
        assert v1.argmax() < v1.argmin()
        assert v6.max() > 1.8 * -v6.min()
        assert v6[: v6.argmax()].min() < -0.02  # Septal q.
        ratio = [(wave := average_qrs(recording, f"V{n}")).max() / -wave.min() for n in (1, 3, 5)]
        assert ratio == sorted(ratio)


def test_normal_axis_and_t_waves():
    for index in PATIENTS:
        recording = clean(index, "Normal")
        one, avf = (average_qrs(recording, name).sum() for name in ("I", "aVF"))
        assert -30 <= np.degrees(np.arctan2(avf * 2 / np.sqrt(3), one)) <= 100
        assert average_qrs(recording, "aVR").sum() < 0
        assert all(t_wave(recording, name) > 0 for name in ("I", "II", "V3", "V4", "V5", "V6"))
        assert t_wave(recording, "aVR") < 0


def test_patients_differ():
    recordings = [clean(index, "Normal") for index in range(40)]
    axes = [
        np.degrees(np.arctan2(average_qrs(r, "aVF").sum() * 2 / np.sqrt(3), average_qrs(r, "I").sum()))
        for r in recordings
    ]
    heights = [average_qrs(r, "V5").max() for r in recordings]
    assert np.std(axes) > 8
    assert np.std(heights) / np.mean(heights) > 0.15
    assert 0.5 < np.mean(heights) < 2.0


@pytest.mark.parametrize("classes", [("RBBB",), ("AF", "RBBB"), ("PVC", "RBBB"), ("PAC", "RBBB")])
def test_right_bundle_branch_block_has_rsr_in_v1_and_broad_s_in_one_and_v6(classes):
    for index in PATIENTS:
        recording = clean(index, *classes)
        v1 = average_qrs(recording, "V1")
        half = len(v1) // 2
        assert v1[half:].max() > 0.2
        assert v1[half:].max() > 1.1 * v1[:half].max()
        assert v1[half:].mean() > 0.08
        trough = v1[: half + v1[half:].argmax()].min()
        assert v1[:half].max() > trough + 0.05  # r, then s (perhaps only a notch), then R'.
        for name in ("I", "V6"):
            wave = average_qrs(recording, name)
            s_wave = wave[wave.argmax() :]
            assert s_wave.min() < -0.08
            assert (s_wave < 0.5 * s_wave.min()).sum() / 500 >= 0.028
        if classes == ("RBBB",):
            assert t_wave(recording, "V1") < 0


@pytest.mark.parametrize("classes", [("LBBB",), ("AF", "LBBB"), ("I-AVB", "LBBB"), ("LBBB", "PAC")])
def test_left_bundle_branch_block_has_broad_r_without_q_laterally_and_deep_s_in_v1(classes):
    for index in PATIENTS:
        recording = clean(index, *classes)
        for name in ("I", "V5", "V6"):
            wave = average_qrs(recording, name)
            assert wave.max() > 0.2
            assert (wave > 0.5 * wave.max()).sum() / 500 >= 0.060
            assert wave[: wave.argmax()].min() > -0.07 * wave.max()
        v1 = average_qrs(recording, "V1")
        assert -v1.min() > 0.5
        assert v1.max() < 0.25 * -v1.min()
        if classes == ("LBBB",):
            assert t_wave(recording, "V6") < 0 < t_wave(recording, "V1")


def test_left_bundle_branch_block_is_notched_or_slurred_laterally():
    """Two humps in V5 or V6 in most patients."""
    notched = 0
    for index in PATIENTS:
        waves = [average_qrs(clean(index, "LBBB"), name) for name in ("V5", "V6")]
        notched += any(
            ((wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:]) & (wave[1:-1] > 0.6 * wave.max())).sum() >= 2
            for wave in waves
        )
    assert notched > 0.8 * len(PATIENTS)


@pytest.mark.parametrize("classes", [("Normal",), ("I-AVB",), ("PAC",), ("PVC",)])
def test_st_segment_is_level_without_injury(classes):
    assert all((np.abs(st_levels(clean(index, *classes))) < 0.1).all() for index in PATIENTS)


def contiguous_shift(levels, sign):
    """mV that two contiguous leads both deviate by, in the direction of `sign`."""
    return max(min(sign * levels[LEADS.index(name)] for name in pair) for pair in CONTIGUOUS)


@pytest.mark.parametrize(
    "classes",
    [("STE",), ("RBBB", "STE"), ("I-AVB", "STE"), ("PAC", "STE"), ("PVC", "STE"), ("LBBB", "STE"), ("STD", "STE")],
)
def test_st_elevation_reaches_a_tenth_of_a_millivolt_in_contiguous_leads(classes):
    assert all(contiguous_shift(st_levels(clean(index, *classes)), 1) >= 0.1 for index in PATIENTS)


@pytest.mark.parametrize(
    "classes",
    [("STD",), ("RBBB", "STD"), ("I-AVB", "STD"), ("PAC", "STD"), ("PVC", "STD"), ("LBBB", "STD"), ("STD", "STE")],
)
def test_st_depression_reaches_a_tenth_of_a_millivolt_in_contiguous_leads(classes):
    assert all(contiguous_shift(st_levels(clean(index, *classes)), -1) >= 0.1 for index in PATIENTS)


@pytest.mark.parametrize("name, opposite", [("STE", -1), ("STD", 1)])
def test_main_shift_is_larger_than_the_reciprocal_one(name, opposite):
    for index in range(60):
        levels = st_levels(clean(index, name))
        assert contiguous_shift(levels, -opposite) > 1.2 * contiguous_shift(levels, opposite)
        if name == "STD":
            assert contiguous_shift(levels, opposite) < 0.1


@pytest.mark.parametrize("name, sign", [("STE", 1), ("STD", -1)])
def test_every_territory_occurs(name, sign):
    deepest = set()
    for index in range(60):
        levels = st_levels(clean(index, name))
        deepest.add(max(CONTIGUOUS, key=lambda pair: min(sign * levels[LEADS.index(lead)] for lead in pair)))
    assert deepest & {("II", "aVF"), ("aVF", "III")}
    assert deepest & {("V1", "V2"), ("V2", "V3"), ("V3", "V4")}
    assert deepest & {("V5", "V6"), ("I", "aVL")}


@pytest.mark.parametrize("classes", [("Normal",), ("LBBB",), ("RBBB",), ("PVC",)])
def test_annotated_onsets_and_ends_are_those_of_the_signal(classes):
    for index in PATIENTS:
        recording = clean(index, *classes)
        onsets, ends = samples_of(recording, "("), samples_of(recording, ")")
        errors = [(np.abs(onsets - beat.onset).min(), np.abs(ends - beat.end).min()) for beat in complexes(recording)]
        assert (np.median(errors, axis=0) <= 3).all()  # Samples of 2 ms.


@pytest.mark.parametrize("classes", [("STE",), ("STD",), ("STD", "STE"), ("Normal",)])
def test_annotated_st_levels_are_those_of_the_signal(classes):
    for index in PATIENTS:
        recording = clean(index, *classes)
        events = recording.annotations
        notes = [note for symbol, note in zip(events.symbol, events.aux, strict=True) if symbol == "s"]
        levels = st_levels(recording)
        annotated = {}
        for note in notes:
            if note.startswith("AST"):
                index_of_lead, microvolts = note[3:].replace("-", "+").split("+")
                annotated[int(index_of_lead)] = (-1 if "-" in note else 1) * int(microvolts) / 1000
        assert set(annotated) >= {i for i in range(12) if abs(levels[i]) > 0.15}
        for index_of_lead, level in annotated.items():
            assert levels[index_of_lead] == pytest.approx(level, abs=0.06, rel=0.3)
