"""The code that sweeps run: shipped trainables and files of one's own, loaded and checked."""
