"""The process that drives a sweep, and Ray below it."""
