"""The orchestrator: it runs sweeps, and is the only package that imports Ray."""
