"""A profile of a few steps, for TensorBoard or Perfetto."""

from __future__ import annotations

from pathlib import Path

import jax

#: Steps that are left out first (the first compiles), and steps that are recorded.
SKIPPED, RECORDED = 2, 5


class Profile:
    """Records steps number 3 to 7 of this process into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._open = False

    def after_step(self) -> None:
        """Counts a step; begins and ends the recording where it is time."""
        self._made += 1
        if self._made == SKIPPED:
            jax.profiler.start_trace(str(self._folder))
            self._open = True
        elif self._made == SKIPPED + RECORDED:
            self.close()

    def close(self) -> None:
        """Ends a recording that is open and writes it."""
        if self._open:
            self._open = False
            jax.profiler.stop_trace()
