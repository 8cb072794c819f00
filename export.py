"""Writes a trained xECGNet as one file; the same as the installed command `xecgnet export`."""

import sys

from xecgnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
