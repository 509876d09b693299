"""Loading and checking of the code that sweeps run: shipped trainables, and a user's own files."""
