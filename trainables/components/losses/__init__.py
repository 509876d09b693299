"""Losses, registered by their names in YAML."""
