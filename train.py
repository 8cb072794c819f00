"""Trains xECGNet; the same as the installed command `xecgnet-train`."""

import sys

from xecgnet_jax.cli import train

if __name__ == "__main__":
    sys.exit(train())
