"""A sweep as people see it while it runs."""
