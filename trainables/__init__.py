"""Torch code that a trial runs. A file's name is its name in YAML; nothing here knows Ray, Optuna or MLflow."""
