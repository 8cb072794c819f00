"""The parts of the simulator; `xecgnet_jax.data.simulate` is its public face."""
