"""What is done with a trained run: load, evaluate, compare, predict."""

from xecgnet_jax.runs.load import Run, load_run

__all__ = ["Run", "load_run"]
