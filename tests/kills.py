"""Commands that are killed at random moments, and typed again: they end with the same bits as undisturbed ones.

`python -m tests.kills [KILLS] [KIND ...]` kills each kind of command so often, and counts what happened.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests import learnable_corpus
from tests.learnable_corpus import WORDS
from tests.training.of_runs import arrays, lines
from xecgnet_jax.data.pack.storage import generation_folder, read_manifest
from xecgnet_jax.files import is_leftover

ROOT = Path(__file__).resolve().parents[1]
#: Names of what is being written, of this package and of Orbax.
UNFINISHED = ("*.tmp", "*orbax-checkpoint-tmp*", "*.part")


class Kind(NamedTuple):
    """A command that is killed.

    Attributes:
      words: of the command, by the place of corpus and run, and the folder that it writes to.
      result: name → bytes of what it leaves in that folder.
    """

    words: Callable[[Path, Path], list[str]]
    result: Callable[[Path], dict[str, bytes]]


def train(place: Path, folder: Path, *more: str) -> list[str]:
    where = ["--data", str(place / "corpus"), "--cache", str(place / "cache"), "--workdir", str(folder / "run")]
    return ["train", *WORDS, *where, *more]


def sweep(place: Path, folder: Path) -> list[str]:
    words = train(place, folder)[1:]
    at = words.index("--seed")
    del words[at : at + 2]
    return ["sweep", *words, "--seeds", "0", "1", "--gammas", "0.01"]


def pack(place: Path, folder: Path) -> list[str]:
    where = ["--data", str(place / "many"), "--cache", str(folder / "cache"), "--workdir", str(folder / "run")]
    return ["train", *WORDS, *where, "--pack-only", "all"]


def evaluate(place: Path, folder: Path) -> list[str]:
    where = ["--data", str(place / "corpus"), "--cache", str(place / "cache"), "--output", str(folder / "out")]
    return ["evaluate", str(place / "run"), *where, "--resamples", "200", "--part", "test"]


def predict(place: Path, folder: Path) -> list[str]:
    output = ["--output", str(folder / "predictions.csv"), "--cache", str(place / "cache"), "--batch-size", "4"]
    return ["predict", str(place / "run"), str(place / "many"), *output, "--workers", "1"]


def bits_of_runs(folder: Path) -> dict[str, bytes]:
    found = {}
    for run in sorted(path.parent for path in folder.rglob("checkpoints")):
        named = {f"{run.name}/{name}": value.tobytes() for name, value in arrays(run).items()}
        found |= named | {f"{run.name}/metrics": repr(lines(run)).encode()}
    return found


def bits_of_pack(folder: Path) -> dict[str, bytes]:
    (one,) = (folder / "cache" / "packs").iterdir()
    inner = generation_folder(one, read_manifest(one))
    return {path.name: path.read_bytes() for path in inner.iterdir()}


def bits_of_files(folder: Path) -> dict[str, bytes]:
    """All but what a killed process had not finished, which has a name of its own and is told apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and not is_leftover(path)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


KINDS = {
    "training": Kind(train, bits_of_runs),
    "checkpoints": Kind(lambda place, folder: train(place, folder, "--save-every", "1"), bits_of_runs),
    "sweep": Kind(sweep, bits_of_runs),
    "packing": Kind(pack, bits_of_pack),
    "evaluation": Kind(evaluate, bits_of_files),
    "prediction": Kind(predict, bits_of_files),
}


def prepare(place: Path) -> None:
    """Makes corpora, and a run on the smaller one."""
    learnable_corpus.write(place / "corpus", recordings=36)
    learnable_corpus.write(place / "many", recordings=300, seed=1, prefix="M")
    ended = start(train(place, place)).wait()
    assert ended == 0, "the run that is evaluated could not be made"


def start(words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "xecgnet_jax", *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    fast = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | fast, **quiet)


def undisturbed(kind: Kind, place: Path, folder: Path) -> tuple[dict[str, bytes], float]:
    """What the command leaves, and how many seconds it takes."""
    begin = time.monotonic()
    _, said = (process := start(kind.words(place, folder))).communicate(timeout=600)
    assert process.returncode == 0, said
    return kind.result(folder), time.monotonic() - begin


def killed(kind: Kind, place: Path, folder: Path, seconds: float, expected: dict[str, bytes]) -> str:
    """Kills the command after so many seconds, types it again, and says what came of it."""
    process = start(kind.words(place, folder))
    try:
        process.communicate(timeout=seconds)
        when = "not killed, it had ended"
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        when = "killed"
    again = start(kind.words(place, folder))
    _, said = again.communicate(timeout=600)
    if again.returncode:
        return f"{when}, then status {again.returncode}: {said[-300:]}"
    left = [path.name for pattern in UNFINISHED for path in folder.rglob(pattern)]
    same = kind.result(folder) == expected
    return f"{when}, then {'the same bits' if same else 'OTHER BITS'}{', left behind: ' + str(left) if left else ''}"


def count(name: str, place: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Returns how many of so many kills had which outcome, at moments from a third of the command's time on.

    A command that had ended before is not counted, but where it left something else.
    """
    rng, kind = random.Random(seed), KINDS[name]
    expected, seconds = undisturbed(kind, place, place / f"{name}-undisturbed")
    expected_again, seconds = undisturbed(kind, place, place / f"{name}-again")
    assert expected == expected_again, f"{name} is not the same twice"
    found: Counter[str] = Counter()
    for number in range(2 * kills):
        folder = place / f"{name}-{number}"
        told = killed(kind, place, folder, seconds * rng.uniform(0.3, 1.0), expected)
        shutil.rmtree(folder, ignore_errors=True)
        if told.startswith("killed"):
            found[told] += 1
        else:  # the computer has less to do than before
            found[told] += not told.endswith("the same bits")
            seconds *= 0.85
        if sum(found.values()) == kills:
            break
    return +found


def main(kills: int, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(place / "compiled"))
        prepare(place)
        for name in names:
            print(f"{name}: {dict(count(name, place, kills))}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:] or list(KINDS))
