"""Reading in several processes: order, memory, start, and processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.data.small_corpus import make, write_corpus
from xecgnet_jax.data.corpora import Corpus, Entry, read_corpus
from xecgnet_jax.data.pack import build_pack, open_pack
from xecgnet_jax.data.pack.reading import read_for_pack
from xecgnet_jax.data.pack.storage import ABANDONED, MANIFEST, read_manifest
from xecgnet_jax.data.parallel import _map_in_order
from xecgnet_jax.data.signals import PLAIN
from xecgnet_jax.errors import PackError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def pack_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST}


def test_two_workers_write_the_same_bytes_as_one(corpus_folder: Path, tmp_path: Path) -> None:
    one = make(corpus_folder, tmp_path / "one", workers=1)
    two = make(corpus_folder, tmp_path / "two", workers=2)
    assert one.fingerprint == two.fingerprint
    assert pack_bytes(tmp_path / "one") == pack_bytes(tmp_path / "two")


def test_no_more_recordings_are_in_memory_than_asked_for() -> None:
    taken = 0

    def paths():  # type: ignore[no-untyped-def]
        nonlocal taken
        for number in range(100):
            taken += 1
            yield Path(f"/nowhere/{number}.hea")

    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(_map_in_order(pool, partial(read_for_pack, signals=PLAIN), paths(), ahead=8)):
            assert taken <= done + 8
    assert taken == 100


def test_workers_neither_run_the_main_script_nor_import_jax(corpus_folder: Path, tmp_path: Path) -> None:
    """The script has no `if __name__ == "__main__"`, and would say so if a worker ran it too."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from xecgnet_jax.data.pack import pack_of\n"
        "print('main', __name__)\n"
        f"pack_of(Path({str(corpus_folder)!r}), Path({str(tmp_path / 'pack')!r}), workers=2)\n"
        "print('jax' in sys.modules, __file__ is not None)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["main __main__", "False True"], done.stderr
    assert len(open_pack(tmp_path / "pack")) == 4


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_are_refused(corpus_folder: Path, tmp_path: Path, workers: int) -> None:
    with pytest.raises(PackError, match="ask for 1 or more"):
        make(corpus_folder, tmp_path / "pack", workers=workers)


class DeadlyPath(os.PathLike):  # type: ignore[type-arg]
    """Kills the process that reads it, as the kernel does when memory runs out."""

    suffix = ".hea"

    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def deadly(corpus: Corpus) -> Corpus:
    """The corpus with a last recording that kills its reader."""
    last = Entry("Z", DeadlyPath(), ("AF",))  # type: ignore[arg-type]
    return replace(corpus, entries=(*corpus.entries, last))


def test_a_killed_worker_is_a_pack_error(corpus_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="fewer workers"):
        build_pack(deadly(read_corpus(corpus_folder)), tmp_path / "pack", workers=2, progress=False)
    assert not (tmp_path / "pack").exists()


def test_a_killed_build_leaves_the_old_pack_and_is_cleaned_up_later(corpus_folder: Path, tmp_path: Path) -> None:
    old = make(corpus_folder, tmp_path / "pack")
    child = (
        "from pathlib import Path\n"
        "from tests.data.test_parallel import build_pack, deadly, read_corpus\n"
        f"corpus = deadly(read_corpus({str(corpus_folder)!r}))\n"
        f"build_pack(corpus, Path({str(tmp_path / 'pack')!r}), workers=1, progress=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", child], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert open_pack(tmp_path / "pack").fingerprint == old.fingerprint

    finished = read_manifest(tmp_path / "pack")["folder"]
    (unfinished,) = (path for path in (tmp_path / "pack").iterdir() if path.name not in (MANIFEST, finished))
    build_pack(read_corpus(corpus_folder), tmp_path / "pack", progress=False)
    assert unfinished.exists()  # it might be of a process that still works
    for path in (unfinished, *unfinished.rglob("*")):
        times = path.stat()
        os.utime(path, (times.st_atime, times.st_mtime - ABANDONED - 1))
    build_pack(read_corpus(corpus_folder), tmp_path / "pack", progress=False)
    assert not unfinished.exists()
