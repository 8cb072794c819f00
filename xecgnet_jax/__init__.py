"""xECGNet in JAX."""
