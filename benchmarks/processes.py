"""Commands that are measured in processes of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from xecgnet_jax.errors import XECGNetError


def run_command(command: list[str], surroundings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Returns a command that ended well, with its output.

    Raises:
      XECGNetError: it failed; with the last line it wrote.
    """
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise XECGNetError(f"{' '.join(command)} failed: {(done.stderr.strip().splitlines() or ['–'])[-1]}")
    return done
