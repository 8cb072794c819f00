"""One ECG that was exported twice is found, whatever the cut, the padding and the steps; others are not."""

import numpy as np
import pytest

from tests.data.small_corpus import make, write_record
from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.dataset import make_dataset, people_of
from xecgnet_jax.data.pack.duplicates import find_duplicates, group_rows, is_same_ecg
from xecgnet_jax.data.simulation.recording import simulate_recording


@pytest.fixture(scope="module")
def ecgs() -> list[np.ndarray]:
    return [simulate_recording(3, index, duration_s=10).signal for index in range(4)]


def other_export(signal: np.ndarray, first: int, last: int, before: int, after: int, step: float) -> np.ndarray:
    """The samples first to last in steps of another format, padded with zeros in front and with the last value."""
    cut = np.rint(signal[first:last] / step) * step
    return np.concatenate([np.zeros((before, 12)), cut, np.repeat(cut[-1:], after, axis=0)]).astype(np.float32)


def grouped(signals: list[np.ndarray]) -> list[list[int]]:
    extremes = np.array([[*signal.min(axis=0), *signal.max(axis=0)] for signal in signals])
    return find_duplicates([signal.tobytes().hex() for signal in signals], extremes, lambda row: signals[row])


@pytest.mark.parametrize(
    ("first", "last", "before", "after"), [(0, 5000, 0, 0), (60, 5000, 0, 0), (0, 4900, 150, 0), (10, 4990, 33, 250)]
)
def test_another_export_of_an_ecg_is_found(ecgs, first, last, before, after):
    copy = other_export(ecgs[1], first, last, before, after, step=0.005)
    assert is_same_ecg(ecgs[1], copy) and is_same_ecg(copy, ecgs[1])
    assert not is_same_ecg(ecgs[0], copy)
    inside = ecgs[1][first:last]  # found where both hold the extremes of every lead
    if (inside.min(axis=0) == ecgs[1].min(axis=0)).all() and (inside.max(axis=0) == ecgs[1].max(axis=0)).all():
        assert grouped([*ecgs, copy]) == [[1, 4]]


def test_what_differs_by_more_than_rounding_is_another_ecg(ecgs):
    changed = ecgs[1].copy()
    changed[2500, 7] += 0.03
    assert not is_same_ecg(ecgs[1], changed)
    assert not is_same_ecg(ecgs[1], ecgs[1][:, ::-1])
    assert not is_same_ecg(ecgs[1], np.roll(ecgs[1], 2000, axis=0))
    assert grouped(ecgs) == []


def test_equal_and_flat_signals(ecgs):
    flat = np.zeros((500, 12), np.float32)
    assert grouped([ecgs[0], flat, ecgs[0].copy(), flat.copy(), flat + np.float32(0.01)]) == [[0, 2], [1, 3]]


def test_groups_are_what_pairs_connect():
    """Against merging sets one pair after another."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        pairs = [tuple(pair) for pair in rng.integers(0, 30, (12, 2)).tolist()]
        groups = {row: {row} for row in range(30)}
        for one, other in pairs:
            merged = groups[one] | groups[other]
            groups |= dict.fromkeys(merged, merged)
        expected = sorted({tuple(sorted(group)) for group in groups.values() if len(group) > 1})
        assert [tuple(group) for group in group_rows(30, pairs)] == expected


def test_copies_stay_on_one_side_of_a_split(tmp_path, ecgs):
    """Six recordings, each twice, the patients of some unknown; a copy in another part of a given split is told."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = ["id,labels,patient,fold"]
    for number in range(6):
        values = np.rint(simulate_recording(5, number, duration_s=6).signal * 1000).astype(np.int16)
        for copy, fold in (("a", 1 + number % 3), ("b", 1 + (number + (number == 0)) % 3)):
            write_record(folder, f"{copy}{number}", values if copy == "a" else values[:2990])
            patient = f"p{number}" if copy == "a" and number < 3 else ""
            rows.append(f"{copy}{number},{'AF' if number % 2 else 'Normal'},{patient},{fold}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    pack = make(folder, tmp_path / "pack")
    assert pack.audit.duplicates == [[f"a{number}", f"b{number}"] for number in range(6)]
    people = dict(zip(pack.ids, people_of(pack), strict=True))
    assert all(people[f"a{number}"] == people[f"b{number}"] for number in range(6)) and len(set(people.values())) == 6
    assert people["b0"] == "p0" and people["b5"] == "of a5"

    def dataset(**settings):
        parts = {"train_folds": (1,), "validation_folds": (2,), "test_folds": (3,)}
        return make_dataset(pack, DataConfig(**parts, **settings))

    given = dataset(split="folds").summary()
    assert "WARNING: one ECG is in several parts: a0, b0" in given and given.count("WARNING") == 2
    assert "WARNING: no recording to train on has I-AVB, LBBB, PAC" in given
    assert "the patients of 9 recordings are unknown" in given
