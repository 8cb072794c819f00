"""Scores a trained xECGNet; the same as the installed command `xecgnet evaluate`."""

import sys

from xecgnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
