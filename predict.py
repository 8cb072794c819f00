"""Predicts recordings with a trained xECGNet; the same as the installed command `xecgnet-predict`."""

import sys

from xecgnet_jax.cli import predict

if __name__ == "__main__":
    sys.exit(predict())
