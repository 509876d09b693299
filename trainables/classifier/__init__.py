"""The class of a sound or of an image."""
