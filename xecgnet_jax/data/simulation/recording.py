"""(seed, index) → one simulated recording, as a pure function, and its three files as the Challenges lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xecgnet_jax.data.labels import CLASSES, SNOMED_CT
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.heart import Heart, beats_dipole, draw_heart, fibrillatory_waves, move_by_breathing
from xecgnet_jax.data.simulation.leads import to_twelve_leads
from xecgnet_jax.data.simulation.noise import electrode_noise
from xecgnet_jax.data.simulation.population import SHORTEST, draw_age, draw_classes, draw_duration, draw_sex
from xecgnet_jax.data.simulation.rhythms import Course, draw_course
from xecgnet_jax.errors import ConfigError

#: mV from which a deviation of the ST segment is annotated.
ST_THRESHOLD: float = 0.1

#: Converter steps per mV, as in the Challenges' CPSC2018, and the largest value of 16 bits; the smallest marks an
#: invalid sample in WFDB files and is not used.
GAIN, LIMIT = 1000, 32767


@dataclass(frozen=True, eq=False)
class Annotations:
    """Events of one recording in temporal order."""

    sample: np.ndarray  #: [A] int64, sample at 500 Hz
    #: [A] WFDB codes: beats N, L (left) and R (right bundle branch block), A (atrial premature), V (ventricular
    #: premature) at the peak of the QRS complex; "(" and ")" at its onset and end; p at the peak of a P wave; + a
    #: change of rhythm; s a change of the ST segment.
    symbol: tuple[str, ...]
    #: [A] notes: "(N" and "(AFIB" of +; of s, as in the European ST-T Database, "(ST2+" where the third lead's
    #: elevation ("-": depression) starts, "AST2+150" with its µV, "ST2+)" where it ends.
    aux: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SimulatedRecording:
    """A recording and the events that were planted in it."""

    signal: np.ndarray  #: [T, 12] float32, millivolts at 500 Hz, leads in the order of `LEADS`
    classes: frozenset[str]  #: its labels
    annotations: Annotations  #: its events
    age: float  #: years
    sex: str  #: "F" or "M"


def simulate_recording(
    seed: int,
    index: int,
    classes: frozenset[str] | None = None,
    *,
    duration_s: float | None = None,
    noise: float = 1.0,
) -> SimulatedRecording:
    """Simulates recording number `index` of the corpus with this seed.

    Args:
      seed, index: of the corpus and of the recording, not negative.
      classes: its labels; None draws them with CPSC2018's frequencies.
      duration_s: its length in seconds, at least 6, so that its labels can show; None draws it like CPSC2018's.
      noise: factor of everything that does not come from the heart. 0 gives the clean signal, that of the same heart.

    Raises:
      ConfigError: classes that no heart can have at once, or a length or noise out of range.
    """
    if seed < 0 or index < 0:
        raise ConfigError(f"seed {seed}, index {index}: both must be 0 or more.")
    if not noise >= 0:
        raise ConfigError(f"noise {noise}: must be 0 or more.")
    rng = np.random.default_rng([seed, index])
    classes = draw_classes(rng) if classes is None else classes
    named = ", ".join(sorted(classes)) or "(none)"
    if not classes or not classes <= set(CLASSES):
        raise ConfigError(f"classes {named}: name one or more of {', '.join(CLASSES)}.")
    if "Normal" in classes and len(classes) > 1:
        raise ConfigError(f"classes {named}: Normal stands alone.")
    if {"LBBB", "RBBB"} <= classes:
        raise ConfigError(f"classes {named}: both bundle branches blocked is another disease. Choose one.")
    duration = draw_duration(rng) if duration_s is None else duration_s
    if not SHORTEST <= duration < 3600:
        raise ConfigError(f"duration {duration} s: a recording takes 6 s to an hour.")
    samples = round(duration * RATE)
    age, sex = draw_age(rng, classes), draw_sex(rng)
    heart = draw_heart(rng, classes)
    course = draw_course(rng, heart.pacing, classes, duration)
    dipole = beats_dipole(heart, course.beats, samples)
    if course.fibrillating is not None:
        dipole += fibrillatory_waves(rng, heart, samples, *course.fibrillating)
    dipole = move_by_breathing(rng, dipole, heart.pacing.respiration)
    electrodes = noise * electrode_noise(rng, samples, heart.pacing.respiration) if noise else None
    signal = to_twelve_leads(dipole, electrodes).astype(np.float32)
    return SimulatedRecording(signal, classes, _annotations_of(heart, course, samples), age, sex)


def _annotations_of(heart: Heart, course: Course, samples: int) -> Annotations:
    """Returns all events of a recording of `samples` samples; a beat counts if its QRS complex peaks in it."""
    last = samples - 1
    events = [(round(seconds * RATE), "+", note) for seconds, note in course.rhythms]
    ends = []
    conducted = {"LBBB": "L", "RBBB": "R", None: "N"}[heart.block]
    for beat in course.beats:
        qrs = (heart.ectopic if beat.origin == "ventricular" else heart.conducted).qrs
        if p_wave := heart.p_waves.get(beat.origin):
            p_peak = beat.p + p_wave.peak
            if 0 <= p_peak <= last / RATE:
                events.append((round(p_peak * RATE), "p", ""))
        peak = round((beat.qrs + qrs.peak) * RATE)
        if 0 <= peak <= last:
            end = min(round((beat.qrs + qrs.duration) * RATE), last)
            symbol = {"atrial": "A", "ventricular": "V"}.get(beat.origin, conducted)
            events += [(max(round(beat.qrs * RATE), 0), "(", ""), (peak, symbol, ""), (end, ")", "")]
            if beat.origin != "ventricular":
                ends.append(end)
    # Of conducted beats: from the first to the last end of their QRS complexes.
    for lead, level in enumerate(to_twelve_leads(heart.conducted.st)):
        if abs(level) >= ST_THRESHOLD and ends:
            name = f"ST{lead}{'+' if level > 0 else '-'}"
            amount = f"A{name}{round(abs(level) * 1000)}"
            events += [(ends[0], "s", f"({name}"), (ends[len(ends) // 2], "s", amount), (ends[-1], "s", f"{name})")]
    events.sort(key=lambda event: event[0])
    at, symbols, notes = zip(*events, strict=True)
    return Annotations(np.array(at, dtype=np.int64), symbols, notes)


def write_simulated(task: tuple[Path, int, int, str]) -> None:
    """Simulates the recording of (folder, seed, index, name) and writes it; one argument, for process pools.

    The files are `name`.hea (WFDB header), `name`.mat (MATLAB v4, `val`: int16 [12, T]) and `name`.atr, whose beats
    and other events are the recording's annotations.
    """
    import wfdb
    from scipy.io import savemat

    folder, seed, index, name = task
    recording = simulate_recording(seed, index)
    values = np.clip(np.rint(recording.signal * GAIN), -LIMIT, LIMIT).astype("<i2")
    savemat(folder / f"{name}.mat", {"val": values.T}, format="4")
    checksums = values.sum(axis=0, dtype=np.int16)  # Wraps around, as the format wants it.
    first_codes = {label: code for code, label in reversed(SNOMED_CT.items())}
    header = [
        f"{name} {len(LEADS)} {RATE} {len(values)}",
        *(
            f"{name}.mat 16+24 {GAIN}/mV 16 0 {first} {checksum} 0 {lead}"
            for first, checksum, lead in zip(values[0], checksums, LEADS, strict=True)
        ),
        f"#Age: {recording.age:.0f}",
        f"#Sex: {'Female' if recording.sex == 'F' else 'Male'}",
        f"#Dx: {','.join(first_codes[label] for label in CLASSES if label in recording.classes)}",
        "#Rx: Unknown",
        "#Hx: Simulated",
        "#Sx: Unknown",
    ]
    # write_bytes: a header is the same on every system, line ends included.
    (folder / f"{name}.hea").write_bytes("\n".join([*header, ""]).encode("ascii"))
    events = recording.annotations
    symbols, notes = list(events.symbol), list(events.aux)
    wfdb.wrann(name, "atr", events.sample, symbol=symbols, aux_note=notes, fs=RATE, write_dir=str(folder))
