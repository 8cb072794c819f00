"""One recording on disk → `Recording`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xecgnet_jax.data.io.fields import parse_age, parse_sex
from xecgnet_jax.data.io.matlab import read_struct
from xecgnet_jax.data.io.recording import LONGEST, Recording, check_rate, complete_recording
from xecgnet_jax.data.io.wfdb_header import Header, SignalLine, parse_header, parse_signal_line, parse_storage
from xecgnet_jax.data.io.wfdb_signals import SAMPLE_BITS, read_samples
from xecgnet_jax.data.leads import LEADS, RATE, MissingLeads, find_leads
from xecgnet_jax.data.signals import resample
from xecgnet_jax.errors import RecordError, first_few

#: Sampling rate of CPSC2018, whose `.mat` files do not state it, in Hz.
CPSC_RATE: float = 500.0

#: Samples of all signals of a record: an hour of 15 signals at 1,000 Hz has 54 millions.
MOST_SAMPLES: int = 2**26


def read_header(path: str | Path) -> Header:
    """Reads codes, age, sex, length (samples) and rate (Hz) of a recording.

    Reads the text of a WFDB header and no samples, so a corpus of 40,000 takes seconds. The original `.mat` files of
    CPSC2018 have no header; they are read whole.

    Raises:
      RecordError: as `read_record`, as far as a header can tell.
    """
    path = _main_file(Path(path))
    return parse_header(path) if path.suffix == ".hea" else _read_cpsc(path)[1]


def read_record(path: str | Path, *, rate: float | None = RATE, missing_leads: MissingLeads = "refuse") -> Recording:
    """Reads a recording into millivolts at `rate`, its leads in the order of `LEADS`.

    Args:
      path: a WFDB header (`.hea`) whose signal files (`.mat`, `.dat`) lie beside it, one of these signal files, or an
        original `.mat` file of CPSC2018. Leads are found by name in any case; leads beyond the twelve are ignored.
      rate: wanted sampling rate in Hz; other rates are resampled by a polyphase filter
        (`scipy.signal.resample_poly`). None leaves the signal as it is.
      missing_leads: whether a record of fewer leads is refused, or completed by `complete_leads`.

    Raises:
      RecordError: the recording cannot be read without guessing: a lead is missing or repeated, gain or units are
        unknown, header and signal file contradict each other (length, checksum), or a sample is invalid.
    """
    path = _main_file(Path(path))
    if path.suffix == ".hea":
        header = parse_header(path)
        signal_rate = check_rate(path, header.rate)
        signal, leads, resolution = _read_wfdb(path, header, signal_rate, missing_leads)
    else:
        (signal, header), leads, resolution, signal_rate = _read_cpsc(path), list(LEADS), None, CPSC_RATE
    if not len(signal):
        raise RecordError(f"{path}: the recording has no samples. Remove it from the corpus.")
    with np.errstate(over="ignore"):  # A value that float32 cannot hold is no voltage either.
        invalid = ~np.isfinite(signal.astype(np.float32))
    if invalid.any():
        counts = ", ".join(f"{n} in {lead}" for lead, n in zip(leads, invalid.sum(0), strict=True) if n)
        problem = f"of {len(signal)} samples some are marked invalid or are not finite: {counts}"
        remedy = "Cut them off or fill them in; a value made up here would pass for a measurement."
        raise RecordError(f"{path}: {problem}. {remedy}")
    if rate is not None and rate != signal_rate:
        try:
            signal, resolution, signal_rate = resample(signal, signal_rate, rate), None, float(rate)
        except ValueError as error:
            raise RecordError(f"{path}: {error}") from error
    signal, codes = np.ascontiguousarray(signal, dtype=np.float32), header.codes or ()
    recording = Recording(header.id, signal, signal_rate, codes, header.age, header.sex, resolution)
    return complete_recording(recording, leads)


def _main_file(path: Path) -> Path:
    """Returns the file that describes the recording: its header where there is one, else the `.mat` file."""
    header = path.with_suffix(".hea")
    return header if path.suffix != ".mat" or header.is_file() else path


def _read_wfdb(
    path: Path, header: Header, rate: float, missing_leads: MissingLeads
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Returns ([T, L] float64 mV with NaN where invalid, L leads, [L] mV per step) of the record of a header."""
    names = [line[8] if len(line) == 9 else "" for line in header.signal_lines]
    found, problem = find_leads(names, "lead", missing_leads)
    channels = list(found.values())
    if problem:
        signals = first_few([name[:30] or "(unnamed)" for name in names], 20) or "(none)"
        remedy = "The twelve standard leads are needed, each once."
        raise RecordError(f"{path}: the record has {problem}; its signals are {signals}. {remedy}")
    lines = [parse_signal_line(path, header.signal_lines[channel]) for channel in channels]
    values = _read_values(path, header, channels, lines, rate)
    sums = values.sum(axis=0, dtype=np.int64) % 65536
    wrong = [line.lead for line, found in zip(lines, sums, strict=True) if line.checksum != found]
    if wrong and any(line.checksum for line in lines):  # If all of them are 0, the header's writer made none.
        problem = f"the checksum of lead {', '.join(wrong)} is not that of the samples"
        causes = "the signal file is damaged, edited, or belongs to another header"
        raise RecordError(f"{path}: {problem}: {causes}. Restore both, or rewrite the header.")
    gain = np.array([line.gain for line in lines])
    signal = (values - np.array([line.baseline for line in lines])) / gain
    for column, line in enumerate(lines):
        if line.storage.format in SAMPLE_BITS:
            signal[values[:, column] == -(2 ** (SAMPLE_BITS[line.storage.format] - 1)), column] = np.nan
    return signal, list(found), 1 / np.abs(gain)


