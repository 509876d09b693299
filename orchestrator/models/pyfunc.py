"""The code of a promoted model, which MLflow stores beside its weights and runs wherever the model is loaded.

A row has the bytes of a picture (or of a sound) in `file`, and its name or suffix in `name`; the answer has a row for
each sound (or picture): `file`, its bytes as wav (or png), the `class` that the judge takes it for, and the
`probability`. Parameters: `count` of each, and `seed`.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Served(PythonModel):
    """Generates by the model in the artifact `model`."""

    def load_context(self, context: Any) -> None:
        from trainables.components.generation import open_model

        self.generator = open_model(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        settings = {"count": 1, "seed": 0, **(params or {})}
        rows = []
        for content, name in zip(model_input["file"], model_input["name"], strict=True):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"given{Path(str(name)).suffix or '.' + str(name)}"
                path.write_bytes(content)
                source = self.generator.read(path)
            for generated in self.generator.generate(source, count=int(settings["count"]), seed=int(settings["seed"])):
                written = self._encoded(generated.content)
                rows.append({"file": written, "class": generated.class_name, "probability": generated.probability})
        return pd.DataFrame(rows)

    def _encoded(self, content: Any) -> bytes:
        written = io.BytesIO()
        if self.generator.makes == "sound":
            import soundfile

            soundfile.write(written, content, 22050, format="WAV", subtype="PCM_16")
        else:
            from PIL import Image

            Image.fromarray(content).save(written, "PNG")
        return written.getvalue()


set_model(Served())
