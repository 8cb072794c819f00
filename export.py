"""Writes a trained xECGNet as one file; the same as the installed command `xecgnet-export`."""

import sys

from xecgnet_jax.cli import export

if __name__ == "__main__":
    sys.exit(export())
