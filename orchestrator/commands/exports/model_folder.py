"""A trained model as a folder for the Hugging Face Hub: weights, settings, and a model card."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from orchestrator.models.champion import Champion, export_trial
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.plugins import exported_models
from reports import vocabulary as words

CARD = "README.md"
TASKS = {"sound-to-sound": "audio-to-audio"}
"""The Hub's name of a task; it has none for images of sounds, or sounds of images."""
USAGE = """# {trainable}, trained on {corpus}

{description}

```python
import avsweep  # in an installed copy; in a checkout of its repository this line does nothing
from pathlib import Path

from trainables.components.generation import open_model

model = open_model(Path("."))  # the folder of this card
results = model.generate(model.read(Path("INPUT")), count=1, seed=0)
```

The weights are safetensors. `code/`, if it is there, has files of the author's, which `open_model` runs. The numbers
below are those of the sweep's report, which chose this model.
"""


def write_model_folder(home: Path, reference: str, folder: Path, say: Callable[[str], None]) -> str:
    """Write a trial as `orchestrate promote` stores it, with a model card.

    Args:
        home: the folder of all sweeps.
        reference: a trial, such as `vae/7`; or a sweep, for its best trial.
        folder: the folder to fill.
        say: prints a line.

    Returns:
        The model in a line.

    Raises:
        UserError: no trial has ended, its checkpoint was deleted, or its trainable generates nothing.
        ReportError: the sweep's report can't be made.
        OrchestratorError: MLflow does not answer.
    """
    from orchestrator.commands.report import read_markdown

    champion = export_trial(home, reference, say)
    name = champion.origin["sweep"]
    shutil.copytree(champion.folder, folder, dirs_exist_ok=True)
    snapshot = read_snapshot(home, name)
    settings = json.loads((folder / exported_models.MODEL_SETTINGS).read_text(encoding="utf-8"))
    corpus = str((snapshot.started.get("corpus") or {}).get("name", "none"))
    tested = snapshot.trial(champion.origin["trial"]).test
    head = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(_describe_for_hub(champion, settings["trainable"], corpus, tested), head)
    body = USAGE.format(trainable=settings["trainable"], corpus=corpus, description=champion.description)
    card = f"---\n{head.getvalue()}---\n\n{body}\n{read_markdown(home, name)}"
    (folder / CARD).write_text(card, encoding="utf-8")
    return champion.description


def _describe_for_hub(champion: Champion, trainable: str, corpus: str, tested: Mapping[str, float]) -> dict[str, Any]:
    """Return the head of a model card, as the Hub reads it.

    Args:
        champion: the model.
        trainable: the name of its trainable.
        corpus: the name of its corpus.
        tested: its metrics on the test split; empty if it was not evaluated there.
    """
    origin = champion.origin
    task = exported_models.open_model(champion.folder)
    task_name = f"{task.takes}-to-{task.makes}"
    results = []
    for split, metrics in (("validation", origin["metrics"]), ("test", tested)):
        values = [
            {"type": name, "name": words.label_of(name), "value": value}
            for name, value in metrics.items()
            # The Hub's numbers have to be finite.
            if math.isfinite(value)
        ]
        if values:
            dataset = {"type": corpus, "name": corpus, "split": split}
            results.append({"task": {"type": TASKS.get(task_name, task_name)}, "dataset": dataset, "metrics": values})
    head: dict[str, Any] = {"library_name": "avsweep", "tags": ["avsweep", trainable, task_name]}
    if task_name in TASKS:
        head["pipeline_tag"] = TASKS[task_name]
    return head | {"model-index": [{"name": f"{origin['sweep']}/{origin['trial']}", "results": results}]}
