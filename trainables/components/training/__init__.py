"""What training loops have in common."""
