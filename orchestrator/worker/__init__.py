"""One attempt at a trial, in a process of its own."""
