"""The truth of a sweep on disk, and its one reading."""
