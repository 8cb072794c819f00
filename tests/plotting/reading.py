"""Pictures read back: what a ruler on the paper would measure."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?(?:\d+\.\d*|\.?\d+)")


class Trace(NamedTuple):
    """A lead's points in mm from time 0 and from the row's line, upwards, and the line's mm below the grid's edge."""

    x: np.ndarray
    y: np.ndarray
    baseline: float


def parse(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def numbers(text: str) -> list[float]:
    return [float(one) for one in NUMBER.findall(text)]


def traces(root: ElementTree.Element) -> dict[str, Trace]:
    found = {}
    for path in root.iter(f"{SVG}path"):
        if lead := path.get("data-lead"):
            right, down, scale = numbers(path.attrib["transform"])
            assert right == 0
            start, _, steps = path.attrib["d"].partition("l")
            points = np.cumsum([numbers(start), *np.reshape(numbers(steps), (-1, 2))], axis=0)
            found[lead] = Trace(points[:, 0] * scale, -points[:, 1] * scale, down)
    return found


def part(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in root.iter() if one.get("data-part") == name]


def bands(root: ElementTree.Element) -> list[tuple[float, float, float, str]]:
    """(left mm, right mm, opacity, tip) of the attention's shade."""
    return [
        (
            float(rect.attrib["x"]),
            float(rect.attrib["x"]) + float(rect.attrib["width"]),
            float(rect.attrib["fill-opacity"]),
            "".join(rect.itertext()),
        )
        for group in part(root, "attention")
        for rect in group.iter(f"{SVG}rect")
    ]


def bars(root: ElementTree.Element) -> dict[str, list[tuple[float, float, float]]]:
    """Strip → (left mm, right mm, height mm) of each bar that has a height."""
    found = {}
    for path in root.iter(f"{SVG}path"):
        if heading := path.get("data-strip"):
            rows = np.reshape(numbers(path.attrib["d"]), (-1, 5))  # M left foot v -height H right V foot z
            found[heading] = [(left, right, -up) for left, _, up, right, _ in rows.tolist()]
    return found


def texts(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]
