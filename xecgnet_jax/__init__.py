"""xECGNet in JAX: attention-map fine-tuning for concurrent cardiac arrhythmias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Outputs", "XECGNet", "__version__", "probabilities"]

if TYPE_CHECKING:
    from xecgnet_jax.model import Outputs, XECGNet, probabilities


def __getattr__(name: str) -> Any:
    """Imports the model on first use: reading recordings needs neither JAX nor its start-up time."""
    if name in ("Outputs", "XECGNet", "probabilities"):
        from xecgnet_jax import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
