import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What one test compiled, the others and the processes they start find; nothing of it stays.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="xecgnet-jax-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Compiling takes longer than computing here; where rounding matters, tests ask for `compiled_as_users_do`.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Shapes and types in the signatures of the network and the training are checked at each call.
import tests.checking  # noqa: E402, F401  (named below)

install_import_hook(["xecgnet_jax.model", "xecgnet_jax.training"], "tests.checking.typechecked")

from tests.trained import corpus, dataset, engine, finished  # noqa: E402, F401


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and golden numbers beside the checkout; tests skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("../shared is not beside the checkout")
    return folder


@pytest.fixture(scope="module")
def compiled_as_users_do():
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")
