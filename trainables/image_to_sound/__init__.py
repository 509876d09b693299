"""A sound for a picture."""
