"""Rhythms by their textbook definitions, measured on clean signals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.signal import welch

from tests.data.simulation.measures import BEATS, clean, complexes, lead, p_onset, samples_of
from xecgnet_jax.data.leads import RATE

pytestmark = pytest.mark.ci

PATIENTS = range(20)
SINUS_CLASSES = ["Normal", "I-AVB", "LBBB", "RBBB", "STD", "STE"]


def beat_times(recording, symbols=BEATS):
    events = recording.annotations
    return events.sample[[symbol in symbols for symbol in events.symbol]] / RATE


def measured_pr(recording):
    """Median PR interval in seconds, P onset to QRS onset, both measured in the signal.

    Only of P waves that lie clear of the T wave before them; None where all lie on one.
    """
    p_waves = samples_of(recording, "p")
    intervals = []
    for earlier, beat in itertools.pairwise(complexes(recording)):
        before = p_waves[(p_waves < beat.onset) & (p_waves > earlier.onset + 0.55 * RATE)]
        if beat.symbol in "NLR" and len(before):
            intervals.append((beat.onset - p_onset(recording, before[-1])) / RATE)
    return np.median(intervals) if intervals else None


def measured_prs(*classes):
    intervals = [measured_pr(clean(index, *classes)) for index in PATIENTS]
    measurable = [interval for interval in intervals if interval is not None]
    assert len(measurable) >= len(PATIENTS) / 2
    return measurable


def before_qrs(recording, name, seconds):
    """[N, W] mV of a lead before the annotated onset of each QRS complex, ends levelled to 0.

    Only where the T wave before is over by then. A measured onset would not do here: where f waves are coarse,
    it takes their last one for the start of the complex.
    """
    signal, width = lead(recording, name), int(seconds * RATE)
    onsets = samples_of(recording, "(")
    late = onsets[1:][np.diff(onsets) > width + 0.42 * RATE]
    pieces = [signal[onset - width : onset + 1] for onset in late]
    return np.array([piece - np.linspace(piece[0], piece[-1], len(piece)) for piece in pieces])


@pytest.mark.parametrize("name", SINUS_CLASSES)
def test_sinus_rhythm_is_regular_with_one_p_wave_before_each_beat(name):
    for index in PATIENTS:
        recording = clean(index, name)
        intervals = np.diff(beat_times(recording))
        assert 50 <= 60 / intervals.mean() <= 110
        assert 0.003 < intervals.std() / intervals.mean() < 0.12
        p_waves, onsets = samples_of(recording, "p"), samples_of(recording, "(")
        for earlier, later in itertools.pairwise(onsets):
            assert ((p_waves > earlier) & (p_waves < later)).sum() == 1


@pytest.mark.parametrize("name", ["Normal", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"])
def test_pr_interval_is_normal_without_block(name):
    assert all(0.120 <= interval <= 0.200 for interval in measured_prs(name))


@pytest.mark.parametrize("classes", [("I-AVB",), ("I-AVB", "LBBB"), ("I-AVB", "RBBB"), ("I-AVB", "PAC")])
def test_first_degree_block_has_a_long_constant_pr_interval(classes):
    assert all(0.200 < interval <= 0.330 for interval in measured_prs(*classes))


def test_p_wave_is_upright_in_two_and_inverted_in_avr():
    for index in PATIENTS:
        recording = clean(index, "Normal")
        for name, sign in (("II", 1), ("aVR", -1)):
            wave = before_qrs(recording, name, 0.2).mean(axis=0)
            assert 0.04 < (sign * wave).max() < 0.4
            assert (sign * wave).max() > 3 * (-sign * wave).max()


@pytest.mark.parametrize("classes", [("AF",), ("AF", "LBBB"), ("AF", "RBBB"), ("AF", "STD")])
def test_fibrillation_is_irregularly_irregular(classes):
    for index in PATIENTS:
        intervals = np.diff(beat_times(clean(index, *classes, duration_s=60.0)))
        assert intervals.std() / intervals.mean() > 0.12
        centerd = intervals - intervals.mean()
        assert abs((centerd[1:] * centerd[:-1]).mean()) < 0.45 * centerd.var()  # No memory: no grouping.


def test_fibrillation_has_no_p_waves():
    """How much of what precedes QRS complexes is in step with them: all in sinus rhythm, little in fibrillation."""
    for index in PATIENTS:
        in_step = {}
        for name in ("AF", "Normal"):
            recording = clean(index, name, duration_s=60.0)
            pieces = before_qrs(recording, "II", 0.2)
            in_step[name] = (pieces.mean(axis=0) ** 2).mean() / (pieces**2).mean()
        assert not len(samples_of(clean(index, "AF", duration_s=60.0), "p"))
        assert in_step["Normal"] > 0.9
        assert in_step["AF"] < 0.3


def test_fibrillatory_waves_are_of_4_to_9_hz_and_largest_in_v1():
    for index in PATIENTS:
        recording = clean(index, "AF", duration_s=60.0)
        power = {name: f_wave_spectrum(recording, name) for name in ("I", "V1", "V5")}
        frequency, v1 = power["V1"]
        assert 4.1 < frequency[v1.argmax()] <= 9.0
        assert v1.max() > power["V5"][1][v1.argmax()]
        assert v1.max() > power["I"][1][v1.argmax()]
        assert 0.01 < np.sqrt(v1.sum() * (frequency[1] - frequency[0])) < 0.2  # mV, root mean square


def f_wave_spectrum(recording, name):
    """(Hz, mV²/Hz) of a lead from 4 to 12 Hz after average-beat subtraction: what is out of step with the beats.

    QRS complexes are cut out after it: breathing makes their height vary, which leaves some of them.
    """
    signal = lead(recording, name)
    onsets, ends = samples_of(recording, "(")[1:], samples_of(recording, ")")[1:]
    lengths = np.minimum(np.diff(onsets), 240)
    pieces = [signal[onset : onset + length] for onset, length in zip(onsets, lengths, strict=False)]
    average = [np.mean([piece[at] for piece in pieces if len(piece) > at]) for at in range(max(lengths))]
    rest = signal.copy()
    for onset, end, length in zip(onsets, ends, lengths, strict=False):
        rest[onset : onset + length] -= average[:length]
        rest[onset:end] = np.linspace(rest[onset - 1], rest[end], end - onset)
    frequency, density = welch(rest[onsets[0] : onsets[-1]], RATE, nperseg=2048)
    band = (frequency >= 4) & (frequency <= 12)
    return frequency[band], density[band]


def test_paroxysmal_fibrillation_follows_sinus_rhythm_where_p_waves_are_needed():
    for index in PATIENTS:
        recording = clean(index, "AF", "PAC")
        events = recording.annotations
        notes = [note for symbol, note in zip(events.symbol, events.aux, strict=True) if symbol == "+"]
        assert notes == ["(N", "(AFIB"]
        change = samples_of(recording, "+")[1]
        assert (samples_of(recording, "p") < change).all()
        assert (samples_of(recording, "A") < change).all()
        assert len(samples_of(recording, "A")) >= 1


def neighbors(recording, symbol):
    """(beat before, ectopic beat, beat after) of ectopic beats between two sinus beats."""
    beats = complexes(recording)
    for before, beat, after in zip(beats[:-2], beats[1:-1], beats[2:], strict=True):
        if beat.symbol == symbol and before.symbol in "NLR" and after.symbol in "NLR":
            yield before, beat, after


def sinus_interval(recording):
    """Median RR interval between sinus beats, seconds, or None (bigeminy)."""
    pairs = itertools.pairwise(complexes(recording))
    intervals = [after.peak - beat.peak for beat, after in pairs if {beat.symbol, after.symbol} <= set("NLR")]
    return np.median(intervals) / RATE if intervals else None


@pytest.mark.parametrize("classes", [("PAC",), ("PAC", "RBBB"), ("LBBB", "PAC"), ("I-AVB", "PAC")])
def test_atrial_ectopic_beats_are_early_with_another_p_wave_and_a_short_pause(classes):
    seen = 0
    for index in PATIENTS:
        recording = clean(index, *classes)
        interval = sinus_interval(recording)
        p_waves = samples_of(recording, "p")
        durations = {symbol: [] for symbol in "NLRAV"}
        for beat in complexes(recording):
            durations[beat.symbol].append(beat.duration)
        for before, beat, after in neighbors(recording, "A"):
            seen += 1
            assert ((p_waves > before.peak) & (p_waves < beat.peak)).sum() == 1
            if interval:
                assert (beat.peak - before.peak) / RATE < 0.88 * interval
                assert 0.85 * interval < (after.peak - beat.peak) / RATE < 1.35 * interval
                assert (after.peak - before.peak) / RATE < 1.99 * interval
        conducted = durations["N"] + durations["L"] + durations["R"]
        assert min(durations["A"]) == pytest.approx(min(conducted), abs=0.02)
    assert seen > 2 * len(PATIENTS)


def test_ectopic_p_wave_points_elsewhere_than_the_sinus_one():
    """By the correlation of the leads' values at the peaks of the two P waves, T waves under them taken out."""
    for index in PATIENTS:
        recording = clean(index, "PAC", duration_s=30.0)
        signal, p_waves = recording.signal, samples_of(recording, "p")
        shapes = {"N": [], "A": []}
        for beat in complexes(recording):
            before = p_waves[p_waves < beat.onset]
            if len(before) and beat.symbol in shapes and beat.onset - before[-1] < 0.3 * RATE:
                peak = before[-1]
                edges = signal[p_onset(recording, peak)], signal[beat.onset - 5]
                shapes[beat.symbol].append(signal[peak] - np.mean(edges, axis=0))
        sinus, ectopic = (np.median(shapes[symbol], axis=0) for symbol in "NA")
        assert np.corrcoef(sinus, ectopic)[0, 1] < 0.7


