"""Sweeps and their results from Python: `from orchestrator import Sweep, load`."""
