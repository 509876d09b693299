"""The display of a sweep, and its state as read from its folder."""
