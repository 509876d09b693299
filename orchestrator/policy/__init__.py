"""What comes next in a sweep, and when a trial ends."""
