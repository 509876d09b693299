"""`orchestrate plan`: what a search space would run, how long it would take, and what it would cost."""
