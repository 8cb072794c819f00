"""What a picture says, what it refuses, and how it behaves in a page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plotting.reading import SVG, bars, parse, texts
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.plotting.picture import ecg_picture
from xecgnet_jax.plotting.svg import INKS

CLASSES = ("AF", "Normal", "PVC")
SIGNAL = np.zeros((1000, 12), np.float32)
MAPS = Maps(np.array([0, 500, 1000]), np.array([0.4, 0.6]), np.arange(6.0).reshape(2, 3))


def draw(**options) -> str:
    given = {"maps": MAPS, "classes": CLASSES, "probabilities": np.array([0.9, 0.2, 0.4]), "thresholds": 0.5} | options
    return ecg_picture(given.pop("signal", SIGNAL), **given)


@pytest.mark.parametrize(
    ("options", "sentence", "headings"),
    [
        ({}, "Predicted: AF 0.90.", ["AF predicted"]),
        ({"truth": ["AF"]}, "Predicted: AF 0.90 (correct).", ["AF correct"]),
        ({"truth": {"PVC"}}, "Predicted: AF 0.90 (wrong). Missed: PVC 0.40.", ["AF wrong", "PVC missed"]),
        ({"truth": ()}, "Predicted: AF 0.90 (wrong).", ["AF wrong"]),
        ({"truth": (), "thresholds": 0.95}, "Predicted: none of the classes (correct).", []),
        (
            {"truth": ["AF"], "thresholds": 0.95},
            "Predicted: none of the classes. Missed: AF 0.90.",
            ["AF missed"],
        ),
        ({"thresholds": 0.95}, "Predicted: none of the classes.", []),
        ({"thresholds": [0.95, 0.2, 0.1]}, "Predicted: Normal 0.20, PVC 0.40.", ["Normal predicted", "PVC predicted"]),
        ({"probabilities": None, "truth": ["PVC"]}, "Labeled: PVC.", ["PVC labeled"]),
        ({"probabilities": None, "truth": []}, "Labeled: none of the classes.", []),
    ],
)
def test_verdicts(options, sentence, headings):
    root = parse(draw(**options))
    assert sentence in texts(root)
    assert list(bars(root)) == ["attention", *headings]
    assert root.attrib["aria-label"] == f"12-lead ECG. {sentence}"


def test_nothing_is_said_of_classes_when_nothing_is_known():
    root = parse(draw(probabilities=None))
    assert not any("Predicted" in text or "Labeled" in text for text in texts(root))
    assert list(bars(root)) == ["attention"]


@pytest.mark.parametrize(
    ("probability", "said"),
    [(0.9, "0.90 ≥ 0.50"), (0.4996, "0.4996 < 0.5000"), (0.5, "0.50 ≥ 0.50"), (0.502, "0.502 ≥ 0.500")],
)
def test_the_comparison_shows_enough_decimals(probability, said):
    assert said in texts(parse(draw(probabilities=np.array([probability, 0, 0]), truth=["AF"])))


def test_the_speed_the_gain_and_the_time_are_written():
    said = texts(parse(draw()))
    assert "25 mm/s · 10 mm/mV · 500 Hz · 2.0 s · each lead about its median" in said
    assert [text for text in said if text in ("0 s", "1", "2", "3")][:3] == ["0 s", "1", "2"]


def test_headings_of_strips_end_before_the_scale():
    """A bold letter is 0.65 of the font size wide on average; the scale's number begins about 6 mm before the strip."""
    classes = ("Normal", "Tachycardia", "PVC")
    root = parse(draw(classes=classes, probabilities=np.array([0.9, 0.9, 0.2]), truth=["Normal", "PVC"]))
    headings = [one for one in root.iter(f"{SVG}text") if one.get("x") == "-28" and one.get("font-weight")]
    assert [one.text for one in headings] == ["attention", "Normal correct", "Tachycar… wrong", "PVC missed"]
    assert all(len(one.text) * 0.65 * float(one.attrib["font-size"]) < 22.2 for one in headings)


NASTY = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='x'>",
    "a & b &amp; ]]> <!-- c",
    "nul \x00 bell \x07 esc \x1b[31m c1 \x85 del \x7f",
    "lone \ud800 and \udfff",
    "forbidden \ufffe \uffff",
    "turned \u202e txt \u2066",
    "心房颤动 🫀 é",
]


