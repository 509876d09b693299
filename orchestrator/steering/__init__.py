"""What people do with a sweep that runs: look at it in a window, pause it, stop trials, try them again."""
