"""Trainables: torch code that a trial runs. Nothing here imports Ray, Optuna or MLflow.

The name of a trainable's folder is its name in YAML.
"""
