"""The page: whole by itself, true to the metrics, safe against names, small enough."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from itertools import pairwise

import numpy as np
import pytest

from tests.report.examples import CLASSES, EVIL, example, noise, read_page
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.report import report_html
from xecgnet_jax.report.page import LIMIT

pytestmark = pytest.mark.ci

SVG = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def contents():
    thresholds = Thresholds("best-f1", np.linspace(0.41, 0.59, len(CLASSES)))
    ids = [f"A{position:05d}" for position in range(58)] + [EVIL, "naïve 心電図"]
    about = {"Corpus": f"from {EVIL}", "Trained on": "lone \udcff surrogate"}
    return example(60, thresholds=thresholds, ids=ids, title=f"Report {EVIL}", subtitle=EVIL, about=about, step=38 * 7)


@pytest.fixture(scope="module")
def html(contents):
    return report_html(contents)


@pytest.fixture(scope="module")
def page(html):
    return read_page(html)


def data_of(page) -> dict:
    return json.loads(page.id("data").parts[0])


def test_it_is_one_well_formed_page(html, page):
    assert html.startswith("<!DOCTYPE html>\n")
    (root,) = page.all("html")
    assert root.attributes["lang"] == "en"
    assert [node.tag for node in page.all("h1")] == ["h1"]
    levels = [int(node.tag[1]) for node in page.all() if re.fullmatch("h[1-6]", node.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [node.attributes["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    named = {name for node in page.all() for name in node.attributes.get("aria-labelledby", "").split()}
    named |= {node.attributes["href"][1:] for node in page.all("a")}
    assert named <= set(ids)
    for node in page.all("button"):
        assert node.text or node.attributes["aria-label"]


def test_nothing_is_loaded(page):
    for node in page.all():
        assert node.tag not in ("link", "img", "iframe", "object", "embed", "base", "image", "foreignobject")
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "action", "formaction", "xlink:href")
            assert name != "href" or value.startswith("#")
            assert name == "content" or not re.search(r"//|url\((?!#)", value), f"{name}={value!r}"
    for style in page.all("style"):
        assert not re.search(r"@import|url\(|//", style.parts[0])
    *_, script = page.all("script")
    assert set(re.findall(r"\w+://[^\"']*", script.parts[0])) == {SVG}
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|eval|innerHTML|document\.write)\b", script.parts[0])


def test_the_policy_allows_our_script_and_styles_and_nothing_else(page):
    (meta,) = [n for n in page.all("meta") if n.attributes.get("http-equiv") == "Content-Security-Policy"]
    policy = dict(part.split(" ", 1) for part in meta.attributes["content"].split("; "))

    def digest(node):
        return "'sha256-" + base64.b64encode(hashlib.sha256(node.parts[0].encode()).digest()).decode() + "'"

    (script,) = [node for node in page.all("script") if node.attributes.get("type") != "application/json"]
    assert policy == {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src-elem": " ".join(map(digest, page.all("style"))),
        "style-src-attr": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_names_stay_text(page, contents):
    assert len(page.all("script")) == 2
    assert page.all("h1")[0].text == " ".join(contents.title.split())
    assert " ".join(EVIL.split()) in page.id("about").text
    raw = page.id("data").parts[0]
    assert raw.isascii()
    assert not re.search("[<>&]", raw)
    assert {row[0] for row in data_of(page)["recordings"]} == set(contents.ids)


def test_the_headline(page, contents):
    metrics = contents.metrics
    headlines = [
        [node.all("strong")[0].text, *(span.text for span in node.all("span"))] for node in page.classed("metric")
    ]
    rows = [metrics["subset_accuracy"][group] for group in ("all", "single_label", "multi_label", "no_label")]
    expected = [
        [f"{row['accuracy']:.3f}", "", "{:.3f}–{:.3f}".format(*row["intervals"]["accuracy"]),
         f"{row['exact']} of {row['recordings']}"]
        for row in rows
    ]  # fmt: skip
    for name, counts in (("micro", f"{contents.labels.sum()} labels"), ("macro", "8 of 9 classes")):
        low, high = metrics[name]["intervals"]["f1"]
        expected.append([f"{metrics[name]['f1']:.3f}", "", f"{low:.3f}–{high:.3f}", counts])
    assert headlines == expected
    exact = (contents.labels == apply_thresholds(contents.probabilities, contents.thresholds.values)).all(axis=1)
    assert headlines[0][3] == f"{exact.sum()} of 60"
    text = page.id("headline").text
    assert "60 recordings of 30 patients" in text
    assert "best-f1" in text
    assert "95 % intervals" in text
    low, high = metrics["subset_accuracy"]["all"]["intervals"]["accuracy_by_patient"]
    assert f"by patient, the subset accuracy of all recordings is {low:.3f}–{high:.3f}" in text


def test_the_table_of_classes(page, contents):
    (table,) = page.classed("numbers")
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tr")[1:]}
    assert list(rows) == [*CLASSES, "micro", "macro"]
    for name, threshold in zip(CLASSES, contents.thresholds.values, strict=True):
        row = contents.metrics["per_class"][name]
        support, *metrics, predicted, shown_threshold = rows[name]
        assert (support, predicted, shown_threshold) == (str(row["support"]), str(row["predicted"]), f"{threshold:.3f}")
        keys = ("precision", "recall", "f1", "auroc", "average_precision", "brier", "calibration_error")
        for key, text in zip(keys, metrics, strict=True):
            interval = row["intervals"][key]
            expected = "–" if row[key] is None else f"{row[key]:.3f} "
            if row[key] is not None:
                expected += "–" if interval is None else "{:.3f}–{:.3f}".format(*interval)
            assert text == expected, (name, key)
    assert rows["STE"][2:5] == ["–", "–", "–"]
    assert rows["micro"][0] == str(contents.labels.sum())
    assert rows["macro"][0] == "8 of 9"
    assert rows["macro"][3].split()[0] == f"{contents.metrics['macro']['f1']:.3f}"


def test_the_label_sets(page, contents):
    several = contents.labels.sum(axis=1) > 1
    right = contents.labels == apply_thresholds(contents.probabilities, contents.thresholds.values)
    counts = {}
    for row, truth in enumerate(contents.labels):
        if several[row]:
            name = " + ".join(np.array(CLASSES)[truth > 0])
            total, exact = counts.get(name, (0, 0))
            counts[name] = total + 1, exact + right[row].all()
    section = page.id("label-sets")
    rows = [row for table in section.all("table") for row in table.all("tr")[1:]]
    assert {row.all("th")[0].text: tuple(int(c.text) for c in row.all("td")[:2]) for row in rows} == counts
    missed = [node.text for node in section.classed("some")]
    found_of = [re.fullmatch(r"(.+) (\d+)/(\d+)", text) for text in missed]
    assert all(int(match[2]) < int(match[3]) for match in found_of)
    truth, found = (
        contents.labels[several] > 0,
        apply_thresholds(contents.probabilities, contents.thresholds.values)[several] > 0,
    )
    assert sum(int(match[3]) - int(match[2]) for match in found_of) == (truth & ~found).sum()


def test_the_recordings(page, contents):
    data = data_of(page)
    assert data["classes"] == list(CLASSES)
    assert data["thresholds"] == pytest.approx(contents.thresholds.values, abs=1e-6)
    for name, truth, found, probabilities in data["recordings"]:
        row = contents.ids.index(name)
        assert truth == np.flatnonzero(contents.labels[row]).tolist()
        assert found == np.flatnonzero(contents.probabilities[row] >= contents.thresholds.values).tolist()
        assert probabilities == pytest.approx(contents.probabilities[row], abs=5.1e-4)
    assert sorted(data["pictures"], key=int) == [str(at) for at in range(60)]
    svg = zlib.decompress(base64.b64decode(data["pictures"]["0"])).decode()
    assert svg.startswith("<svg ")
    assert data["recordings"][0][0].replace("&", "&amp;").split("<")[0] in svg


def test_the_marked_epoch(page, contents):
    assert "Broken line: epoch 7, whose checkpoint, 266, is scored here" in page.id("training").text
    best = read_page(report_html(dataclasses.replace(contents, step=None)))
    assert "Broken line: epoch 9, the highest validation micro F1" in best.id("training").text


def test_without_training_or_several_classes_or_maps():
    some = example(30)
    one = some.labels.sum(axis=1) == 1
    labels, probabilities = some.labels[one], some.probabilities[one]
    bare = example(
        int(one.sum()), labels=labels, probabilities=probabilities, training=(), maps=None, metrics=some.metrics
    )
    page = read_page(report_html(bare))
    assert "training" not in {node.attributes.get("id") for node in page.all()}
    assert len(page.classed("pair")) == 0


def test_equal_contents_give_equal_pages(html, contents):
    assert report_html(contents) == html


def test_noise_does_not_make_it_larger():
    """1,400 recordings of which no picture becomes small: few fit, and the page says so."""
    contents = example(1400, signal=noise, maps=None)
    seen = []
    html = report_html(contents, progress=seen.append)
    size = len(html.encode())
    assert 0.9 * LIMIT < size < LIMIT
    assert sum(seen) == 1400
    page = read_page(html)
    data = data_of(page)
    assert len(data["recordings"]) == 1400
    pictured = len(data["pictures"])
    assert 5 < pictured < 100
    assert f"{pictured} have a picture" in page.id("recordings").text
    wrong = (contents.labels != apply_thresholds(contents.probabilities, 0.5)).any(axis=1)
    several = contents.labels.sum(axis=1) > 1
    shown = [contents.ids.index(data["recordings"][int(at)][0]) for at in data["pictures"]]
    assert (wrong & several)[shown].all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ids": ["one"]}, "labels must be \\[1, 9\\]"),
        ({"probabilities": np.zeros((60, 8))}, "probabilities must be \\[60, 9\\]"),
        ({"maps": []}, "there must be 60 maps"),
        ({"notes": ["one"]}, "there must be 60 notes"),
        (
            {"thresholds": Thresholds("0.5", np.zeros(3))},
            "thresholds must be \\[9\\], as .* and are \\[3\\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(contents, changed, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(contents, **changed)
