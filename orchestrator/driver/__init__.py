"""The driver: the process that runs a sweep with Ray Tune."""
