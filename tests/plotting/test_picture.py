"""Pictures read back with a ruler: traces, scale, grid, maps."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.plotting.reading import bands, bars, numbers, parse, part, texts, traces
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.plotting.picture import ecg_picture

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")
CLASSES = ("AF", "Normal", "PVC")


def picture(signal, **options):
    given = {"maps": None, "classes": CLASSES, "probabilities": None, "thresholds": 0.5} | options
    return parse(ecg_picture(signal, **given))


def random_signal(samples: int, seed: int = 0) -> np.ndarray:
    """[T, 12] mV: a walk with spikes, no further than 4 mV from its median."""
    random = np.random.default_rng(seed)
    signal = np.cumsum(random.normal(0, 0.02, (samples, 12)), axis=0)
    signal += (random.random((samples, 12)) < 0.01) * random.normal(0, 1, (samples, 12))
    return np.clip(signal - np.median(signal, axis=0), -3.9, 3.9).astype(np.float32)


def random_maps(edges, classes: int = 3, seed: int = 0) -> Maps:
    random = np.random.default_rng(seed)
    bins = len(edges) - 1
    attention = random.uniform(0.3, 0.6, bins).astype(np.float32)
    responses = np.maximum(0, random.normal(0.3, 1, (bins, classes))).astype(np.float32)
    return Maps(np.asarray(edges), attention, responses)


def worst_distance(root, signal: np.ndarray, rate: float = 500) -> float:
    """mm between the samples, each lead about its median, and the straight lines of its trace."""
    found = traces(root)
    assert tuple(found) == LEADS
    centered = signal.astype(np.float64) - np.median(signal.astype(np.float64), axis=0)
    times = np.arange(len(signal)) * 25 / rate
    distances = []
    for lead, values in zip(LEADS, centered.T, strict=True):
        assert found[lead].x[0] == 0
        assert found[lead].x[-1] == pytest.approx(times[-1], abs=1e-4 * max(1, times[-1]))
        distances.append(np.abs(np.interp(times, found[lead].x, found[lead].y) - 10 * values).max())
    return max(distances)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 1500), st.sampled_from([500, 1000, 360, 257, 250, 100]), st.sampled_from([0.03, 0.05, 0.15, 0.4]),
    st.integers(0, 2**31),
)  # fmt: skip
def test_traces_pass_every_sample_within_the_tolerance(samples, rate, tolerance, seed):
    signal = random_signal(samples, seed)
    assert worst_distance(picture(signal, rate=rate, tolerance=tolerance), signal, rate) <= tolerance + 1e-5


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(12)), elements=st.floats(-2, 2, width=32)))
def test_traces_of_any_shape_pass_every_sample(signal):
    assert worst_distance(picture(signal), signal) <= 0.15 + 1e-5


def test_straight_leads_take_few_points_and_noise_many():
    flat = traces(picture(np.zeros((5000, 12))))["I"]
    assert len(flat.x) <= 5000 / 25 + 1
    rough = traces(picture(np.random.default_rng(0).normal(0, 1, (5000, 12)).clip(-4, 4)))["I"]
    assert len(rough.x) > 4000


@needs_shared
def test_real_recordings_keep_their_peaks_and_are_small():
    """R peaks and S waves within 2 %, and what a page of 250 pictures below 5 MB allows for each."""
    folder = SHARED / "data" / "ptbxl" / "records500"
    paths = sorted(folder.glob("*/*_hr.hea"))[::160]
    sizes = []
    for path in paths:
        signal = read_record(path).signal
        centered = signal - np.median(signal, axis=0)
        if np.abs(centered).max() > 5:
            continue
        maps = random_maps([*range(0, 5000, 243), 5000], 3)
        svg = ecg_picture(
            signal, maps=maps, classes=CLASSES, probabilities=np.array([0.9, 0.1, 0.6]), thresholds=0.5, truth=["AF"],
            title=path.stem,
        )  # fmt: skip
        sizes.append(len(zlib.compress(svg.encode(), 9)))
        root = parse(svg)
        assert worst_distance(root, signal) <= 0.15 + 1e-5
        for lead, values in zip(LEADS, centered.T, strict=True):
            drawn = traces(root)[lead].y / 10
            for peak in (values.max(), values.min()):
                if abs(peak) > 0.75:
                    assert np.abs(drawn - peak).min() <= 0.02 * abs(peak)
    assert len(sizes) >= 8
    assert np.mean(sizes) < 16_000


def test_a_simulated_recording_is_small():
    signal = simulate_recording(0, 1, frozenset({"PVC"}), duration_s=10.0).signal
    svg = ecg_picture(signal, maps=None, classes=CLASSES, probabilities=None, thresholds=0.5)
    assert len(zlib.compress(svg.encode(), 9)) < 20_000


def test_one_second_is_25_mm_and_one_millivolt_10_mm():
    signal = np.zeros((1000, 12))
    signal[499:502] = np.linspace(0.1, 1.2, 12)
    root = picture(signal)
    width, height = (re.fullmatch(r"([\d.]+)mm", root.attrib[side])[1] for side in ("width", "height"))
    assert root.attrib["viewBox"] == f"0 0 {width} {height}"  # one unit is one mm
    for place, lead in enumerate(LEADS):
        trace = traces(root)[lead]
        assert trace.y.max() == pytest.approx(10 * np.linspace(0.1, 1.2, 12)[place], abs=0.15)
        top = trace.x[trace.y > 0.5 * trace.y.max()]
        assert 24.95 - 1e-6 <= top[0] <= top[-1] <= 25.05 + 1e-6


def test_pulses_are_1_mv_high_and_5_mm_wide_and_stand_on_each_row():
    root = picture(random_signal(1000))
    (pulses,) = part(root, "calibration")
    subpaths = pulses.attrib["d"].split("M")[1:]
    assert len(subpaths) == 12
    for text, lead in zip(subpaths, LEADS, strict=True):
        assert re.sub(r"-?[\d.]+", "#", text) == "# #h#v#h#v#h#"
        x, y, before, up, plateau, down, after = numbers(text)
        assert (up, plateau, down) == (-10, 5, 10)
        assert y == traces(root)[lead].baseline
        assert x + before + plateau + after <= 0


def test_grid_is_1_and_5_mm_with_time_0_on_a_thick_line_and_holds_all_traces():
    root = picture(random_signal(1013))
    parents = {child: one for one in root.iter() for child in one}
    lines = [one for one in root.iter() if "--ecg-grid" in one.get("style", "") and "m" in one.get("d", "")]
    for path, apart in zip(lines, (1, 5), strict=True):
        shift, _ = numbers(parents[path].attrib["transform"])
        upright, level = path.attrib["d"].split("M0 0")[1:]
        height = numbers(upright)[0]
        xs = shift + apart * np.arange(upright.count("v"))
        assert set(numbers(upright)) == {height, float(apart), -height}
        assert 0 in xs
        ends = traces(root)["I"].x[-1]
        assert ends <= xs[-1] < ends + 5.1
        assert apart * (level.count("h") - 1) == height
        assert set(numbers(level)) == {xs[-1] - shift, -(xs[-1] - shift), float(apart)}
        for trace in traces(root).values():
            assert trace.baseline - trace.y.max() >= 0
            assert trace.baseline - trace.y.min() <= height


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 4), st.integers(0, 2**31))
def test_rows_make_room_for_their_traces(size, seed):
    random = np.random.default_rng(seed)
    signal = np.interp(np.arange(1500), np.arange(0, 1501, 20), random.normal(0, 1, 76))[:, None] * random.uniform(
        -size, size, 12
    )
    found = traces(picture(np.clip(signal, -2.4, 2.4)))
    baselines = np.array([found[lead].baseline for lead in LEADS])
    gaps = np.diff(baselines)
    assert (gaps >= 12).all() and (gaps <= 30).all()
    assert (baselines % 1 == 0).all()
    times = np.arange(1500) * 0.05
    drawn = np.array([found[lead].baseline - np.interp(times, found[lead].x, found[lead].y) for lead in LEADS])
    nearest = np.diff(drawn, axis=0).min(axis=1)
    assert (nearest[gaps < 30] > 1.5).all()


def test_an_offset_changes_nothing():
    signal = random_signal(1000).round(3)
    one, other = picture(signal), picture(signal + np.arange(12, dtype=np.float32))
    for lead in LEADS:
        assert traces(one)[lead].baseline == traces(other)[lead].baseline
    assert worst_distance(other, signal) <= 0.15 + 1e-3


def test_artifacts_are_cut_off_and_marked_and_take_no_room():
    calm = random_signal(2500) / 4
    calm[:, [0, 7]] = 0  # whose medians an artifact does not move
    wild = calm.copy()
    wild[600:700, 0] = 27
    wild[1200, 7] = -30.04
    wild[1210, 7] = -30.04  # 20 ms later: the same arrowhead
    wild[2000, 7] = -6
    root, before = picture(wild), picture(calm)
    height, was = (float(one.attrib["height"].removesuffix("mm")) for one in (root, before))
    assert height <= was + 10
    marks = {one.attrib["data-cut"]: one.attrib["d"].count("M") for one in root.iter() if one.get("data-cut")}
    assert marks == {"I": 1, "V2": 2}
    (said,) = (text for text in texts(root) if text.startswith("Cut off"))
    assert "I +27.0 mV" in said and "V2 −30.0 mV" in said
    assert not any(text.startswith("Cut off") for text in texts(before))
    for lead, trace in traces(root).items():
        assert trace.y.max() <= min(50, trace.baseline) and trace.y.min() >= -50
        if lead not in marks:
            assert np.array_equal(trace.y, traces(before)[lead].y)


@pytest.mark.parametrize("samples", [1, 2, 250, 72_000])
def test_short_and_long_recordings_have_their_true_width(samples):
    signal = random_signal(samples)
    root = picture(signal, maps=random_maps(np.unique([*range(0, samples, 243), samples])), title="any")
    assert worst_distance(root, signal) <= 0.15 + 1e-5
    width = float(root.attrib["width"].removesuffix("mm"))
    assert width == max(140, 30 + 5 * np.ceil(samples / 100) + 5)
    assert texts(root).count("V6") == 1 + max(0, int((samples / 500 - 2.001) // 10))


def test_bands_are_as_wide_as_their_bins_and_as_dark_as_they_say():
    edges = [0, 100, 343, 586, 800, 1000]
    maps = random_maps(edges)
    root = picture(random_signal(1000), maps=maps, probabilities=np.array([0.9, 0, 0]))
    found = bands(root)
    assert len(found) == 5
    lowest, highest = maps.attention.min(), maps.attention.max()
    for place, (left, right, opacity, tip) in enumerate(found):
        assert (left, right) == pytest.approx((edges[place] / 20, edges[place + 1] / 20), abs=1e-6)
        assert opacity == pytest.approx(0.5 * (maps.attention[place] - lowest) / (highest - lowest), abs=0.006)
        assert f"attention {maps.attention[place]:.3f}, AF {maps.responses[place, 0]:.3g}" in tip
    (said,) = (text for text in texts(root) if "lowest" in text)
    assert f"{lowest:.3f} to {highest:.3f}" in said


@pytest.mark.parametrize("span", [0, 0.0009])
def test_an_even_attention_map_is_not_shaded(span):
    attention = np.linspace(0.5, 0.5 + span, 4).astype(np.float32)
    root = picture(np.zeros((972, 12)), maps=Maps(np.arange(5) * 243, attention, None))
    assert [opacity for *_, opacity, _ in bands(root)] == [0, 0, 0, 0]
    assert "Attention 0.500 throughout: no shade." in texts(root)
    assert [height for *_, height in bars(root)["attention"]] == pytest.approx([4.0] * 4, abs=0.02)


def test_bars_are_the_maps_to_the_stated_scale():
    edges = np.array([0, 243, 486, 729, 1000])
    maps = random_maps(edges)
    root = picture(random_signal(1000), maps=maps, probabilities=np.array([0.9, 0.2, 0.7]), truth=["AF"])
    assert list(bars(root)) == ["attention", "AF correct", "PVC wrong"]
    scales = {"attention": (maps.attention, 1.0)}
    for heading, column in (("AF correct", 0), ("PVC wrong", 2)):
        scales[heading] = (maps.responses[:, column], maps.responses[:, column].max())
    for heading, (values, top) in scales.items():
        expected = [
            (left / 20, right / 20, 8 * value / top)
            for left, right, value in zip(edges, edges[1:], values, strict=False)
            if value > 0
        ]
        assert np.array(bars(root)[heading]) == pytest.approx(np.array(expected), abs=0.006)
        assert f"{top:.3g}" in texts(root)


def test_a_response_map_of_zeros_has_no_bars():
    maps = Maps(np.array([0, 500]), np.array([0.4], np.float32), np.zeros((1, 3), np.float32))
    root = picture(np.zeros((500, 12)), maps=maps, probabilities=np.array([0.9, 0, 0]))
    assert bars(root)["AF predicted"] == []
    assert "0.90 ≥ 0.50 (all 0)" in texts(root)


def test_what_was_not_seen_is_hatched():
    signal = random_signal(3000)
    whole = picture(signal, maps=random_maps([0, 1500, 3000]))
    assert part(whole, "unseen") == []
    root = picture(signal, maps=Maps(np.array([200, 1500, 2880]), None, None))
    spans = []
    for path in part(root, "unseen"):
        box, *lines = path.attrib["d"].split("M")[1:]
        x, _, width, *_ = numbers(box)
        spans.append((x, x + width))
        xs = [at for line in lines for at in numbers(line)[::2]]
        assert lines and min(xs) >= x - 1e-6 and max(xs) <= x + width + 1e-6
    assert np.array(spans) == pytest.approx(np.array([(0, 10), (144, 150)]))
    assert "Hatched: not seen by the network." in texts(root)
    assert bands(root) == [] and bars(root) == {}


@pytest.mark.parametrize("samples", [35, 139, 275, 545])
def test_maps_over_all_samples_leave_nothing_unseen(samples):
    """At these lengths, samples × (25 / 500) mm is less by rounding than samples / 500 × 25."""
    root = picture(np.zeros((samples, 12)), maps=random_maps([0, 20, samples]))
    assert part(root, "unseen") == []
    assert "Hatched: not seen by the network." not in texts(root)
