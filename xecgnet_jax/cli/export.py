"""`xecgnet export`: the command line → a trained run as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xecgnet_jax.cli.common import OptionalNumber, Run


@dataclass(frozen=True)
class Export:
    """Write a run as one file that predicts without this package."""

    #: Working directory of a training run, or one checkpoint in it (WORKDIR/checkpoints/STEP).
    run_folder: Run
    #: File to write: .zip for --format jax, .onnx for --format onnx. It must not exist yet.
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    #: jax: an archive with a jax.export program, for any number of recordings of any length. onnx: for ONNX Runtime and
    #: others; needs the extra onnx.
    format: Literal["jax", "onnx"] = "jax"
    #: Fixed length of the recordings, in samples at the network's rate. By default any length; ONNX files of runs with
    #: --window crop or pad need it.
    samples: OptionalNumber = None

    def run(self) -> None:
        """Writes the file, and prints what it is and what to read next."""
        from xecgnet_jax.export.archive import export_run

        print(export_run(self.run_folder, self.output, format=self.format, samples=self.samples))
        print("use it: docs/export.md shows the lines of Python that predict with it")
