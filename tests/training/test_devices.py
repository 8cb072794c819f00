"""One run on 1, 2 and 8 devices, and members on several devices, in processes that see eight."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Eight devices on few cores take minutes.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run_on_eight(name: str, *arguments: str, x64: bool = False) -> dict:
    """Calls a function of tests/training/on_devices.py in a process with eight devices, and returns its JSON."""
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": str(x64),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.training.on_devices", name, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=500)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_one_step_is_the_same_on_1_2_and_8_devices():
    """The same batch, of 6 recordings, which 8 devices do not divide; loss to 1e-5, gradients to 1e-4."""
    found = run_on_eight("one_step")
    assert found["batches_are_equal"]
    for devices in ("2", "8"):
        assert found[devices]["loss"] < 1e-5
        assert found[devices]["gradient"] < 1e-4


def test_twenty_steps_agree_in_float64():
    """Whole windows with a mask, and the merged linear network: losses, weights and statistics to 1e-9.

    With a rate so low that steps do not make rounding grow.
    """
    found = run_on_eight("twenty_steps", x64=True)
    for kind in ("masked", "linear"):
        for devices in ("2", "8"):
            assert found[kind][devices] < 1e-9


def test_a_run_on_two_devices(tmp_path):
    """fit() with `devices`: the same epochs as on one, its devices told; more than there are is refused."""
    found = run_on_eight("fit_on_two", str(tmp_path))
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-4)
    assert found["devices"] == ["1 × cpu", "2 × cpu"]
    assert "devices is 9; possible: 0 (all) to 8" in found["refused"]


def test_members_on_several_devices_are_computed_right():
    """1×1 convolutions with a kernel for each member: XLA computes them wrong where `jit` shards the member axis."""
    found = run_on_eight("members")
    assert found["shard_map"] < 1e-5
    assert found["step"] < 1e-4
