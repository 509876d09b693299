"""Entry point of `python -m orchestrator`, for machines on which the command `orchestrate` is not installed."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
