"""From MLflow to tables and pages; imports nothing of the orchestrator or the trainables."""
