"""The policy of a sweep: which task comes next, which parameters a trial gets, and when a trial ends."""
