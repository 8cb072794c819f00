"""`xecgnet export`: the command line → a trained run as one file, or as a folder of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xecgnet_jax.cli.common import OptionalNumber, Run
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import say


@dataclass(frozen=True)
class Export:
    """Write a run as one file that predicts without this package, or as weights."""

    #: Working directory of a training run, or one checkpoint in it (WORKDIR/checkpoints/STEP).
    run_folder: Run
    #: File to write, which must not exist yet: .zip for --format jax, .onnx for --format onnx; for --format weights a
    #: folder.
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT")]
    #: jax: an archive with a jax.export program, for any number of recordings of any length. onnx: for ONNX Runtime and
    #: others; needs the extra onnx. weights: model.safetensors, config.json and a model card with the metrics that
    #: xecgnet evaluate has kept, a folder that takes the place of a run in every command.
    format: Literal["jax", "onnx", "weights"] = "jax"
    #: Fixed length of the recordings, in samples at the network's rate. By default any length. ONNX files need it where
    #: the run was trained with --window crop or pad.
    samples: OptionalNumber = None
    #: For weights: also write which recordings and patients the run was made with (split.csv.gz), so that they are
    #: recognized when a corpus is scored. Not for recordings whose names are private.
    with_split: bool = False

    def run(self) -> None:
        """Writes the file, and prints what it is and what to read next."""
        if self.format == "weights":
            self._write_weights()
            return
        if self.with_split:
            raise ConfigError("--with-split is for --format weights")
        from xecgnet_jax.export.archive import export_run

        say(export_run(self.run_folder, self.output, format=self.format, samples=self.samples))
        say("use it: docs/export.md shows the lines of Python that predict with it")

    def _write_weights(self) -> None:
        if self.samples is not None:
            raise ConfigError("--samples is for files: weights take recordings of any length")
        if self.output.exists() and not self.output.is_dir():
            raise ConfigError(f"{self.output}: is a file; --format weights writes a folder")
        from xecgnet_jax.runs.load import load_run

        run = load_run(self.run_folder)
        run.save_pretrained(self.output, split=self.with_split)
        size = sum(file.stat().st_size for file in self.output.iterdir())
        say(f"written: {self.output} ({size / 1e6:.1f} MB), from {run.title}")
        say(f"use it: xecgnet predict {self.output} RECORDINGS; read and complete {self.output / 'README.md'}")
