"""Contents of reports, made up, and pages read back."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.scores import evaluate
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.report import Contents

CLASSES = ("AF", "I-AVB", "LBBB", "Normal", "PAC", "PVC", "RBBB", "STD", "STE")
EVIL = """<script>document.title="broken"</script>"'&<img src=x onerror="document.title='broken'">\u2028"""
VOID = {"meta", "link", "br", "hr", "img", "input"}


def beats(position: int, samples: int = 1250) -> np.ndarray:
    """[T, 12] mV: spikes on slow waves, another recording for each position."""
    time = np.arange(samples)[:, None] / 500
    lead = np.linspace(0.4, 1.2, 12)
    rate = 1 + position % 7 / 10
    return (lead * (np.exp(-(((time * rate) % 1 - 0.5) ** 2) / 5e-4) + 0.1 * np.sin(2 * np.pi * time))).astype(
        np.float32
    )


def noise(position: int, samples: int = 5000) -> np.ndarray:
    """[T, 12] mV of white noise: what deflates worst."""
    return np.random.default_rng(position).normal(0, 1, (samples, 12)).astype(np.float32)


def example(recordings: int = 60, *, seed: int = 0, **changed: Any) -> Contents:
    """A report of a good but not perfect classifier. The last class, STE, has no recording."""
    random = np.random.default_rng(seed)
    labels = (random.random((recordings, len(CLASSES))) < 0.17).astype(np.uint8)
    labels[:, -1] = 0
    probabilities = np.clip(0.2 + 0.6 * labels + random.normal(0, 0.17, labels.shape), 0, 1).astype(np.float32)
    thresholds = changed.get("thresholds", Thresholds("0.5", np.full(len(CLASSES), 0.5)))
    patients = [f"p{position // 2}" for position in range(recordings)]
    metrics = evaluate(
        labels,
        probabilities,
        apply_thresholds(probabilities, thresholds.values),
        CLASSES,
        patients=patients,
        resamples=40,
    )
    edges = np.arange(0, 1250, 243)
    maps = [
        Maps(edges, random.random(5).astype(np.float32), random.random((5, len(CLASSES))).astype(np.float32))
        for _ in range(recordings)
    ]
    given = {
        "title": "Corpus, test part",
        "metrics": json.loads(json.dumps(metrics)),
        "classes": CLASSES,
        "ids": [f"A{position:05d}" for position in range(recordings)],
        "labels": labels,
        "probabilities": probabilities,
        "thresholds": thresholds,
        "signal": beats,
        "maps": maps,
        "training": training(12),
    }
    return Contents(**(given | changed))


def training(epochs: int) -> list[dict[str, Any]]:
    """Records of metrics.jsonl; the validation micro F1 is highest in epoch 9 of 12."""
    return [
        {
            "epoch": epoch,
            "step": 38 * epoch,
            "loss": 2 / epoch,
            "perception_loss": 1 / epoch,
            "attention_loss": 0.9 / epoch,
            "alignment": 3 / epoch,
            "learning_rate": 1e-3,
            "validation_micro_f1": 0.9 - abs(epoch - 9) / 30,
            "validation_macro_f1": 0.8 - abs(epoch - 9) / 30,
            "validation_subset_accuracy": 0.7,
            "validation_multi_label_subset_accuracy": None if epoch == 1 else 0.3,
        }
        for epoch in range(1, epochs + 1)
    ]


class Node:
    """An element: its tag, attributes, parts (nodes and texts)."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.parts = tag, attributes, []

    def all(self, tag: str | None = None) -> list[Node]:
        """All elements within it (of that tag), in their order."""
        found = []
        for part in self.parts:
            if isinstance(part, Node):
                found += [part] * (tag in (None, part.tag)) + part.all(tag)
        return found

    def id(self, name: str) -> Node:
        (found,) = [node for node in self.all() if node.attributes.get("id") == name]
        return found

    def classed(self, name: str) -> list[Node]:
        return [node for node in self.all() if name in node.attributes.get("class", "").split()]

    @property
    def text(self) -> str:
        text = " ".join(part if isinstance(part, str) else part.text for part in self.parts)
        return " ".join(text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read_page(html: str) -> Node:
    """The page as a tree; fails where an element is closed that is not open, or left open."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert [node.tag for node in reader.open] == ["page"], "elements are left open"
    return reader.open[0]
