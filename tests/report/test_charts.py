"""The charts, read back from their SVG."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.report.examples import CLASSES, example, training
from xecgnet_jax.report.charts import (
    marked_epoch,
    precision_recall_charts,
    reliability_chart,
    spread,
    training_chart,
)

NUMBER = r"-?\d+(?:\.\d+)?"


def paths(svg: str, ink: str) -> list[np.ndarray]:
    """[n, 2] points of each line in that color."""
    found = []
    for node in fromstring(svg).iter("path"):
        if f"stroke:var({ink})" in node.attrib.get("style", ""):
            found.append(np.array(re.findall(f"({NUMBER}) ({NUMBER})", node.attrib["d"]), float))
    return found


def to_unit_square(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Points in parts of the box that the grid of the unit square spans."""
    low, high = box.min(axis=0), box.max(axis=0)
    unit = (points - low) / (high - low)
    return np.column_stack([unit[:, 0], 1 - unit[:, 1]])


def unit_box(svg: str) -> np.ndarray:
    return np.concatenate(paths(svg, "--rule"))


def brute_force_curve(truth: np.ndarray, probabilities: np.ndarray) -> set[tuple[float, float]]:
    """(recall, precision) at each probability as threshold."""
    points = set()
    for threshold in probabilities:
        found = probabilities >= threshold
        hits = (found & truth).sum()
        points.add((hits / truth.sum(), hits / found.sum()))
    return points


def test_precision_recall_curves():
    contents = example(120, seed=3)
    charts = precision_recall_charts(contents.truths, contents.probabilities, contents.metrics["per_class"])
    assert list(charts) == list(CLASSES[:-1])  # STE has no recording
    for column, (name, svg) in enumerate(charts.items()):
        truth, probabilities = contents.truths[:, column], contents.probabilities[:, column]
        (curve,) = (to_unit_square(line, unit_box(svg)) for line in paths(svg, "--chart-1"))
        # Every point of the curve as drawn lies on the steps, and every point of the curve is met by them.
        expected = brute_force_curve(truth, probabilities)
        for recall, precision in expected:
            distance = [to_segment((recall, precision), a, b) for a, b in pairwise(curve)]
            assert min(distance) < 0.004, (name, recall, precision)
        assert (np.abs(np.diff(curve, axis=0)).min(axis=1) < 0.004).all()  # steps, no slopes
        steps = curve[::-1]
        area = np.sum(np.diff(steps[:, 0]) * np.maximum(steps[1:, 1], steps[:-1, 1]))
        assert area == pytest.approx(average_precision_score(truth, probabilities), abs=0.01)
        guess = min(to_unit_square(line, unit_box(svg))[0, 1] for line in paths(svg, "--muted"))
        assert guess == pytest.approx(truth.mean(), abs=0.004)
        row = contents.metrics["per_class"][name]
        (dot,) = fromstring(svg).iter("use")
        at = to_unit_square(np.array([[float(dot.attrib["x"]), float(dot.attrib["y"])]]), unit_box(svg))[0]
        assert at == pytest.approx([row["recall"], row["precision"]], abs=0.004)


def to_segment(point, a, b) -> float:
    way = np.subtract(b, a)
    along = np.clip(np.dot(np.subtract(point, a), way) / max(np.dot(way, way), 1e-12), 0, 1)
    return float(np.linalg.norm(np.subtract(point, a) - along * way))


def test_many_recordings_make_no_large_curve():
    random = np.random.default_rng(0)
    truth = random.random((20_000, 1)) < 0.3
    probabilities = np.clip(0.3 + 0.3 * truth + random.normal(0, 0.2, truth.shape), 0, 1)
    charts = precision_recall_charts(truth, probabilities, {"AF": {"precision": None, "recall": None}})
    assert len(charts["AF"]) < 20_000


def test_reliability():
    contents = example(200)
    bins = contents.metrics["calibration"]["bins"]
    svg = reliability_chart(bins)
    (line,) = (path for path in paths(svg, "--chart-1") if len(path) == sum(one["pairs"] > 0 for one in bins))
    points = to_unit_square(line, unit_box(svg))
    flat, true = contents.probabilities.ravel(), contents.labels.ravel()
    slot = np.minimum((flat.astype(float) * 10).astype(int), 9)
    expected = [[flat[slot == k].mean(), true[slot == k].mean()] for k in range(10) if (slot == k).any()]
    assert points == pytest.approx(np.array(expected), abs=0.004)
    texts = [node.text for node in fromstring(svg).iter("text")]
    assert [text for text in texts if text and text.isdigit() and text not in "01"] == [
        str((slot == k).sum()) for k in range(10) if (slot == k).sum() > 1
    ]


def test_training_curves_stand_where_the_records_say():
    records = training(12)
    svg = training_chart(records, "validation", 9)
    assert svg is not None
    lines = {ink: paths(svg, f"--chart-{ink}")[0] for ink in (1, 2, 3, 4)}
    micro = np.array([record["validation_micro_f1"] for record in records])
    # Heights in px are a linear map of the values.
    assert np.corrcoef(lines[1][:, 1], -np.interp(lines[1][:, 0], np.linspace(*lines[1][[0, -1], 0], 12), micro))[
        0, 1
    ] == pytest.approx(1, abs=1e-4)
    assert lines[4][0, 0] > lines[1][0, 0]  # the first epoch has no such value
    texts = [node.text for node in fromstring(svg).iter("text")]
    assert "epoch 9" in texts
    assert "micro F1 0.800" in texts


def test_charts_take_their_colors_from_the_page():
    contents = example(60)
    charts = precision_recall_charts(contents.truths, contents.probabilities, contents.metrics["per_class"])
    svgs = [
        *charts.values(),
        reliability_chart(contents.metrics["calibration"]["bins"]),
        training_chart(training(3), "losses", 2),
    ]
    for svg in svgs:
        assert not re.search(r"#[0-9a-f]{3,6}\b|font-family|<style|<metadata", svg)
        assert fromstring(svg).attrib["aria-label"]
    ids = [node.attrib["id"] for svg in svgs for node in fromstring(svg).iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("chart", ["losses", "validation"])
def test_no_records_no_chart(chart):
    assert training_chart([], chart, None) is None
    assert training_chart([{"epoch": 1, "step": 3, "validation_micro_f1": None}], chart, None) is None
    assert training_chart(training(1), chart, 1) is not None


def test_the_marked_epoch():
    records = training(12)
    assert marked_epoch(records, 38 * 4) == 4
    assert marked_epoch(records, 5) is None
    assert marked_epoch(records, None) == 9
    assert marked_epoch([record | {"validation_micro_f1": 0.5} for record in records], None) == 1
    assert marked_epoch([], None) is None


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_names_do_not_meet(places):
    moved = spread(places, 0.1)
    order = np.argsort(places, kind="stable")
    assert (np.diff(moved[order]) >= 0.1 - 1e-9).all()
    assert moved.mean() == pytest.approx(np.mean(places))
    if (np.diff(np.sort(places)) >= 0.1).all():
        assert moved == pytest.approx(np.array(places))
