"""python -m xecgnet_jax.cli COMMAND …"""

from __future__ import annotations

import sys

from xecgnet_jax import cli

_COMMANDS = {"train": cli.train, "eval": cli.evaluate, "export": cli.export, "predict": cli.predict}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in _COMMANDS:
        sys.exit(f"usage: python -m xecgnet_jax.cli {{{','.join(_COMMANDS)}}} …")
    sys.exit(_COMMANDS[sys.argv[1]](sys.argv[2:]))
