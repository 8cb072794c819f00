"""`python -m xecgnet_jax` is the command `xecgnet`."""

import sys

from xecgnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