@pytest.mark.parametrize("classes", [("PVC",), ("PVC", "RBBB"), ("LBBB", "PVC"), ("PVC", "STD"), ("I-AVB", "PVC")])
def test_ventricular_ectopic_beats_are_early_wide_without_p_and_with_a_full_pause(classes):
    seen = 0
    for index in PATIENTS:
        recording = clean(index, *classes)
        interval = sinus_interval(recording)
        p_waves = samples_of(recording, "p")
        assert np.median([b.duration for b in complexes(recording) if b.symbol == "V"]) >= 0.120
        for before, beat, after in neighbors(recording, "V"):
            seen += 1
            assert not ((p_waves > before.end) & (p_waves < beat.end)).any()
            if interval:
                assert (beat.onset - before.onset) / RATE < 0.85 * interval
                assert (after.peak - before.peak) / RATE == pytest.approx(2 * interval, rel=0.13)
    assert seen > 2 * len(PATIENTS)


def test_ventricular_ectopic_t_wave_is_discordant():
    for index in PATIENTS:
        recording = clean(index, "PVC")
        onsets, ends = samples_of(recording, "("), samples_of(recording, ")")
        for peak in samples_of(recording, "V"):
            if not 100 < peak < len(recording.signal) - 300:
                continue  # Its onset or T wave is not recorded.
            onset, end = onsets[onsets < peak][-1], ends[ends > peak][0]
            beat = recording.signal[onset : end + 150] - recording.signal[onset]
            largest = np.abs(beat[: end - onset]).max(axis=0).argmax()
            qrs, repolarization = beat[: end - onset, largest], beat[end - onset :, largest]
            assert qrs[np.abs(qrs).argmax()] * repolarization.mean() < 0


@pytest.mark.parametrize("symbol, name", [("A", "PAC"), ("V", "PVC")])
def test_every_recording_with_ectopic_beats_shows_one_however_short(symbol, name):
    counts = [len(samples_of(clean(index, name, duration_s=6.0), symbol)) for index in range(100)]
    assert min(counts) >= 1
    assert np.mean(counts) < 4


@pytest.mark.parametrize("symbol, name", [("A", "PAC"), ("V", "PVC")])
def test_ectopic_burden_ranges_from_single_beats_to_bigeminy(symbol, name):
    counts = [len(samples_of(clean(index, name, duration_s=15.0), symbol)) for index in range(60)]
    assert min(counts) == 1
    assert max(counts) >= 6
    assert 2 <= np.median(counts) <= 5


@pytest.mark.parametrize("name", ["Normal", "I-AVB", "LBBB", "RBBB", "STD", "STE", "AF"])
def test_other_recordings_have_no_ectopic_beats(name):
    for index in PATIENTS:
        assert not len(samples_of(clean(index, name), "A"))
        assert not len(samples_of(clean(index, name), "V"))
