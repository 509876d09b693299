"""The evaluation of estimates, the same for trials and for baselines."""
