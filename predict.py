"""Predicts recordings with a trained xECGNet; the same as the installed command `xecgnet predict`."""

import sys

from xecgnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
