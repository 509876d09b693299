"""Notices of a sweep, such as a message to a phone when it ends: `notify:` in a search space."""
