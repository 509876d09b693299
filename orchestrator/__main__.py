"""`python -m orchestrator`, for where no `orchestrate` is installed."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
