"""What tests/training/test_hosts.py runs in each process: the command, with something that happens at a step."""

import errno
import os
import signal
import sys
import threading

from xecgnet_jax.cli.main import main
from xecgnet_jax.training import loop, progress
from xecgnet_jax.training.checkpoint import SavedCheckpoints

what, where, step_of_it, *words = sys.argv[1:]
loop.LOOK_UP_SECONDS = 0
ordinary = progress.ProgressBar.show_step


def show_step(self: progress.ProgressBar, step: int, loss: float) -> None:
    if step == int(step_of_it) and words[-1] in where.split(","):
        if what == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/disk")
        if what == "hangs":
            threading.Event().wait()
        os.kill(os.getpid(), getattr(signal, what))
    ordinary(self, step, loss)


progress.ProgressBar.show_step = show_step
if what == "lags" and words[-1] == where:
    SavedCheckpoints.latest = lambda self: 0
sys.exit(main(["train", *words]))
