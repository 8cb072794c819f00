"""One recording on disk → `Recording`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from xecgnet_jax.data.io.matlab import read_struct
from xecgnet_jax.data.io.wfdb_header import (
    Header,
    SignalLine,
    lead_name,
    parse_age,
    parse_header,
    parse_sex,
    parse_signal_line,
)
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.errors import RecordError

# wfdb and scipy are imported where they are used: together they take seconds, and most of the
# programs that import this module read packs, not recordings.

#: Sampling rate of CPSC2018, whose `.mat` files do not say it, in Hz.
CPSC_RATE: int = 500

#: Bits per sample of WFDB's formats. The lowest value that they hold marks an invalid sample;
#: format 8 stores differences and has no such mark.
SAMPLE_BITS: dict[int, int] = {
    80: 8, 508: 8, 310: 10, 311: 10, 212: 12, 16: 16, 61: 16, 160: 16, 516: 16, 24: 24, 524: 24, 32: 32
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG.

    Attributes:
      id: name of the record, without folder or suffix.
      signal: [T, 12] float32, millivolts, leads in the order of `LEADS`.
      rate: sampling rate of `signal` in Hz.
      codes: diagnostic codes as the file or its corpus writes them, in the file's order.
      age: years, or None where the file does not say.
      sex: "F", "M", or None where the file does not say.
      resolution: [12] float64, millivolts per step of the source's converter (1 / gain), or None
        where the source has none or the signal was resampled.
    """

    id: str
    signal: np.ndarray
    rate: float
    codes: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None
    resolution: np.ndarray | None = None


def read_header(path: str | Path) -> Header:
    """Codes, age, sex, length (samples) and rate (Hz) of a recording.

    Reads the text of a WFDB header and no samples, so a corpus of 40,000 takes seconds. The original
    `.mat` files of CPSC2018 have no header; they are read whole.

    Raises:
      RecordError: as `read_recording`, as far as a header can tell.
    """
    path = _described(Path(path))
    if path.suffix == ".hea":
        return parse_header(path)
    signal, age, sex = _cpsc_struct(path)
    return Header(path.stem, CPSC_RATE, len(signal), None, age, sex)


def read_recording(path: str | Path, *, rate: float | None = RATE) -> Recording:
    """Reads a recording into millivolts at `rate`, its leads in the order of `LEADS`.

    Args:
      path: a WFDB header (`.hea`) whose signal files (`.mat`, `.dat`) lie beside it, one of these
        signal files, or an original `.mat` file of CPSC2018. Leads are found by name in any case;
        leads beyond the twelve are ignored.
      rate: wanted sampling rate in Hz; other rates are resampled by a polyphase filter
        (`scipy.signal.resample_poly`). None leaves the signal as it is.

    Raises:
      RecordError: the recording cannot be read without guessing: a lead is missing or doubled, gain
        or units are unknown, header and signal file contradict each other (length, checksum), or a
        sample is invalid.
    """
    path = _described(Path(path))
    if path.suffix == ".hea":
        header = parse_header(path)
        signal, resolution = _wfdb_signal(path, header)
        source_rate = _checked_rate(path, header)
    else:
        signal, age, sex = _cpsc_struct(path)
        header = Header(path.stem, CPSC_RATE, len(signal), None, age, sex)
        resolution, source_rate = None, float(CPSC_RATE)
    _check_samples(path, signal)
    if rate is not None and rate != source_rate:
        signal, resolution, source_rate = resampled(signal, source_rate, rate), None, float(rate)
    return Recording(
        id=header.id,
        signal=np.ascontiguousarray(signal, dtype=np.float32),
        rate=source_rate,
        codes=header.codes or (),
        age=header.age,
        sex=header.sex,
        resolution=resolution,
    )


def resampled(signal: np.ndarray, source_rate: float, rate: float) -> np.ndarray:
    """[T, L] at `source_rate` Hz → [ceil(T · rate / source_rate), L] at `rate` Hz.

    The straight line from the first to the last sample is taken out before filtering and put back
    after, so that a baseline away from 0 mV does not ring at the ends.
    """
    from scipy.signal import resample_poly

    ratio = Fraction(rate).limit_denominator(1000) / Fraction(source_rate).limit_denominator(1000)
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype="line")


def _described(path: Path) -> Path:
    """The file that describes the recording: its header where there is one, else the `.mat` file."""
    header = path.with_suffix(".hea")
    if path.suffix != ".mat" or header.is_file():
        return header
    return path


def _checked_rate(path: Path, header: Header) -> float:
    if header.rate is None or not 50 <= header.rate <= 100_000:
        raise RecordError(
            f"{path}: the sampling rate is {header.rate or 'missing'}; an ECG has 50 to 100,000 Hz. Correct the header."
        )
    return header.rate


def _check_samples(path: Path, signal: np.ndarray) -> None:
    if not len(signal):
        raise RecordError(f"{path}: the recording has no samples. Remove it from the corpus.")
    with np.errstate(over="ignore"):  # What float32 cannot hold is no voltage either.
        invalid = ~np.isfinite(signal.astype(np.float32))
    if invalid.any():
        counts = ", ".join(f"{n} in {lead}" for lead, n in zip(LEADS, invalid.sum(0), strict=True) if n)
        raise RecordError(
            f"{path}: of {len(signal)} samples some are marked invalid or are not finite: {counts}. "
            "Cut them off or fill them in; a value made up here would pass for a measurement."
        )


