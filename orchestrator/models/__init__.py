"""Export the best trial of a sweep as a model, and register it in MLflow."""
