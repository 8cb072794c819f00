"""xecgnet-export: the command line → a trained run as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from xecgnet_jax.cli.common import parse


@dataclass(frozen=True)
class ExportArguments:
    run: tyro.conf.Positional[Path]
    """Working directory of a training run, or one checkpoint in it (WORKDIR/checkpoints/STEP)."""
    output: tyro.conf.Positional[Path]
    """File to write: .zip for --format jax, .onnx for --format onnx. It must not exist yet."""
    format: Literal["jax", "onnx"] = "jax"
    """jax: an archive with a jax.export program, for any number of recordings of any length. onnx: for ONNX Runtime and
    others; needs the extra onnx."""
    samples: int | None = None
    """Fixed length of the recordings, in samples at 500 Hz. By default any length; ONNX files of runs with
    --window crop or pad need it."""


def run(words: list[str]) -> None:
    arguments = parse(
        ExportArguments,
        words,
        "xecgnet-export",
        "Writes a trained model as one file that predicts without this package, checked against the checkpoint.",
    )
    from xecgnet_jax.export.archive import export_run

    print(export_run(arguments.run, arguments.output, format=arguments.format, samples=arguments.samples))
