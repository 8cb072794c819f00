"""The network: pure functions from signal to logits and maps."""

from xecgnet_jax.model.bins import RepeatedBin, bin_edges, bucket
from xecgnet_jax.model.collapsed import Collapsed, apply_collapsed, collapse, trim_padding
from xecgnet_jax.model.frozen import apply_frozen
from xecgnet_jax.model.merged import apply_merged
from xecgnet_jax.model.xecgnet import CLASS_LAYERS, Outputs, XECGNet, probabilities

__all__ = [
    "CLASS_LAYERS",
    "Collapsed",
    "Outputs",
    "RepeatedBin",
    "XECGNet",
    "apply_collapsed",
    "apply_frozen",
    "apply_merged",
    "bin_edges",
    "bucket",
    "collapse",
    "probabilities",
    "trim_padding",
]
