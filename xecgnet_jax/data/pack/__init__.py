"""A corpus as one memory-mapped file and its index."""

from xecgnet_jax.data.pack.pack import Pack, build_pack, open_pack, pack_of

__all__ = ["Pack", "build_pack", "open_pack", "pack_of"]
