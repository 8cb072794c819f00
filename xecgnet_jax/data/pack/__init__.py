"""A corpus as one memory-mapped file and its index."""

from xecgnet_jax.data.pack.build import build_pack, pack_of
from xecgnet_jax.data.pack.pack import Pack, check_samples, open_pack

__all__ = ["Pack", "build_pack", "check_samples", "open_pack", "pack_of"]
