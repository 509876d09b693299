"""A picture for a sound."""
