"""The parts of the simulator; `xecgnet_jax.data.simulation.corpus` is its public face."""
