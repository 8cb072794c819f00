"""Recordings of unequal lengths in the paper's windows of 72,000 samples: padded in full, and by this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.machine import torch_missing
from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import time_in_turns
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.parallel import available_cpus
from xecgnet_jax.data.windows import WindowSpec
from xecgnet_jax.evaluation.inference import make_predict, predict_recordings
from xecgnet_jax.model import XECGNet, collapse

OURS, PLAIN, PEER = "xecgnet-jax", "xecgnet-jax, plain network on full windows", "PyTorch on full windows"

#: Windows in a batch: a full one of 72,000 samples takes 150 MB of features in the first layers.
BATCH: int = 4


def cpsc_like_lengths(recordings: int) -> np.ndarray:
    """Returns lengths like CPSC2018's, [recordings] samples at 500 Hz.

    They are 6 to 144 s, the median 12 s, the mean 16 s, 1 % over 60 s: shuffled
    quantiles of a log-normal of 6 s and σ 1, to which 6 s are added.
    """
    quantiles = [NormalDist().inv_cdf((at + 0.5) / recordings) for at in range(recordings)]
    seconds = np.clip(6 + 6 * np.exp(quantiles), 6, 144)
    return np.random.default_rng(0).permutation(np.round(500 * seconds).astype(np.int64))


def run(setting: Setting) -> Iterator[Table]:
    window = 72_000 if not setting.quick else 4 * 243 * 3
    lengths = np.minimum(cpsc_like_lengths(6 if setting.quick else 32), window)
    signals = [setting.signal(1, length)[0] for length in lengths.tolist()]
    normalization = Normalization(np.zeros(12, np.float32), np.ones(12, np.float32))
    model = XECGNet(width=setting.width)
    fast = collapse(model, setting.variables)
    apply: Any = model.apply
    predict_fast, predict_plain = make_predict(fast.apply), make_predict(apply)

    def ours() -> np.ndarray:
        return predict_recordings(
            predict_fast,
            fast.variables,
            lambda at: signals[at],
            lengths,
            spec=WindowSpec("pad", window, model.pools),
            normalization=normalization,
            batch_size=BATCH,
        ).probabilities

    def plain() -> np.ndarray:
        found = [predict_plain(setting.variables, jnp.asarray(batch), None)[0] for batch in _full(signals, window)]
        return np.concatenate([np.asarray(one) for one in found])[: len(signals)]

    difference = float(np.abs(ours() - plain()).max())
    runs: dict[str, Callable[[], object]] = {OURS: ours, PLAIN: plain}
    remarks = [f"The probabilities of both differ by {difference:.1g} at most."]
    if missing := torch_missing():
        remarks.append(missing)
    else:
        runs[PEER] = _peer(setting, signals, window)
    timings = time_in_turns(runs, repetitions=setting.repetitions(3), warmup=int(PEER in runs))
    seconds = lengths / 500
    remarks.append(
        f"Lengths like CPSC2018's: {seconds.min():.0f} to {seconds.max():.0f} s, median {np.median(seconds):.0f} s, "
        f"mean {seconds.mean():.0f} s. Gathering the windows is part of it."
    )
    yield timing_table(
        f"Predicting {len(lengths)} recordings in windows of {window:,} samples, {available_cpus()} threads",
        timings,
        baseline=PLAIN,
        amount=len(lengths),
        unit="recordings",
        remarks=remarks,
    )


def _full(signals: list[np.ndarray], window: int) -> Iterator[np.ndarray]:
    """Yields batches [BATCH, window, 12] of the recordings with zeros before them."""
    for first in range(0, len(signals), BATCH):
        batch = np.zeros((BATCH, window, 12), np.float32)
        for row, signal in zip(batch, signals[first : first + BATCH], strict=False):
            row[window - len(signal) :] = signal
        yield batch


def _peer(setting: Setting, signals: list[np.ndarray], window: int) -> Callable[[], object]:
    import torch

    from benchmarks.torch_peer import fold, make_peer, probabilities

    torch.set_num_threads(available_cpus())
    model = fold(make_peer(setting.variables, setting.width))
    transposed = [signal.T.copy() for signal in signals]

    def predict() -> object:
        found = []
        with torch.inference_mode():
            for first in range(0, len(signals), BATCH):
                batch = torch.zeros(BATCH, 12, window)
                for row, signal in zip(batch, transposed[first : first + BATCH], strict=False):
                    row[:, window - signal.shape[1] :] = torch.from_numpy(signal)
                found.append(probabilities(model(batch)))
        return torch.cat(found)

    return predict