def _read_values(path: Path, header: Header, channels: list[int], lines: list[SignalLine], rate: float) -> np.ndarray:
    """Returns the [T, L] integer values of the converter, from one or several signal files."""
    longest = min(round(LONGEST * rate), MOST_SAMPLES // len(header.signal_lines))
    if (header.length or 0) > longest:
        problem = f"the header promises {header.length} samples, too long for one ECG: at most {longest} are read"
        raise RecordError(f"{path}: {problem}. Cut it into pieces.")
    blocks: list[np.ndarray] = []
    order: list[int] = []  # numbers of the signals in the blocks
    for file in dict.fromkeys(line.file for line in lines):
        in_file = [at for at, line in enumerate(header.signal_lines) if line[0] == file]
        storage, *others = {parse_storage(path, header.signal_lines[at]) for at in in_file}
        if others:
            problem = f"the signals of {file} are stored in several formats, which is not supported"
            raise RecordError(f"{path}: {problem}. Rewrite the record with WFDB's `xform`.")
        blocks.append(read_samples(path, file, storage, len(in_file), header.length, longest))
        order += in_file
    if len({len(block) for block in blocks}) > 1:
        counts = ", ".join(map(str, map(len, blocks)))
        raise RecordError(f"{path}: its signal files have different numbers of samples: {counts}. Restore them.")
    values = np.concatenate(blocks, axis=1)[:, [order.index(channel) for channel in channels]]
    firsts = np.array([line.first for line in lines])
    return values + firsts if firsts.any() else values


def _read_cpsc(path: Path) -> tuple[np.ndarray, Header]:
    """Returns ([T, 12] float64 mV, header) of an original file of CPSC2018: a MATLAB struct `ECG`."""
    try:
        fields = read_struct(path, "ECG")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        remedy = f"Restore it; a recording of another corpus needs its header {path.stem}.hea beside it."
        raise RecordError(f"{path}: no recording of CPSC2018 can be read from it: {problem}. {remedy}") from error
    data = fields.get("data")
    if not isinstance(data, np.ndarray):
        raise RecordError(f"{path}: `ECG.data` is missing or holds no real numbers. Restore it.")
    if data.dtype.kind != "f" or data.ndim != 2 or len(data) != len(LEADS):
        problem = f"should be 12 leads × samples of floats in mV, and is {data.dtype} {list(data.shape)}"
        raise RecordError(f"{path}: `ECG.data` {problem}. Restore it.")
    # Several values are neither an age nor a sex.
    values = (np.ravel(fields.get(name, "")) for name in ("age", "sex"))
    age, sex = (str(one[0]) if len(one) == 1 else "" for one in values)
    return data.T.astype(np.float64), Header(path.stem, CPSC_RATE, data.shape[1], None, parse_age(age), parse_sex(sex))
