"""Sweeps read back from MLflow: their runs as data frames, and the contrasts between their arms."""
