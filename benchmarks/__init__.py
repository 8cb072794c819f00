"""Benchmarks: `python -m benchmarks --help`. docs/performance.md says how they measure and what they gave."""
