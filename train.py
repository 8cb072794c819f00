"""Trains xECGNet; the same as the installed command `xecgnet train`."""

import sys

from xecgnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
