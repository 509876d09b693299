"""Sweeps read back from MLflow, and what was found in them."""
