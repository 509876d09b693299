"""The commands of `orchestrate`, one module each; the command line itself is in `orchestrator.cli`."""
