"""12-lead ECGs with planted, located findings, written as a corpus: docs/simulation.md."""

from __future__ import annotations

import tempfile
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from xecgnet_jax.data.parallel import available_cpus, map_in_processes
from xecgnet_jax.data.simulation.recording import SimulatedRecording, simulate_recording, write_simulated
from xecgnet_jax.errors import ConfigError, CorpusError
from xecgnet_jax.files import read_json, write_json

__all__ = ["SimulatedRecording", "simulate_corpus", "simulate_recording"]

#: Raised whenever the same seed gives other bytes, so that no corpus of an older version passes for a new one.
VERSION: int = 2

#: The file beside the records that states what a finished corpus holds.
DESCRIPTION: str = "simulation.json"

#: From this many recordings on, several processes are worth their start.
WORTH_PROCESSES: int = 200


def simulate_corpus(
    folder: Path, recordings: int, seed: int, *, progress: bool = True, workers: int | None = None
) -> Path:
    """Writes recordings S00001, S00002, … in the layout of the PhysioNet/CinC Challenges.

    The folder appears when it is complete, or not at all. One that holds the same corpus already is left as it is, so
    that a run that is started again finds its data.

    Args:
      folder: where to; must not exist, be empty, or hold this very corpus. It is returned.
      seed: the same seed gives the same bytes, whatever the number of workers.
      progress: show a progress bar on standard error.
      workers: processes; None takes one per available core if there is enough to do.

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
        workers = available_cpus() if recordings >= WORTH_PROCESSES else 1
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            unfinished = Path(temporary) / folder.name  # Made by mkdir: with the permissions a folder has.
            unfinished.mkdir()
            digits = max(5, len(str(recordings)))
            tasks = [(unfinished, seed, index, f"S{index:0{digits}d}") for index in range(1, recordings + 1)]
            with closing(map_in_processes(write_simulated, tasks, workers)) as written:
                for _ in tqdm(written, "simulating", recordings, unit="recording", disable=None if progress else True):
                    pass
            write_json(unfinished / DESCRIPTION, description)
            try:
                unfinished.rename(folder)
            except OSError:
                if not _holds(folder, description):  # If another process was first with the same corpus, theirs stays.
                    raise
    except BrokenProcessPool as error:
        problem = "a process that simulated recordings for it ended early, perhaps because memory ran out"
        raise CorpusError(f"{folder}: {problem}. Try one worker.") from error
    except OSError as error:
        problem = f"the simulated corpus cannot be written ({error})"
        raise CorpusError(f"{folder}: {problem}. Choose a folder on a disk with space.") from error
    return folder


def _holds(folder: Path, description: dict[str, int]) -> bool:
    """Tells whether the folder holds this corpus: False where there is nothing yet, an error if something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = read_json(folder / DESCRIPTION)
    except (OSError, ValueError):
        found = None
    if found != description:
        holds = f"another simulated corpus ({found})" if isinstance(found, dict) else "something else"
        wanted = f"not the simulated corpus {description}"
        raise CorpusError(f"{folder}: holds {holds}, {wanted}. Choose another folder, or remove this one.")
    return True
