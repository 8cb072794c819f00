"""A simple heartbeat detector: exact enough to tell whether a stated sampling rate can be true.

It is of the usual kind (band-pass, envelope, peaks; after J. Pan and W. J. Tompkins, IEEE Transactions on Biomedical
Engineering 32 (1985) 230–236), but uses all leads at once. The wfdb package's detectors take one lead.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.leads import RATE

#: Seconds of the shortest signal that can be searched, and of a long one that are searched.
SHORTEST, LONGEST_SEARCHED = 2.0, 60

#: Hz that QRS complexes have most of their power in.
BAND: tuple[float, float] = (5.0, 30.0)

#: Seconds that two beats are apart at least (300 a minute).
REFRACTORY: float = 0.2


class Heartbeats(NamedTuple):
    """The heartbeats of a recording."""

    beats: np.ndarray  #: [n] samples at which they are
    per_minute: float  #: heart rate by the median distance of neighbors; NaN below two beats
    #: Median width of the QRS complex in milliseconds: where the slope over all leads is above a quarter of its peak.
    #: Narrower than a cardiologist's. NaN below two beats.
    width: float


def filter_qrs_band(signal: np.ndarray, rate: float = RATE) -> np.ndarray:
    """Returns the first minute of [T, 12] mV at `rate` Hz, filtered to `BAND` without delay, float32."""
    from scipy.signal import sosfiltfilt

    return sosfiltfilt(_design_band(rate), signal[: round(LONGEST_SEARCHED * rate)], axis=0).astype(np.float32)


@lru_cache(maxsize=16)
def _design_band(rate: float) -> np.ndarray:
    """Returns the filter to `BAND` as second-order sections; designing it takes as long as using it."""
    from scipy.signal import butter

    return butter(2, BAND, "bandpass", fs=rate, output="sos")


def find_heartbeats(band: np.ndarray, rate: float = RATE) -> Heartbeats:
    """Returns the beats in [T, 12] of `filter_qrs_band`, at least `SHORTEST` seconds, and their rate and width."""
    from scipy.signal import find_peaks

    envelope = _mean_over_leads(np.abs(band), round(0.08 * rate))
    height = 0.4 * np.quantile(envelope, 0.98)
    beats, _ = find_peaks(envelope, height=height or np.inf, distance=round(REFRACTORY * rate))
    if len(beats) < 2:
        return Heartbeats(beats, float("nan"), float("nan"))
    slope = _mean_over_leads(np.abs(np.gradient(band, axis=0)), max(1, round(0.018 * rate)))
    quiet, reach = np.median(slope), round(0.15 * rate)
    widths = []
    for beat in beats:
        near = slope[max(0, beat - reach) : beat + reach]
        steep = np.flatnonzero(near > quiet + 0.25 * (near.max() - quiet))
        widths.append(1000 * (steep[-1] - steep[0] + 1) / rate if len(steep) else 0.0)
    return Heartbeats(beats, 60 * rate / float(np.median(np.diff(beats))), float(np.median(widths)))


def _mean_over_leads(height: np.ndarray, smooth: int) -> np.ndarray:
    """Returns the mean of [T, 12] over leads, [T], smoothed over so many samples.

    Each lead is scaled by its own peaks and limited, so that an artifact in a few leads hides nothing.
    """
    from scipy.ndimage import uniform_filter1d

    peaks = np.quantile(height[::2], 0.98, axis=0)
    scaled = np.minimum(height / np.where(peaks > 0, peaks, 1).astype(np.float32), 2)
    return uniform_filter1d(scaled.mean(axis=1), smooth)
