"""The network: pure functions from signal to logits and maps."""

from xecgnet_jax.model.xecgnet import BIN, Outputs, XECGNet, bin_edges, probabilities

__all__ = ["BIN", "Outputs", "XECGNet", "bin_edges", "probabilities"]
