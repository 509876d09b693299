"""Recordings on disk, cut into clips, split by recording, with their features cached."""
