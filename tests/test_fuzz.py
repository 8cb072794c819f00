"""Changed files of every kind: read, or refused in a line that names them. `python -m tests.fuzz` tries more."""

import random
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import fuzz

pytestmark = pytest.mark.ci


@pytest.mark.parametrize("name", fuzz.KINDS)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9))
def test_changed_files_are_read_or_refused(name, tmp_path, seed):
    """Eight changes by each of the seeds, so that what fails is told by its seed."""
    assert set(islice(fuzz.tries(name, tmp_path, seed), 8)) <= {"read", "refused"}


def test_what_fuzzing_counts_as_unexpected(tmp_path):
    def fails(error: BaseException):
        def read(folder):
            raise error

        return fuzz.Kind(lambda folder: [], read)

    assert fuzz.outcome(fails(KeyError("x")), tmp_path).startswith("KeyError: 'x' (test_fuzz.py:")
    assert fuzz.outcome(fails(fuzz.XECGNetError("no name")), tmp_path) == "refused without a name: no name"
    assert fuzz.outcome(fails(fuzz.XECGNetError(f"{tmp_path}: \x1b[2J")), tmp_path) == "refused"
    assert fuzz.outcome(fails(fuzz.XECGNetError(f"{tmp_path}: bad")), tmp_path) == "refused"


def test_changes_are_those_of_the_seed():
    content = bytes(range(256)) * 4
    changed = [fuzz.mutate(content, random.Random(seed)) for seed in (1, 1, 2)]
    assert changed[0] == changed[1] != changed[2] and changed[0] != content
