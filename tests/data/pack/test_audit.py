"""What the audit of a pack finds in signals, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xecgnet_jax.data.labels import CLASSES
from xecgnet_jax.data.pack.audit import Audit, format_audit, make_audit
from xecgnet_jax.data.quality.plausibility import find_warnings
from xecgnet_jax.data.quality.problems import CLIPPED_SECONDS, SignalProblems, find_problems

CLIPPED_RUN = round(CLIPPED_SECONDS * 500)


@pytest.fixture
def signal() -> np.ndarray:
    """[5000, 12] mV of an unremarkable size."""
    return np.random.default_rng(0).normal(scale=0.5, size=(5000, 12)).clip(-1.9, 1.9).astype(np.float32)


def test_an_ordinary_signal_has_no_findings(signal: np.ndarray) -> None:
    found = find_problems(signal)
    assert (found.flat, found.clipped, found.absurd) == ((), (), ())


def test_flat_leads_are_named_and_nothing_else_is_said_of_them(signal: np.ndarray) -> None:
    signal[:, 3] = 0
    signal[:, 11] = 2.5
    found = find_problems(signal)
    assert (found.flat, found.clipped, found.absurd) == (("aVR", "V6"), (), ())


@pytest.mark.parametrize("level", [2.5, -2.5])
def test_clipped_leads_stay_at_their_extreme_value(signal: np.ndarray, level: float) -> None:
    signal[100 : 100 + CLIPPED_RUN, 0] = level  # V-shaped peaks of the other leads are no clipping
    signal[100 : 99 + CLIPPED_RUN, 1] = level  # one sample short
    signal[[100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100], 2] = level  # not in a row
    signal[100:200, 4] = level
    signal[300, 4] = 2 * level  # not at the extreme
    assert find_problems(signal).clipped == ("I",)


def test_a_quiet_baseline_is_no_clipping(signal: np.ndarray) -> None:
    signal[:, 5] = np.abs(signal[:, 5])
    signal[:50, 5] = 0
    assert find_problems(signal).clipped == ()


def test_limb_leads_that_contradict_each_other_are_told_as_predict_tells_it(signal: np.ndarray) -> None:
    """LUDB's are each scaled by itself; one that is flat or clipped contradicts the others anyway."""
    one, two = signal[:, 0], signal[:, 1]
    signal[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    assert find_problems(signal).limb_leads is None
    signal[:, 3] *= 2.5
    told = find_problems(signal).limb_leads
    assert told is not None and told == {w.kind: w.text for w in find_warnings(signal)}["limb-leads"]
    audit = make_audit({"A": find_problems(signal)}, {}, [()], [])
    assert audit.limb_leads == {"A": told}
    assert "  limb leads contradict each other (1): A" in format_audit(audit).splitlines()
    signal[:, 3] = 0
    assert find_problems(signal).limb_leads is None


def test_absurd_leads_are_far_too_large_or_far_too_small(signal: np.ndarray) -> None:
    signal[7, 6] = -20.5
    signal[7, 7] = -19.5
    signal[:, 8] *= 1e-3  # volts taken for millivolts
    assert find_problems(signal).absurd == ("V1", "V3")


@given(st.integers(0, 4999), st.integers(0, 11))
def test_digest_changes_with_any_sample(row: int, column: int) -> None:
    signal = np.zeros((5000, 12), np.float32)
    changed = signal.copy()
    changed[row, column] = 0.001
    assert find_problems(signal).digest == find_problems(signal.copy()).digest != find_problems(changed).digest


def test_audit_gathers_findings_by_recording() -> None:
    findings = {
        "A": SignalProblems("1", flat=("I",), clipped=(), absurd=("V1", "V2")),
        "B": SignalProblems("2", flat=(), clipped=("V6",), absurd=()),
        "C": SignalProblems("1", flat=(), clipped=(), absurd=()),
    }
    codes = [("AF", "SR"), ("SR",), ("SR", "PAC", "AF")]
    audit = make_audit(findings, {"X": "damaged"}, codes, [[0, 2]])
    assert audit == Audit(
        packed=3,
        refused={"X": "damaged"},
        flat={"A": ["I"]},
        clipped={"B": ["V6"]},
        absurd={"A": ["V1", "V2"]},
        duplicates=[["A", "C"]],
        without_class=["B"],
        classes=dict.fromkeys(CLASSES, 0) | {"AF": 2, "PAC": 1},
        unmapped={"SR": 3},
    )
    assert format_audit(audit).splitlines() == [
        "3 recordings packed, 1 refused",
        "  classes: AF 2, I-AVB 0, LBBB 0, Normal 0, PAC 1, PVC 0, RBBB 0, STD 0, STE 0",
        "  refused (1): X (damaged)",
        "  flat leads (1): A (I)",
        "  clipped (1): B (V6)",
        "  absurd amplitude (1): A (V1 V2)",
        "  one ECG (1): A = C",
        "  without a class (1): B",
        "  codes of no class (1): SR (3×)",
    ]


def test_format_gives_a_few_examples_and_all_numbers() -> None:
    audit = Audit(packed=9, classes={"AF": 1}, without_class=[f"R{number}" for number in range(8)])
    assert format_audit(audit).splitlines()[-1] == "  without a class (8): R0, R1, R2, …"