def _wfdb_signal(path: Path, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """([T, 12] float64 mV with NaN where invalid, [12] mV per step) of the record of a header."""
    channels = _lead_channels(path, [lead_name(line) for line in header.signal_lines])
    lines = [parse_signal_line(path, header.signal_lines[channel]) for channel in channels]
    counts = _counts(path, header, channels, lines)
    if header.length is not None and len(counts) != header.length:
        raise RecordError(
            f"{path}: the header promises {header.length} samples, the signal file has {len(counts)}. "
            "Restore both from the corpus."
        )
    _check_checksums(path, counts, lines)
    gain = np.array([line.gain for line in lines])
    signal = (counts - np.array([line.baseline for line in lines])) / gain
    for column, line in enumerate(lines):
        if line.format in SAMPLE_BITS:
            signal[counts[:, column] == -(2 ** (SAMPLE_BITS[line.format] - 1)), column] = np.nan
    return signal, 1 / np.abs(gain)


def _lead_channels(path: Path, names: Sequence[str]) -> list[int]:
    """For each of `LEADS`, which of a record's signals it is."""
    lower = [name.lower() for name in names]
    missing = [lead for lead in LEADS if lead.lower() not in lower]
    doubled = [lead for lead in LEADS if lower.count(lead.lower()) > 1]
    if missing or doubled:
        problems = [f"no lead {', '.join(missing)}"] * bool(missing)
        problems += [f"more than one lead {', '.join(doubled)}"] * bool(doubled)
        raise RecordError(
            f"{path}: the record has {' and '.join(problems)}; its signals are "
            f"{', '.join(name or '(unnamed)' for name in names) or '(none)'}. "
            "The twelve standard leads are needed, each once."
        )
    return [lower.index(lead.lower()) for lead in LEADS]


def _counts(path: Path, header: Header, channels: list[int], lines: list[SignalLine]) -> np.ndarray:
    """[T, 12] integer converter values."""
    files = sorted({line.file for line in lines})
    for file in files:
        if not (path.parent / file).is_file():
            raise RecordError(f"{path}: its signal file {file} is missing. Restore it.")
    stored = [tuple(line.split()[:2]) for line in header.signal_lines]  # (file, storage format)
    in_file = [index for index, (file, *_) in enumerate(stored) if file == files[0]]
    alike = len({stored[index] for index in in_file}) == 1
    if len(files) == 1 and alike and lines[0].format == 16:
        columns = [in_file.index(channel) for channel in channels]
        return _counts_16(path, lines[0], len(in_file))[:, columns]
    return _counts_by_wfdb(path, channels)


def _counts_16(path: Path, line: SignalLine, signals: int) -> np.ndarray:
    """[T, signals] int16 of a record in one file of format 16: nearly every 12-lead ECG there is.

    The wfdb package reads it too, but takes three times as long for it all, and refuses a record
    line of the form `E00009.mat 12 500 5000`, which some Challenge headers have.
    """
    size = (path.parent / line.file).stat().st_size - line.offset
    if size < 0 or size % (2 * signals):
        raise RecordError(
            f"{path}: the signal file {line.file} does not hold whole samples of {signals} signals. "
            "It is truncated or another file: restore it."
        )
    samples = np.fromfile(path.parent / line.file, dtype="<i2", offset=line.offset)
    return samples.reshape(-1, signals)


def _counts_by_wfdb(path: Path, channels: list[int]) -> np.ndarray:
    import wfdb

    try:
        record = wfdb.rdrecord(str(path.absolute().with_suffix("")), physical=False, channels=channels)
    except Exception as error:  # The package raises whatever its parsing runs into.
        raise RecordError(
            f"{path}: the wfdb package cannot read the record ({type(error).__name__}: {error}). "
            "Restore header and signal files from the corpus."
        ) from error
    return np.asarray(record.d_signal)


def _check_checksums(path: Path, counts: np.ndarray, lines: Sequence[SignalLine]) -> None:
    """Compares the sums that the header states. All of them 0 means that its writer made none."""
    if not any(line.checksum for line in lines):
        return
    sums = counts.sum(axis=0, dtype=np.int64) % 65536
    wrong = [line.lead for line, found in zip(lines, sums, strict=True) if line.checksum != found]
    if wrong:
        raise RecordError(
            f"{path}: the checksum of lead {', '.join(wrong)} is not that of the samples: the signal file "
            "is damaged, edited, or belongs to another header. Restore both, or rewrite the header."
        )


def _cpsc_struct(path: Path) -> tuple[np.ndarray, float | None, str | None]:
    """([T, 12] float64 mV, age, sex) of an original file of CPSC2018: a MATLAB struct `ECG`."""
    try:
        fields = read_struct(path, "ECG")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path}: no recording of CPSC2018 can be read from it: {error}. Restore it; a recording of "
            f"another corpus needs its header {path.stem}.hea beside it."
        ) from error
    data = fields.get("data")
    if not isinstance(data, np.ndarray):
        raise RecordError(f"{path}: `ECG.data` is missing or holds no real numbers. Restore it.")
    if data.dtype.kind != "f" or data.ndim != 2 or len(data) != len(LEADS):
        raise RecordError(
            f"{path}: `ECG.data` should be 12 leads × samples of floats in mV, and is "
            f"{data.dtype} {list(data.shape)}. Restore it."
        )
    return data.T.astype(np.float64), parse_age(_text(fields.get("age"))), parse_sex(_text(fields.get("sex")))


def _text(value: np.ndarray | str | None) -> str:
    """The one value of a field as text, "" where there is none or several."""
    if isinstance(value, np.ndarray):
        return str(value.item()) if value.size == 1 else ""
    return value or ""
