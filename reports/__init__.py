"""Reports, statistics and listening tests of sweeps in MLflow; imports neither the orchestrator nor trainables."""
