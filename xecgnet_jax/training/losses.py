"""The mean losses of an epoch, read from the device without making it wait."""

from __future__ import annotations

import math

import jax

from xecgnet_jax.errors import DivergedError

#: Losses are looked at this many steps late, so that the device never waits for the host.
LAG = 8


class Losses:
    """Sums a step's metrics over an epoch, a few steps late, and finds the first that is not finite."""

    def __init__(self, sums: dict[str, float]) -> None:
        self._sums = dict(sums)
        self._waiting: list[tuple[int, dict[str, jax.Array]]] = []
        self.latest: float | None = None

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        self._waiting.append((step, metrics))
        if len(self._waiting) > LAG:
            self._read(*self._waiting.pop(0))

    def sums(self) -> dict[str, float]:
        while self._waiting:
            self._read(*self._waiting.pop(0))
        return dict(self._sums)

    def take(self, steps: int) -> dict[str, float]:
        """Means over the epoch's steps; the sums begin anew."""
        means = {name: total / steps for name, total in self.sums().items()}
        self._sums = {}
        return means

    def _read(self, step: int, metrics: dict[str, jax.Array]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        self.latest = values["loss"]
        if not all(map(math.isfinite, values.values())):
            raise DivergedError(
                f"the loss of step {step} is not finite ({', '.join(f'{k} {v:g}' for k, v in values.items())}); lower "
                "--learning-rate or set --clip-norm, in another --workdir"
            )
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
