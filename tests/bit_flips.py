"""Single-bit flips in the files of a folder: told by name, or provably harmless.

`python -m tests.bit_flips RUN [FLIPS]` counts them for the best checkpoint of a run, and for the weights saved from it.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np

from xecgnet_jax.errors import XECGNetError
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.runs.predictions import kept_split, made_with
from xecgnet_jax.training.checkpoint import SavedCheckpoints
from xecgnet_jax.training.state import TrainState, build_optimizer, init_state


def places(folder: Path, number: int, seed: int = 0) -> Iterator[tuple[Path, int, int]]:
    """Yields (file, byte, bit): every file in its turn, so that small ones have as many as large ones."""
    rng = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    for index in range(number):
        path = files[index % len(files)]
        yield path, rng.randrange(path.stat().st_size), rng.randrange(8)


def flip(path: Path, byte: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(byte)
        (value,) = file.read(1)
        file.seek(byte)
        file.write(bytes([value ^ 1 << bit]))


def outcome(folder: Path, place: tuple[Path, int, int], read: Callable[[], list[bytes]], before: list[bytes]) -> str:
    """Flips a bit, reads, and flips it back: "told", "harmless", or what went wrong."""
    path, *_ = place
    flip(*place)
    try:
        return "harmless" if read() == before else f"{path}: taken silently"
    except XECGNetError as error:
        return "told" if str(folder) in str(error) else f"{path}: told without a name: {error}"
    except Exception as error:
        return f"{path}: {type(error).__name__}: {error}"
    finally:
        flip(*place)


def everything_of_weights(folder: Path) -> list[bytes]:
    run = load_run(folder)
    told = [repr(run.description.to_json()), repr(made_with(run, kept_split(run)))]
    return [*(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run.variables)), *(one.encode() for one in told)]


def everything_of_run(workdir: Path, step: int, shapes: TrainState) -> list[bytes]:
    """What predicts, what goes on, and which checkpoint is the best."""
    state, run = SavedCheckpoints(workdir).state(step, shapes), load_run(workdir)
    leaves = jax.tree.leaves((run.variables, tuple(state)))
    about = [str(run.step), repr(run.description.to_json())]
    return [*(np.asarray(leaf).tobytes() for leaf in leaves), *(one.encode() for one in about)]


def count_flips(folder: Path, number: int, read: Callable[[], list[bytes]]) -> Counter[str]:
    """Returns how many flips had each outcome."""
    before = read()
    return Counter(outcome(folder, place, read, before) for place in places(folder, number))


def main(source: Path, number: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        workdir = Path(shutil.copytree(source, Path(place).resolve() / "run"))
        run = load_run(workdir)
        optimizer = build_optimizer(run.config.optimizer, 1, 1, frozen=run.config.freeze)
        shapes = jax.eval_shape(partial(init_state, run.model, optimizer, run.config.optimizer), 0)
        run.save_pretrained(Path(place) / "weights", split=True)
        checkpoint, weights = workdir / "checkpoints" / str(run.step), Path(place).resolve() / "weights"
        found = count_flips(weights, number, lambda: everything_of_weights(weights))
        print(f"weights: {dict(found)}", flush=True)
        found = count_flips(checkpoint, number, lambda: everything_of_run(workdir, run.step, shapes))
        print(f"checkpoint: {dict(found)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
