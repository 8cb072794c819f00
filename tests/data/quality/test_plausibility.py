"""What looks wrong: silence on good recordings, the right word for each provoked error."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.signal import resample_poly

from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.quality.heartbeats import filter_qrs_band, find_heartbeats
from xecgnet_jax.data.quality.plausibility import find_warnings
from xecgnet_jax.data.simulation.corpus import simulate_recording

PATIENTS = range(12)


@pytest.fixture(scope="module")
def signals() -> list[np.ndarray]:
    """[5000, 12] mV of simulated hearts in sinus heartbeats."""
    normal = frozenset({"Normal"})
    return [simulate_recording(7, index, normal, duration_s=10).signal for index in PATIENTS]


def found(signal: np.ndarray, **options) -> dict[str, str]:
    said = find_warnings(np.ascontiguousarray(signal, np.float32), **options)
    assert not any("; " in one.text for one in said)  # which stands between several of them
    return {one.kind: one.text for one in said}


def lead(name: str) -> int:
    return LEADS.index(name)


def exchanged(signal: np.ndarray, one: str, other: str) -> np.ndarray:
    order = list(range(12))
    order[lead(one)], order[lead(other)] = lead(other), lead(one)
    return signal[:, order]


def test_good_recordings_raise_nothing(signals):
    assert [found(signal) for signal in signals] == [{}] * len(signals)


@pytest.mark.parametrize(("factor", "units", "hint"), [
    (1e3, "mV", "if the file is in uV, give --units uV"),
    (1e-3, "uV", "if the file is in mV, give --units mV"),
    (1e-3, "mV", "if the file is in V, give --units V"),
    (1e3, None, "correct the gain or units in its header"),
    (30, "mV", "check --units"),
])  # fmt: skip
def test_wrong_units_are_told_with_what_would_fit(signals, factor, units, hint):
    for signal in signals[:4]:
        said = found(factor * signal, units=units)
        assert set(said) == {"units"}
        assert said["units"].endswith(hint)


def test_an_artifact_in_some_leads_is_no_matter_of_units(signals):
    signal = signals[0].copy()
    signal[2000:2400, [0, 2, 4]] += 27
    said = found(signal)
    assert "units" not in said
    assert said["amplitude"].startswith("beyond 20 mV in I, III, aVL, not in all leads")


def test_an_offset_is_told(signals):
    signal = signals[0].copy()
    signal[:, lead("V3")] += 4
    assert re.search(r"baseline lies up to (3.9|4|4.\d) mV from 0 in V3:", found(signal)["offset"])


@pytest.mark.parametrize("index", PATIENTS)
def test_beats_are_where_they_were_planted(index):
    recording = simulate_recording(11, index, frozenset({"Normal"}), duration_s=20)
    planted = recording.annotations.sample[[symbol == "N" for symbol in recording.annotations.symbol]]
    heartbeats = find_heartbeats(filter_qrs_band(recording.signal))
    inside = planted[(planted > RATE // 5) & (planted < 20 * RATE - RATE // 5)]
    assert np.abs(heartbeats.beats[:, None] - inside[None, :]).min(axis=0).max() < 0.1 * RATE
    assert abs(len(heartbeats.beats) - len(planted)) <= 2
    assert heartbeats.per_minute == pytest.approx(60 * RATE / np.median(np.diff(planted)), rel=0.03)
    assert 40 < heartbeats.width < 110


def test_a_wrong_rate_is_told_of_most_hearts(signals):
    slowed = [found(resample_poly(signal, 4, 1, axis=0)) for signal in signals]
    hurried = [found(resample_poly(signal, 1, 2, axis=0)) for signal in signals]
    assert sum("true sampling rate higher" in said.get("rate", "") for said in slowed) >= 8
    assert sum("true sampling rate lower" in said.get("rate", "") for said in hurried) >= 7


def test_no_beats_are_told():
    """One slow half-wave in ten seconds, and one single jerk."""
    wave = np.sin(np.linspace(0, np.pi, 5000))[:, None] * np.linspace(1, 2, 12)
    jerk = wave.copy()
    jerk[2500:2520] += 5
    assert "rate" in found(wave) and "rate" in found(jerk)


@pytest.mark.parametrize("one", range(6))
@pytest.mark.parametrize("other", range(6))
def test_exchanged_limb_leads_are_named(signals, one, other):
    if one >= other:
        return
    names = f"{LEADS[one]} and {LEADS[other]}"
    for signal in signals[:4]:
        assert f"they do if {names} are exchanged" in found(exchanged(signal, LEADS[one], LEADS[other]))["limb-leads"]


@pytest.mark.parametrize("name", LEADS[:6])
def test_a_limb_lead_upside_down_is_named(signals, name):
    for signal in signals[:4]:
        turned = signal.copy()
        turned[:, lead(name)] *= -1
        assert f"they do if {name} is turned upside down" in found(turned)["limb-leads"]


def test_limb_leads_that_nothing_mends(signals):
    signal = signals[0].copy()
    signal[:, :3] = signal[:, [1, 2, 0]]
    assert "no exchange of two" in found(signal)["limb-leads"]


def test_offsets_of_single_leads_do_not_break_the_relations(signals):
    assert found(signals[0] + np.linspace(-1, 1, 12)) == {}


def arms_exchanged(signal: np.ndarray) -> np.ndarray:
    """What the recorder shows with exchanged arm electrodes: Einthoven's relations with L and R swapped."""
    changed = signal.copy()
    one, two, three, right, left = (signal[:, lead(name)] for name in ("I", "II", "III", "aVR", "aVL"))
    for name, value in (("I", -one), ("II", three), ("III", two), ("aVR", left), ("aVL", right)):
        changed[:, lead(name)] = value
    return changed


