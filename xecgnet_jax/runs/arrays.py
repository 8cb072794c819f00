"""Arrays that a caller gives → recordings as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xecgnet_jax.data.io.recording import is_rate
from xecgnet_jax.data.io.table import LARGEST
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.signals import SignalSpec, prepare_signal


def check_signals(signals: np.ndarray | Sequence[np.ndarray], rate: float, spec: SignalSpec) -> list[np.ndarray]:
    """Returns recordings [T, 12] in mV at `rate` Hz as the network sees them.

    Raises:
      ValueError: there is none, one has another shape or values that are no voltages, or the rate is impossible.
    """
    if not is_rate(rate):
        raise ValueError(f"rate is {rate:g}; an ECG has 50 to 100,000 Hz: give the sampling rate of the signals")
    if isinstance(signals, np.ndarray) and signals.ndim != 3:
        raise ValueError(_wrong_shape("the signals are", signals.shape))
    if not len(signals):
        raise ValueError("there are no signals; give one recording or more")
    checked = [_check_signal(np.asarray(signal), f"recording {i}") for i, signal in enumerate(signals)]
    return [prepare_signal(signal, rate, spec) for signal in checked]


def _check_signal(signal: np.ndarray, name: str) -> np.ndarray:
    if signal.ndim != 2 or signal.shape[1] != len(LEADS) or not len(signal):
        raise ValueError(_wrong_shape(f"{name} is", signal.shape))
    if signal.dtype.kind not in "fiu":
        raise ValueError(f"{name} is of type {signal.dtype}; give numbers, in mV")
    if wrong := [lead for lead, ok in zip(LEADS, (np.abs(signal) <= LARGEST).all(axis=0), strict=True) if not ok]:
        raise ValueError(
            f"{name} has samples that are no voltages in {', '.join(wrong)}: NaN, or beyond {LARGEST:g} mV; cut them "
            "off or fill them in before predicting"
        )
    return signal


def _wrong_shape(what: str, shape: tuple[int, ...]) -> str:
    turn = "; leads come last: transpose it" if len(shape) > 1 and shape[-2] == len(LEADS) != shape[-1] else ""
    return f"{what} {list(shape)}, and must be [T, 12], [B, T, 12] or a list of [T, 12] with T of 1 or more{turn}"
