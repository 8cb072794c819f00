"""The network: pure functions from signal to logits and maps."""

from xecgnet_jax.model.collapsed import Collapsed, collapse
from xecgnet_jax.model.xecgnet import (
    BIN,
    Outputs,
    RepeatedBin,
    XECGNet,
    bin_edges,
    bucket,
    probabilities,
    trim_padding,
)

__all__ = [
    "BIN",
    "Collapsed",
    "Outputs",
    "RepeatedBin",
    "XECGNet",
    "bin_edges",
    "bucket",
    "collapse",
    "probabilities",
    "trim_padding",
]
