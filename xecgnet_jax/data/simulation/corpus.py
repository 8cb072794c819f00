"""12-lead ECGs with planted, located findings, written as a corpus: docs/simulation.md.

python -m xecgnet_jax.data.simulation.corpus FOLDER --recordings 1000 --seed 0
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from xecgnet_jax.data.simulation.annotations import Annotations
from xecgnet_jax.data.simulation.recording import SimulatedRecording, simulate_recording
from xecgnet_jax.errors import ConfigError, CorpusError, XECGNetError
from xecgnet_jax.files import write_json

__all__ = ["Annotations", "SimulatedRecording", "simulate_corpus", "simulate_recording"]

#: Raised whenever the same seed gives other bytes, so that no corpus of an older version passes for a new one.
VERSION: int = 1

#: What a finished corpus holds says this file beside its records.
DESCRIPTION: str = "simulation.json"

#: From this many recordings on, several processes are worth their start.
WORTH_PROCESSES: int = 200

#: Recordings that a process is given at a time.
CHUNK: int = 16


def simulate_corpus(
    folder: Path, recordings: int, seed: int, *, progress: bool = True, workers: int | None = None
) -> Path:
    """Writes recordings S00001, S00002, … in the layout of the PhysioNet/CinC Challenges.

    The folder appears when it is complete, or not at all. One that holds the same corpus already is left as it
    is, so that a run that is started again finds its data.

    With several workers, processes are spawned: a script that calls this needs `if __name__ == "__main__"`.

    Args:
      folder: where to; must not exist, be empty, or hold this very corpus.
      recordings: how many.
      seed: the same seed gives the same bytes, whatever the number of workers.
      progress: show a progress bar on standard error.
      workers: processes; None takes one per available core if there is enough to do.

    Returns:
      The folder.

    Raises:
      ConfigError: `recordings`, `seed` or `workers` out of range.
      CorpusError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    if recordings < 1 or seed < 0 or (workers is not None and workers < 1):
        raise ConfigError(f"recordings {recordings}, seed {seed}, workers {workers}: at least 1, 0 and 1 are needed.")
    description = {"recordings": recordings, "seed": seed, "simulator": VERSION}
    if _holds(folder, description):
        return folder
    if workers is None:
        workers = _available_cores() if recordings >= WORTH_PROCESSES else 1
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            unfinished = Path(temporary) / folder.name  # Made by mkdir: with the permissions a folder has.
            unfinished.mkdir()
            _write_recordings(unfinished, recordings, seed, progress, workers)
            write_json(unfinished / DESCRIPTION, description)
            _publish(unfinished, folder, description)
    except BrokenProcessPool as error:
        raise CorpusError(
            f"{folder}: a process that simulated recordings for it ended early: not enough memory, or a script "
            'without `if __name__ == "__main__":`. Try one worker.'
        ) from error
    except OSError as error:
        raise CorpusError(
            f"{folder}: the simulated corpus cannot be written ({error}). Choose a folder on a disk with space."
        ) from error
    return folder


def _available_cores() -> int:
    """Those that this process may use, where the system tells (Linux), else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _holds(folder: Path, description: dict[str, int]) -> bool:
    """Whether the folder holds this corpus; False where there is nothing yet, an error if something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != description:
        holds = f"another simulated corpus ({found})" if isinstance(found, dict) else "something else"
        raise CorpusError(
            f"{folder}: holds {holds}, not the simulated corpus {description}. "
            "Choose another folder, or remove this one."
        )
    return True


def _write_recordings(folder: Path, recordings: int, seed: int, progress: bool, workers: int) -> None:
    from xecgnet_jax.data.simulation.files import write_numbered

    width = max(5, len(str(recordings)))  # Of the numbers in the names.
    tasks = [(folder, seed, index, f"S{index:0{width}d}") for index in range(1, recordings + 1)]
    bar = tqdm(total=recordings, desc="simulating", unit="recording", disable=None if progress else True)
    with bar:
        if workers == 1:
            for task in tasks:
                write_numbered(task)
                bar.update()
            return
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for _ in pool.map(write_numbered, tasks, chunksize=CHUNK):
                bar.update()


def _publish(unfinished: Path, folder: Path, description: dict[str, int]) -> None:
    """Renames the finished folder; if another process was first with the same corpus, theirs stays."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not _holds(folder, description):
            raise


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m xecgnet_jax.data.simulation.corpus",
        description="Simulates 12-lead ECGs with the nine classes of CPSC2018 and writes them as WFDB.",
    )
    parser.add_argument("folder", type=Path, help="where the corpus goes")
    parser.add_argument("--recordings", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: 0)")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: one per core)")
    chosen = parser.parse_args(arguments)
    try:
        print(simulate_corpus(chosen.folder, chosen.recordings, chosen.seed, workers=chosen.workers))
    except XECGNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
