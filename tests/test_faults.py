"""Full and read-only disks, clocks that go backwards, kills at any moment: one line, and the same bits later."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import kills
from tests.data.small_corpus import make
from tests.training.of_runs import assert_same_bits, command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, check=False, timeout=600
    )


def mount(folder: Path, options: str) -> bool:
    """Whether a file system in memory could be mounted there, or mounted with other options."""
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """A small file system, and a function that changes its options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "size=64k"):
        pytest.skip("no file system can be mounted here")

    def remount(options: str) -> Path:
        assert mount(folder, f"remount,{options}")
        return folder

    yield remount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_one_line(ended: subprocess.CompletedProcess[str], *parts: str) -> None:
    """It ended with status 2, and the last line says why."""
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and all(part in last for part in parts), last


@pytest.mark.parametrize("size", ["64k", "300k", "1500k"])
def test_a_run_whose_disk_was_full_goes_on_with_the_same_bits(corpus, finished, disk, size):
    """The disk is full at the first file, within the first checkpoint, or within a later one."""
    workdir = disk(f"size={size}") / "run"
    assert_one_line(run(command(corpus, workdir)), "No space left on device", "make room")
    disk("size=1G")
    ended = run(command(corpus, workdir))
    assert ended.returncode == 0, ended.stderr
    assert_same_bits(finished, workdir)


def test_a_pack_whose_disk_was_full_is_made_later(corpus, disk, tmp_path):
    cache = disk("size=64k") / "cache"
    words = [*command(corpus, tmp_path / "run"), "--pack-only", "all"]
    words[words.index("--cache") + 1] = str(cache)
    assert_one_line(run(words), "No space left on device")
    assert not list(cache.rglob("*.npy"))
    disk("size=1G")
    assert run(words).returncode == 0
    make(corpus, tmp_path / "pack")
    (one,) = (cache / "packs").glob("*/*/samples.npy")
    (other,) = (tmp_path / "pack").glob("*/samples.npy")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("what", ["evaluate", "predict"])
def test_results_that_find_no_room_are_written_later(corpus, finished, disk, what):
    output = disk("size=4k") / "results"
    python = [sys.executable, "-m", "xecgnet_jax", what, str(finished)]
    cache = ["--cache", str(corpus.parent / "cache")]
    if what == "evaluate":
        words = [
            *python,
            "--data",
            str(corpus),
            "--part",
            "test",
            "--resamples",
            "100",
            "--output",
            str(output),
            *cache,
        ]
    else:
        words = [*python, str(corpus), "--output", f"{output}.csv", *cache]
    assert_one_line(run(words), "No space left on device")
    left = [path for path in output.parent.rglob("*") if path.is_file() and path.suffix in (".csv", ".json", ".html")]
    assert all(path.stat().st_size for path in left)
    disk("size=1G")
    ended = run(words)
    assert ended.returncode == 0, ended.stderr


def test_a_disk_that_can_only_be_read(corpus, finished, disk, tmp_path):
    """It is told before the work is done, and the run goes on where it can be written again."""
    workdir = disk("size=1G") / "run"
    stopped = run([*command(corpus, workdir), "--epochs", "4"], XECGNET_TEST="1")
    assert stopped.returncode == 0
    disk("ro")
    assert_one_line(run(command(corpus, workdir.with_name("other"))), "Read-only file system")
    words = [sys.executable, "-m", "xecgnet_jax", "evaluate", str(workdir), "--data", str(corpus), "--part", "test"]
    words += ["--cache", str(corpus.parent / "cache"), "--resamples", "100"]
    assert_one_line(run(words), "cannot be written to")
    ended = run([*words, "--output", str(tmp_path / "out")])
    assert ended.returncode == 0 and "subset accuracy" in ended.stdout.lower(), ended.stderr
    disk("rw")
    assert_same_bits(finished, workdir)


def test_a_clock_that_goes_backwards_changes_nothing(corpus, finished, tmp_path):
    """Ten times as fast as an ordinary one goes forwards; from a pack to a scored run."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nordinary, begin = time.time, time.time()\n"
        "time.time = lambda: begin - 10 * (ordinary() - begin)\n"
        "time.time_ns = lambda: int(1e9 * time.time())\n"
    )
    words = command(corpus, tmp_path / "run")
    words[words.index("--cache") + 1] = str(tmp_path / "cache")
    ended = run(words, PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert_same_bits(finished, tmp_path / "run")
    score = [sys.executable, "-m", "xecgnet_jax", "evaluate", str(tmp_path / "run"), "--data", str(corpus)]
    ended = run([*score, "--cache", str(tmp_path / "cache"), "--resamples", "100"], PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    kills.prepare(folder)
    return folder


@pytest.mark.parametrize("kind", kills.KINDS)
def test_what_was_killed_ends_with_the_same_bits(place, kind):
    """Two moments of each; `python -m tests.kills 20` tries more."""
    found = kills.count(kind, place, 2)
    assert set(found) <= {"killed, then the same bits"}, found
