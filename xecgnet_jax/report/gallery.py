"""Which recordings a report lists, in which order, and of which it holds pictures."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Collection, Sequence
from itertools import compress, zip_longest

import numpy as np

from xecgnet_jax.plotting.picture import ecg_picture
from xecgnet_jax.report.contents import Contents

#: Pictures drawn in vain, because the space that is left is too small for them, before no more are tried.
_TRIES = 3


def gallery(
    contents: Contents, size: int, progress: Callable[[int], object] = lambda recordings: None
) -> tuple[str, int, int]:
    """Returns what the page's script shows: all recordings, or as many as fit, with as many pictures as fit.

    That is JSON of at most `size` bytes that may stand inside a <script>; how many recordings it lists, and how many of
    these have a picture. `progress` is that of `report_html`.
    """
    wanted = picture_order(contents.truths, contents.predictions)
    rows = [script_json(_row(contents, position)) for position in range(len(contents.ids))]
    # At least half of the space is for pictures.
    ends = np.cumsum([len(rows[position]) + 1 for position in wanted])
    listed = wanted[: int(np.searchsorted(ends, size // 2, side="right"))]
    thresholds = [round(float(value), 6) for value in contents.thresholds.values]
    head = script_json({"classes": list(contents.classes), "thresholds": thresholds})
    start, middle, end = head[:-1] + ',"recordings":[', '],"pictures":{', "}}"
    left = size - len(start) - len(middle) - len(end) - sum(len(rows[position]) + 1 for position in listed)
    pictures = _pack_pictures(contents, listed, left, progress)
    shown = display_order(contents, listed, pictures)
    entries = [f'"{at}":"{pictures[position]}"' for at, position in enumerate(shown) if position in pictures]
    data = start + ",".join(rows[position] for position in shown) + middle + ",".join(entries) + end
    return data, len(listed), len(pictures)


def _pack_pictures(
    contents: Contents, wanted: Sequence[int], size: int, progress: Callable[[int], object]
) -> dict[int, str]:
    """Returns position → SVG, deflated (zlib) and in base64, of the first of `wanted` that fit into `size` bytes.

    Keys and commas count, too.
    """
    around = len(f'"{len(wanted)}":"",')
    pictures: dict[int, str] = {}
    tries, waiting = _TRIES, len(contents.ids)
    for position in wanted:
        svg = ecg_picture(
            contents.signal(position),
            maps=None if contents.maps is None else contents.maps[position],
            classes=contents.classes,
            probabilities=contents.probabilities[position],
            thresholds=contents.thresholds.values,
            truth=list(compress(contents.classes, contents.truths[position])),
            title=str(contents.ids[position]),
            rate=contents.rate,
        )
        picture = base64.b64encode(zlib.compress(svg.encode("utf-8", "replace"))).decode("ascii")
        waiting -= 1
        progress(1)
        if len(picture) + around <= size:
            pictures[position] = picture
            size -= len(picture) + around
        elif (tries := tries - 1) == 0:
            break
    progress(waiting)
    return pictures


def display_order(contents: Contents, listed: Collection[int], pictured: Collection[int]) -> list[int]:
    """Sorts wrong ones first; of each kind, those with a picture; of these, those with more true classes; by name."""
    wrong, labels = contents.wrong, contents.truths.sum(axis=1)
    return sorted(listed, key=lambda at: (not wrong[at], at not in pictured, -labels[at], str(contents.ids[at]), at))


def picture_order(truths: np.ndarray, predictions: np.ndarray) -> list[int]:
    """Returns all recordings of [R, C] bool, those first whose pictures are wanted most.

    Wrong ones with several true classes; right ones with several; other wrong ones; other right ones. Within each of
    the four, one from each class in turn. A recording counts for the rarest of its true classes; without one, for the
    rarest predicted; without any, for a class of its own.
    """
    wrong, several = (truths != predictions).any(axis=1), truths.sum(axis=1) > 1
    groups = np.where(several, np.where(wrong, 0, 1), np.where(wrong, 2, 3))
    members = np.where(truths.any(axis=1, keepdims=True), truths, predictions)
    rarity = np.where(members, truths.sum(axis=0), len(truths) + 1)
    rarest = np.where(members.any(axis=1), rarity.argmin(axis=1), truths.shape[1])
    order: list[int] = []
    for group in range(4):
        queues = [np.flatnonzero((groups == group) & (rarest == column)).tolist() for column in np.unique(rarest)]
        order += [at for turn in zip_longest(*queues) for at in turn if at is not None]
    return order


def _row(contents: Contents, position: int) -> list[str | list[int] | list[float]]:
    """Returns id, true classes, predicted classes, probabilities, and the note if there is one.

    Probabilities have 3 decimals, or 6 where 3 would not tell them from their thresholds.
    """
    pairs = zip(contents.probabilities[position].tolist(), contents.thresholds.values.tolist(), strict=True)
    return [
        str(contents.ids[position]),
        np.flatnonzero(contents.truths[position]).tolist(),
        np.flatnonzero(contents.predictions[position]).tolist(),
        [round(value, 6 if round(value, 3) == round(threshold, 3) else 3) for value, threshold in pairs],
        *([] if contents.notes is None else [str(contents.notes[position])]),
    ]


def script_json(value: object) -> str:
    """Returns ASCII JSON in which nothing can end a script or begin a tag."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
