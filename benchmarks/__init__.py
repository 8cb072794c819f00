"""Benchmarks: `python -m benchmarks --list`. docs/performance.md says how they measure and what they gave."""
