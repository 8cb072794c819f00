"""The twelve leads and the sampling rate of every signal inside the package."""

from __future__ import annotations

#: The standard order of the twelve leads. Every [.., L] array follows it.
LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Sampling rate of every signal inside the package, in Hz.
RATE: int = 500
