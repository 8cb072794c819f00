"""Scores a trained xECGNet; the same as the installed command `xecgnet-eval`."""

import sys

from xecgnet_jax.cli import evaluate

if __name__ == "__main__":
    sys.exit(evaluate())
