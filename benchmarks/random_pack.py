"""Recordings of random counts in memory: data of any size for what does not ask what is in it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.labels import CLASSES, CPSC2018
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.pack.audit import Audit
from xecgnet_jax.data.signals import PLAIN
from xecgnet_jax.data.splits import Split


def random_dataset(lengths: np.ndarray, seed: int) -> Dataset:
    """Returns recordings of these lengths [R] samples, all of them to train on."""
    rng = np.random.default_rng(seed)
    count, leads = len(lengths), len(LEADS)
    samples = rng.integers(-1000, 1000, (int(lengths.sum()), leads), np.int16)
    names = tuple(f"X{number:05d}" for number in range(count))
    pack = Pack(
        samples=samples,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        step=np.full((count, leads), 1e-3),
        zero=np.zeros((count, leads)),
        moments=np.tile(np.array([[0.0], [0.6]]), (count, 1, leads)),
        labels=(rng.random((count, len(CLASSES))) < 0.15).astype(np.uint8),
        ids=names,
        patients=(None,) * count,
        folds=np.full(count, -1),
        ages=np.full(count, np.nan),
        sexes=(None,) * count,
        codes=((),) * count,
        annotated=(),
        classes=tuple(CLASSES),
        leads=LEADS,
        likelihoods=((),) * count,
        signals=PLAIN,
        kind="random",
        packed=f"random-{count}-{seed}",
        fingerprint=f"random-{count}-{seed}",
        audit=Audit(packed=count),
    )
    everyone, no_one = np.arange(count), np.zeros(0, np.int64)
    normalization = Normalization(np.zeros(leads, np.float32), np.full(leads, 0.6, np.float32))
    return Dataset(
        pack, Split(names, (), ()), everyone, no_one, no_one, normalization, CPSC2018, np.ones(count), DataConfig()
    )


def cpsc_like_lengths(recordings: int) -> np.ndarray:
    """Returns lengths like CPSC2018's, [recordings] samples at 500 Hz.

    They are 6 to 144 s, the median 12 s, the mean 16 s, 1 % over 60 s: shuffled
    quantiles of a log-normal of 6 s and σ 1, to which 6 s are added.
    """
    quantiles = [NormalDist().inv_cdf((at + 0.5) / recordings) for at in range(recordings)]
    seconds = np.clip(6 + 6 * np.exp(quantiles), 6, 144)
    return np.random.default_rng(0).permutation(np.round(500 * seconds).astype(np.int64))
