"""The network: pure functions from signal to logits and maps."""

from xecgnet_jax.model.collapsed import Collapsed, collapse
from xecgnet_jax.model.xecgnet import (
    BIN,
    Outputs,
    Repeat,
    XECGNet,
    bin_edges,
    probabilities,
    quarter_steps,
    without_zeros,
)

__all__ = [
    "BIN",
    "Collapsed",
    "Outputs",
    "Repeat",
    "XECGNet",
    "bin_edges",
    "collapse",
    "probabilities",
    "quarter_steps",
    "without_zeros",
]
