"""Runs sweeps; the only package that imports Ray and Optuna."""