@pytest.mark.parametrize("text", NASTY)
def test_text_from_outside_stays_text(text):
    svg = draw(title=text, notes=[text, text], classes=(text, "Normal", "PVC"), truth=[text])
    svg.encode("utf-8")
    root = parse(svg)
    plain = parse(draw(title="a", notes=["a", "a"], classes=("AF", "Normal", "PVC"), truth=["AF"]))
    assert {one.tag for one in root.iter()} == {one.tag for one in plain.iter()}
    assert {name for one in root.iter() for name in one.attrib} == {name for one in plain.iter() for name in one.attrib}
    title = root.find(f"{SVG}title").text
    assert title in texts(root)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", svg)
    words = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202e\u2066]", "�", text)
    assert title.replace("�", "").split() == words.replace("�", "").split()


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_any_text_gives_a_picture_that_parses(text):
    svg = draw(title=text, notes=[text], classes=(text + "0", text + "1", text + "2"), signal=SIGNAL[:50], maps=None)
    root = parse(svg.encode("utf-8"))
    assert len(root.find(f"{SVG}title").text) <= 300


def test_long_text_is_broken_and_stays_within_the_picture():
    root = parse(draw(title="word " * 50, notes=["x" * 200]))
    width = float(root.attrib["width"].removesuffix("mm"))
    heads = [one for one in root.iter(f"{SVG}text") if set(one.text) <= set("word x")]
    assert len(heads) > 3
    assert all(len(one.text) * 0.5 * float(one.attrib["font-size"]) < width for one in heads)


def test_several_pictures_in_a_page_do_not_meet():
    svg = draw()
    assert not re.search(r"\bid=|href|url\(|<style|<script", svg)
    assert svg == draw()
    assert not svg.startswith("<?xml")


def test_every_color_can_be_set_by_the_page_and_has_one_of_its_own():
    signal = SIGNAL.copy()
    signal[300:302] = 9
    maps = Maps(np.array([0, 500, 800]), MAPS.attention, MAPS.responses)
    used = set()
    for one in parse(draw(signal=signal, maps=maps)).iter():
        for side, ink, fallback in re.findall(r"(fill|stroke):var\(--ecg-([a-z-]+),([^)]+)\)", one.get("style", "")):
            assert one.attrib[side] == fallback == INKS[ink]
            used.add(ink)
        assert bool(one.get("style")) == any(value.startswith("#") for value in one.attrib.values())
    assert used == set(INKS)


def bad_maps(**changes) -> Maps:
    return MAPS._replace(**{name: np.array(value) for name, value in changes.items()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": np.zeros((0, 12))}, r"must be \[T, 12\] with T > 0, and is \[0, 12\]"),
        ({"signal": np.zeros((100, 8))}, r"is \[100, 8\]"),
        ({"signal": np.zeros(100)}, r"is \[100\]"),
        ({"signal": np.full((100, 12), np.nan)}, "finite"),
        ({"signal": np.full((100, 12), 1e300)}, "finite"),
        ({"rate": 0}, "positive number of Hz, and is 0"),
        ({"rate": np.inf}, "positive number of Hz"),
        ({"tolerance": 0.01}, "at least 0.03 mm, and is 0.01"),
        ({"tolerance": np.nan}, "at least 0.03 mm"),
        ({"probabilities": np.zeros(2)}, "3 finite numbers"),
        ({"probabilities": np.array([0, 1, np.nan])}, "3 finite numbers"),
        ({"thresholds": [0.5, 0.5]}, "one finite number or 3"),
        ({"thresholds": np.nan}, "one finite number or 3"),
        ({"truth": ["LBBB", "AF"]}, "truth names 'LBBB'; the classes are AF, Normal, PVC"),
        ({"truth": "AF"}, "a collection of names, and is the text 'AF'"),
        ({"maps": bad_maps(edges=[0, 500])}, r"have 1 bins: attention must be \[1\], and is \[2\]"),
        ({"maps": bad_maps(edges=[0])}, "two or more ascending samples"),
        ({"maps": bad_maps(edges=[0, 500, 500])}, "ascending"),
        ({"maps": bad_maps(edges=[0, 500, 1001])}, "within 0 … 1000"),
        ({"maps": bad_maps(edges=[-1, 500, 1000])}, "within 0 … 1000"),
        ({"maps": bad_maps(attention=[0.4, np.inf])}, "attention must be finite"),
        ({"maps": bad_maps(attention=[0.4, 1.5])}, "within 0 … 1"),
        ({"maps": bad_maps(responses=[[0, 1, -1], [0, 0, 0]])}, "responses must be finite and not negative"),
        ({"maps": bad_maps(responses=[[0, 1], [0, 0]])}, r"responses must be \[2, 3\], and is \[2, 2\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)


def test_a_picture_needs_no_jax():
    code = "import sys, xecgnet_jax.plotting.picture; print('jax' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert result.stdout.strip() == "False"
