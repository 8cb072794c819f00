"""xECGNet in JAX: attention-map fine-tuning for concurrent cardiac arrhythmias."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xecgnet_jax.config import Config, preset
    from xecgnet_jax.data.dataset import open_corpus
    from xecgnet_jax.data.io.discover import read_recording
    from xecgnet_jax.model import Outputs, XECGNet, collapse, probabilities
    from xecgnet_jax.runs.compare import compare
    from xecgnet_jax.runs.evaluate import evaluate
    from xecgnet_jax.runs.fit import fit
    from xecgnet_jax.runs.load import load_pretrained, load_run
    from xecgnet_jax.training.objective import objective

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Outputs",
    "XECGNet",
    "__version__",
    "collapse",
    "compare",
    "evaluate",
    "fit",
    "load_pretrained",
    "load_run",
    "objective",
    "open_corpus",
    "preset",
    "probabilities",
    "read_recording",
]

#: Public name → the module that has it, imported on first use: reading recordings needs neither JAX nor its start-up.
_MODULES = {
    "Config": "config",
    "Outputs": "model",
    "XECGNet": "model",
    "collapse": "model",
    "compare": "runs.compare",
    "evaluate": "runs.evaluate",
    "fit": "runs.fit",
    "load_pretrained": "runs.load",
    "load_run": "runs.load",
    "objective": "training.objective",
    "open_corpus": "data.dataset",
    "preset": "config",
    "probabilities": "model",
    "read_recording": "data.io.discover",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
