"""Transfer of a sweep from its folder to MLflow."""
