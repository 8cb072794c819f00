"""The counter of what runs between `train.py` and the first gradient."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.path_to_gradient import count_path, main

ROOT = Path(__file__).resolve().parents[2]
#: Modules of which a function may run before the first gradient; docs/performance.md says how many there are.
MOST_MODULES = 26

TRAIN = """
from xecgnet_jax.fit import fit

fit()
"""
FIT = '''"""A package of a module that is read."""

import threading

import jax

from xecgnet_jax.constants import SCALES


def fit():
    """Makes a gradient."""
    thread = threading.Thread(target=prepare, name="helper")
    thread.start()
    thread.join()
    gradient = jax.value_and_grad(loss)(2.0)
    raise AssertionError("the process goes on after the gradient", gradient)


def prepare():
    return [scale for scale in SCALES if (lambda x: x)(scale)]


def loss(x):
    if x is None:
        return 0.0
    return x * x


def never():
    return 0
'''
CONSTANTS = """SCALES = [2 * number for number in range(3)]


class Unused:
    SQUARES = {number: number**2 for number in SCALES}
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose counts can be told by hand."""
    package = tmp_path / "xecgnet_jax"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fit.py").write_text(FIT)
    (package / "constants.py").write_text(CONSTANTS)
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def test_counts_by_hand(checkout, capsys):
    counts = count_path(checkout)
    assert counts.keys() == {"fit.py"}
    fit = counts["fit.py"]
    assert fit["functions"] == ["fit", "loss", "prepare"]
    assert fit["lines"] == 4 + 1 + 2
    assert main([str(checkout)]) == 0
    printed = capsys.readouterr().out
    told = f"1 modules of {len(FIT.splitlines())} lines have functions that ran: 7 lines of 3 functions."
    assert told in printed


def test_a_train_without_a_gradient_is_told(checkout):
    (checkout / "train.py").write_text("print('no gradient here')\n")
    with pytest.raises(RuntimeError, match="no gradient here"):
        count_path(checkout)


@pytest.mark.slow
def test_the_path_of_this_package_is_short():
    path = count_path(ROOT)
    assert "train_step" in path["training/step.py"]["functions"]
    assert "fit" in path["training/loop.py"]["functions"]
    assert len(path) <= MOST_MODULES, path.keys()
