"""`xecgnet inspect`: what is in one file of an ECG, before anything else is done with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from xecgnet_jax.data.io.discover import read_recording
from xecgnet_jax.data.io.recording import Recording
from xecgnet_jax.data.leads import LEADS, MissingLeads
from xecgnet_jax.files import write_text
from xecgnet_jax.terminal import path_text, printable, say

PositionalFile = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Inspect:
    """Tell what is in one recording, and what looks wrong with it."""

    #: The recording, of any format: WFDB, CPSC2018's .mat, GE MUSE, Philips, HL7 aECG, SCP-ECG, DICOM, EDF, a CSV
    #: table, an array.
    file: PositionalFile
    #: Sampling rate of a CSV table or array in Hz.
    rate: Annotated[float | None, tyro.conf.arg(metavar="HZ", help_behavior_hint="")] = None
    #: Units of a CSV table or array.
    units: Annotated[Literal["mV", "uV", "V"] | None, tyro.conf.arg(metavar="{mV,uV,V}", help_behavior_hint="")] = None
    #: Names of the columns of an array, in their order.
    leads: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LEAD [LEAD ...]", help_behavior_hint="")] = ()
    #: What is done where it lacks leads: refuse it, or take 0 mV for each lead that does not follow from I and II.
    missing_leads: MissingLeads = "refuse"
    #: Draw it on ECG paper into this SVG file.
    plot: Annotated[Path | None, tyro.conf.arg(metavar="SVG_FILE", help_behavior_hint="")] = None

    def run(self) -> None:
        """Prints what was read, and the command that predicts it."""
        recording = read_recording(
            self.file, rate=self.rate, units=self.units, leads=self.leads, missing_leads=self.missing_leads
        )
        say(path_text(self.file))
        say("\n".join(printable(line) for line in describe(recording)))
        if self.plot is not None:
            from xecgnet_jax.plotting.picture import ecg_picture

            picture = ecg_picture(
                recording.signal,
                maps=None,
                classes=(),
                probabilities=None,
                thresholds=0.5,
                title=recording.id,
                notes=[f"WARNING: {warning.text}" for warning in recording.warnings],
                rate=recording.rate,
            )
            write_text(self.plot, picture)
            say(f"picture: {path_text(self.plot)}")
        words: list[object] = ["xecgnet", "predict", path_text(self.file)]
        words += [] if self.rate is None else ["--rate", f"{self.rate:g}", "--units", self.units]
        words += ["--leads", *self.leads] if self.leads else []
        words += ["--missing-leads", "zero"] if recording.absent else []
        say(f"predict it: {shlex.join(map(str, words))}")


def describe(recording: Recording) -> list[str]:
    """Returns what is known of a recording, line by line; its statements may hold names and dates."""
    low, high = recording.signal.min(axis=0), recording.signal.max(axis=0)
    seconds = len(recording.signal) / recording.rate
    derived = ", ".join(recording.derived)
    if recording.absent:
        derived = f"{derived or 'none'}; the file lacks {', '.join(recording.absent)}"
    known = {
        "format": recording.format,
        "rate": f"{recording.rate:.7g} Hz, {len(recording.signal)} samples, {seconds:.2f} s",
        "person": ", ".join(
            [
                "age unknown" if recording.age is None else f"{recording.age:g} years",
                {"F": "female", "M": "male", None: "sex unknown"}[recording.sex],
                "no patient id" if recording.patient is None else f"patient {recording.patient} (hash)",
            ]
        ),
        "derived": derived or "none: all twelve leads are in the file",
        "codes": ", ".join(recording.codes) or "none",
    }
    lines = [f"{name + ':':<10}{text}" for name, text in known.items()]
    lines += [f"{'note:':<10}{note}" for note in recording.notes]
    lines.append("lead      lowest  highest  mV")
    rows = zip(LEADS, low, high, np.ptp(recording.signal, axis=0), strict=True)
    for lead, least, most, span in rows:
        lines.append(f"{lead:<9}{least:7.3f}{most:9.3f}{'' if span else '  (never changes)'}")
    lines += [f"WARNING: {warning.text}" for warning in recording.warnings]
    lines += [f"statement: {text}" for text in recording.statements]
    return lines
