"""The network with a backbone that does not learn, for fine-tuning."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Float

from xecgnet_jax.model.layers import Array, Bins
from xecgnet_jax.model.xecgnet import Backbone, XECGNet


def apply_frozen(
    model: XECGNet, variables: Any, signal: Float[Array, "B T L"], *, train: bool, bins: Bins, mutable: Any = False
) -> Any:
    """Returns what `model.apply` returns, with the backbone as in inference, also in training.

    Its normalizations use their running statistics and leave them as they are, and no gradient reaches it.
    """

    def features(module: XECGNet, signal: jax.Array) -> jax.Array:
        backbone: Backbone = module.backbone
        return backbone(signal, train=False, bins=bins)

    found = jax.lax.stop_gradient(model.apply(variables, signal, method=features))
    return model.apply(variables, found, train=train, bins=bins, mutable=mutable, method=XECGNet.branches)
