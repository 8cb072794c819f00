"""The commands: read the command line, call the package, say what went wrong in one line."""

from __future__ import annotations

from collections.abc import Sequence

from xecgnet_jax.cli.common import guarded


def train(arguments: Sequence[str] | None = None) -> int:
    """Trains a model."""
    from xecgnet_jax.cli.training import run

    return guarded(run, arguments)


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """Scores a trained model."""
    from xecgnet_jax.cli.scoring import run

    return guarded(run, arguments)


def export(arguments: Sequence[str] | None = None) -> int:
    """Writes a trained model as one file."""
    from xecgnet_jax.cli.exporting import run

    return guarded(run, arguments)


def predict(arguments: Sequence[str] | None = None) -> int:
    """Predicts recordings with a trained model."""
    from xecgnet_jax.cli.prediction import run

    return guarded(run, arguments)