def test_electrodes_on_the_wrong_arms_are_told(signals):
    said = [found(arms_exchanged(signal)) for signal in signals]
    assert sum(set(one) == {"arms"} for one in said) >= 11


def test_chest_leads_far_from_their_place_are_told(signals):
    said = [found(exchanged(signal, "V2", "V5")).get("chest-leads", "") for signal in signals]
    assert sum("V2 and V5 exchanged would fit better" in text for text in said) >= 10


def test_identical_flat_and_clipped_leads_are_named(signals):
    signal = signals[0].copy()
    signal[:, lead("V2")] = signal[:, lead("V1")]
    assert found(signal)["identical"] == "the same signal in V1 and V2"
    signal[:, 6:8] = 0
    said = found(signal)
    assert said["flat"] == "nothing in V1, V2: a lost electrode?"
    assert set(said) == {"flat"}
    signal = np.clip(5 * signals[0], -2, 2)
    assert "stay at their largest value" in found(signal)["clipped"]


def test_nothing_at_all_is_flat():
    assert found(np.zeros((5000, 12))) == {"flat": f"nothing in {', '.join(LEADS)}: a lost electrode?"}


@pytest.mark.parametrize("samples", [1, 2, 30, 999])
def test_short_recordings_are_told_and_looked_at_as_far_as_they_go(signals, samples):
    assert "short" in found(signals[0][1000 : 1000 + samples])


def test_long_recordings_are_told(signals):
    assert "long" not in found(np.tile(signals[0], (18, 1)))
    assert found(np.tile(signals[0], (19, 1)))["long"].startswith("190 s long")


def test_false_alarms_on_real_recordings_are_rare(shared):
    """Every 8th of 1,631 recordings of PTB-XL: at most 3 % raise anything, and no limb leads contradict each other."""
    paths = sorted((shared / "data" / "ptbxl" / "records500").rglob("*.hea"))[::8]
    said = [found(read_record(path).signal) for path in paths]
    assert len(said) > 200
    assert sum(map(bool, said)) <= 0.03 * len(said)
    assert not any({"limb-leads", "units"} & set(one) for one in said)
