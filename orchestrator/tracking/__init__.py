"""From a sweep's folder to MLflow."""
