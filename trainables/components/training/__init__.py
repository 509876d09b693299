"""Helpers of training loops."""
