"""A corpus as one memory-mapped file and its index."""

from xecgnet_jax.data.pack.build import build_pack, build_share, pack_of
from xecgnet_jax.data.pack.pack import Pack, check_samples, open_pack
from xecgnet_jax.data.pack.shares import Share

__all__ = ["Pack", "Share", "build_pack", "build_share", "check_samples", "open_pack", "pack_of"]
