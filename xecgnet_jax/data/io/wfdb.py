"""One recording on disk → `Recording`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xecgnet_jax.data.io.matlab import read_struct
from xecgnet_jax.data.io.recording import Recording
from xecgnet_jax.data.io.wfdb_header import Header, SignalLine, parse_age, parse_header, parse_sex, parse_signal_line
from xecgnet_jax.data.leads import LEADS, RATE, find_leads
from xecgnet_jax.data.signals import resample
from xecgnet_jax.errors import RecordError

# wfdb is imported where it is used: it takes seconds, and most of the programs that import this module read packs.

#: Sampling rate of CPSC2018, whose `.mat` files do not state it, in Hz.
CPSC_RATE: float = 500.0

#: Bits per sample of WFDB's formats. The lowest value that they hold marks an invalid sample; format 8 stores
#: differences and has no such mark.
SAMPLE_BITS: dict[int, int] = {
    80: 8, 508: 8, 310: 10, 311: 10, 212: 12, 16: 16, 61: 16, 160: 16, 516: 16, 24: 24, 524: 24, 32: 32
}  # fmt: skip


def read_header(path: str | Path) -> Header:
    """Reads codes, age, sex, length (samples) and rate (Hz) of a recording.

    Reads the text of a WFDB header and no samples, so a corpus of 40,000 takes seconds. The original `.mat` files of
    CPSC2018 have no header; they are read whole.

    Raises:
      RecordError: as `read_record`, as far as a header can tell.
    """
    path = _main_file(Path(path))
    return parse_header(path) if path.suffix == ".hea" else _read_cpsc(path)[1]


def read_record(path: str | Path, *, rate: float | None = RATE) -> Recording:
    """Reads a recording into millivolts at `rate`, its leads in the order of `LEADS`.

    Args:
      path: a WFDB header (`.hea`) whose signal files (`.mat`, `.dat`) lie beside it, one of these signal files, or an
        original `.mat` file of CPSC2018. Leads are found by name in any case; leads beyond the twelve are ignored.
      rate: wanted sampling rate in Hz; other rates are resampled by a polyphase filter
        (`scipy.signal.resample_poly`). None leaves the signal as it is.

    Raises:
      RecordError: the recording cannot be read without guessing: a lead is missing or repeated, gain or units are
        unknown, header and signal file contradict each other (length, checksum), or a sample is invalid.
    """
    path = _main_file(Path(path))
    if path.suffix == ".hea":
        header = parse_header(path)
        signal, resolution = _read_wfdb(path, header)
    else:
        (signal, header), resolution = _read_cpsc(path), None
    signal_rate = header.rate
    if signal_rate is None or not 50 <= signal_rate <= 100_000:
        found = f"the sampling rate is {signal_rate or 'missing'}"
        raise RecordError(f"{path}: {found}; an ECG has 50 to 100,000 Hz. Correct the header.")
    if not len(signal):
        raise RecordError(f"{path}: the recording has no samples. Remove it from the corpus.")
    with np.errstate(over="ignore"):  # A value that float32 cannot hold is no voltage either.
        invalid = ~np.isfinite(signal.astype(np.float32))
    if invalid.any():
        counts = ", ".join(f"{n} in {lead}" for lead, n in zip(LEADS, invalid.sum(0), strict=True) if n)
        problem = f"of {len(signal)} samples some are marked invalid or are not finite: {counts}"
        remedy = "Cut them off or fill them in; a value made up here would pass for a measurement."
        raise RecordError(f"{path}: {problem}. {remedy}")
    if rate is not None and rate != signal_rate:
        signal, resolution, signal_rate = resample(signal, signal_rate, rate), None, float(rate)
    signal = np.ascontiguousarray(signal, dtype=np.float32)
    return Recording(header.id, signal, signal_rate, header.codes or (), header.age, header.sex, resolution)


def _main_file(path: Path) -> Path:
    """Returns the file that describes the recording: its header where there is one, else the `.mat` file."""
    header = path.with_suffix(".hea")
    return header if path.suffix != ".mat" or header.is_file() else path


def _read_wfdb(path: Path, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """Returns ([T, 12] float64 mV with NaN where invalid, [12] mV per step) of the record of a header."""
    stored = [line.split(maxsplit=8) for line in header.signal_lines]
    names = [fields[8] if len(fields) == 9 else "" for fields in stored]
    channels, problem = find_leads(names, "lead")
    if problem:
        signals = ", ".join(name or "(unnamed)" for name in names) or "(none)"
        remedy = "The twelve standard leads are needed, each once."
        raise RecordError(f"{path}: the record has {problem}; its signals are {signals}. {remedy}")
    lines = [parse_signal_line(path, header.signal_lines[channel]) for channel in channels]
    values = _read_values(path, header, channels, lines)
    if header.length is not None and len(values) != header.length:
        found = f"the signal file has {len(values)}. Restore both from the corpus."
        raise RecordError(f"{path}: the header promises {header.length} samples, {found}")
    sums = values.sum(axis=0, dtype=np.int64) % 65536
    wrong = [line.lead for line, found in zip(lines, sums, strict=True) if line.checksum != found]
    if wrong and any(line.checksum for line in lines):  # If all of them are 0, the header's writer made none.
        problem = f"the checksum of lead {', '.join(wrong)} is not that of the samples"
        causes = "the signal file is damaged, edited, or belongs to another header"
        raise RecordError(f"{path}: {problem}: {causes}. Restore both, or rewrite the header.")
    gain = np.array([line.gain for line in lines])
    signal = (values - np.array([line.baseline for line in lines])) / gain
    for column, line in enumerate(lines):
        if line.format in SAMPLE_BITS:
            signal[values[:, column] == -(2 ** (SAMPLE_BITS[line.format] - 1)), column] = np.nan
    return signal, 1 / np.abs(gain)


def _read_values(path: Path, header: Header, channels: list[int], lines: list[SignalLine]) -> np.ndarray:
    """Returns the [T, 12] integer values of the converter.

    Nearly every 12-lead ECG there is lies in one file of format 16. The wfdb package reads it too, but takes three
    times as long for it all, and refuses a record line of the form `E00009.mat 12 500 5000`, which some Challenge
    headers have.
    """
    files = sorted({line.file for line in lines})
    for file in files:
        if not (path.parent / file).is_file():
            raise RecordError(f"{path}: its signal file {file} is missing. Restore it.")
    stored = [tuple(line.split()[:2]) for line in header.signal_lines]  # (file, storage format)
    in_file = [index for index, (file, *_) in enumerate(stored) if file == files[0]]
    if len(files) > 1 or len({stored[index] for index in in_file}) > 1 or lines[0].format != 16:
        import wfdb

        try:
            record = wfdb.rdrecord(str(path.absolute().with_suffix("")), physical=False, channels=channels)
        except Exception as error:  # The package raises whatever its parsing runs into.
            problem = f"the wfdb package cannot read the record ({type(error).__name__}: {error})"
            raise RecordError(f"{path}: {problem}. Restore header and signal files from the corpus.") from error
        return np.asarray(record.d_signal)
    offset = lines[0].offset
    size = (path.parent / files[0]).stat().st_size - offset
    if size < 0 or size % (2 * len(in_file)):
        problem = f"the signal file {files[0]} does not hold whole samples of {len(in_file)} signals"
        raise RecordError(f"{path}: {problem}. It is truncated or another file: restore it.")
    values = np.fromfile(path.parent / files[0], dtype="<i2", offset=offset).reshape(-1, len(in_file))
    return values[:, [in_file.index(channel) for channel in channels]]


def _read_cpsc(path: Path) -> tuple[np.ndarray, Header]:
    """Returns ([T, 12] float64 mV, header) of an original file of CPSC2018: a MATLAB struct `ECG`."""
    try:
        fields = read_struct(path, "ECG")
    except (OSError, ValueError) as error:
        remedy = f"Restore it; a recording of another corpus needs its header {path.stem}.hea beside it."
        raise RecordError(f"{path}: no recording of CPSC2018 can be read from it: {error}. {remedy}") from error
    data = fields.get("data")
    if not isinstance(data, np.ndarray):
        raise RecordError(f"{path}: `ECG.data` is missing or holds no real numbers. Restore it.")
    if data.dtype.kind != "f" or data.ndim != 2 or len(data) != len(LEADS):
        problem = f"should be 12 leads × samples of floats in mV, and is {data.dtype} {list(data.shape)}"
        raise RecordError(f"{path}: `ECG.data` {problem}. Restore it.")
    # Several values are neither an age nor a sex.
    age, sex = (" ".join(map(str, np.ravel(fields.get(name, "")))) for name in ("age", "sex"))
    return data.T.astype(np.float64), Header(path.stem, CPSC_RATE, data.shape[1], None, parse_age(age), parse_sex(sex))
