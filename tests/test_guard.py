"""Whatever ends a command is one line and a documented exit status."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from tests import learnable_corpus
from xecgnet_jax.cli import guard
from xecgnet_jax.cli.common import CorpusArguments
from xecgnet_jax.cli.evaluate import Evaluate
from xecgnet_jax.cli.main import main
from xecgnet_jax.cli.sweep import Sweep
from xecgnet_jax.cli.train import Train
from xecgnet_jax.errors import ConfigError, CorpusError, PackError, RecordError, SplitError, StoppedError

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("rate is 3"), 2, "error: rate is 3"),
        (StoppedError("stopped at step 4"), 130, "stopped at step 4"),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), 2, "/a/b: No space left on device; make room"),
        (
            ValueError(
                f'RESOURCE_EXHAUSTED: Error writing local file "/a/b": Failed: {os.strerror(errno.ENOSPC)} [28]'
            ),
            2,
            "error: /a/b: No space left on device; make room",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 2, "/a/b: Permission denied; check the path"),
        (MemoryError("Unable to allocate 52 GiB"), 2, "memory ran out (MemoryError: Unable to allocate 52 GiB)"),
        (RecursionError("maximum depth"), 1, "RecursionError: maximum depth (a fault of this program"),
        (KeyError("step"), 1, "KeyError: 'step' (a fault"),
        (ValueError("first\nsecond" + "x" * 9999), 1, "ValueError: first (a fault"),
    ],
)
def test_each_kind_of_error_is_one_line(capsys, error, status, said):
    assert guard.report(error) == status
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and said in printed.err


def test_what_tensorstore_prints_of_a_save_that_failed_is_not_shown(capsys):
    guard.quiet_libraries()
    for error, shown in ((RuntimeError("Event loop is closed"), False), (RuntimeError("anything else"), True)):
        sys.excepthook(type(error), error, None)
        assert bool(capsys.readouterr().err) is shown


@pytest.mark.parametrize("kind", [RecordError, CorpusError, PackError, SplitError])
def test_what_names_recordings_is_hidden_where_names_are(kind):
    hiding = Train(corpus=CorpusArguments(hash_ids=True))
    assert guard.describe(kind("Smith_John.hea: bad"), Train()) == (2, "Smith_John.hea: bad")
    status, text = guard.describe(kind("Smith_John.hea: bad"), hiding)
    assert status == 2 and "Smith" not in text and "--hash-ids hides" in text
    assert guard.describe(ConfigError("rate is 3"), hiding) == (2, "rate is 3")


OUT_OF_MEMORY = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 55834574848 bytes.")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Train(), ["--batch-size is 32: lower it", "--seconds", "whole", "--data-on host"]),
        (Sweep(), ["--batch-size is 32: lower it", "--seconds", "--at-once 1"]),
        (Evaluate(Path("run")), ["--batch-size is 32: lower it"]),
        (None, ["end other programs"]),
    ],
)
def test_out_of_memory_names_what_to_lower(command, words):
    status, text = guard.describe(OUT_OF_MEMORY, command)
    assert status == 2 and text.startswith("memory ran out (JaxRuntimeError: RESOURCE_EXHAUSTED")
    assert all(word in text for word in words), text


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    command = [sys.executable, "-m", "xecgnet_jax", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=kept | environment, check=False)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory) -> Path:
    return learnable_corpus.write(tmp_path_factory.mktemp("guard") / "corpus", recordings=4)


@pytest.mark.ci
def test_a_device_that_is_not_there_is_one_line(corpus_folder, tmp_path):
    words = ["predict", str(corpus_folder / "R000.hea"), "--cache", str(tmp_path)]
    found = run(*words, JAX_PLATFORMS="cuda", HOME=str(tmp_path))
    assert found.returncode == 2
    last = found.stderr.strip().splitlines()[-1]
    assert "JAX finds no device" in last and "JAX_PLATFORMS is cuda: unset it" in last
    assert "Traceback" not in found.stderr


@pytest.mark.ci
def test_a_user_without_a_home_folder_gets_help():
    code = (
        "import os, pathlib, sys\n"
        "def unknown(self): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.expanduser = unknown\n"
        "from xecgnet_jax.files import default_cache\n"
        "assert default_cache() == pathlib.Path('.xecgnet-cache')\n"
        "from xecgnet_jax.cli.main import main\n"
        "main(['predict', '--help'])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0 and "--cache" in found.stdout, found.stderr


def test_developers_see_where_an_error_comes_from(tmp_path, capsys):
    words = ["corpus", str(tmp_path / "none")]
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main([*words, "--traceback"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed and printed.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--workdir", "gs://bucket/run"], "workdir gs://bucket/run: is an address"),
        (["train", "--workdir", "file:///tmp/run"], "workdir file://tmp/run: is an address"),
        (["train", "--cache", "s3://bucket"], "cache s3://bucket: is an address"),
        (["sweep", "--workdir", "hdfs://host/run"], "workdir hdfs://host/run: is an address"),
        (["predict", "r.hea", "--output", "gs://bucket/found.csv"], "output gs://bucket/found.csv: is an address"),
        (["evaluate", "gs://bucket/run"], "run_folder gs://bucket/run: is an address"),
        (["train", "--workdir", "~/x"], "workdir ~/x: ~ is your home folder only without quotes"),
    ],
)
def test_addresses_are_not_taken_for_folders(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_with_colons_are_paths(tmp_path, capsys):
    assert main(["corpus", str(tmp_path / "a:b")]) == 2
    assert "address" not in capsys.readouterr().err
