"""The state of a sweep: the log and the outboxes from which it is rebuilt, and the one writer of the log."""
