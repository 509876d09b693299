"""The code of a promoted model, which MLflow stores with its weights and executes where the model is loaded.

Each row of the input has an image or a sound file in `file` (bytes), and its name or suffix in `name`. Each row of the
output has a generated sound (wav) or image (png) in `file` (bytes), the `class` that the judge predicts, and its
`probability`. Parameters: `count`, the number of outputs for each input, and `seed`.
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
    """A pyfunc model around the generator in the artifact `model`."""

    def load_context(self, context: Any) -> None:
        """Open the generator."""
        from trainables.components.generation import open_model

        self.generator = open_model(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Generate `count` outputs for each row of the input."""
        settings = {"count": 1, "seed": 0, **(params or {})}
        rows = []
        for content, name in zip(model_input["file"], model_input["name"], strict=True):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"given{Path(str(name)).suffix or '.' + str(name)}"
                path.write_bytes(content)
                source = self.generator.read(path)
            for generated in self.generator.generate(source, count=int(settings["count"]), seed=int(settings["seed"])):
                encoded = self._encode(generated.content)
                rows.append({"file": encoded, "class": generated.class_name, "probability": generated.probability})
        return pd.DataFrame(rows)

    def _encode(self, content: Any) -> bytes:
        file = io.BytesIO()
        if self.generator.makes == "sound":
            import soundfile

            soundfile.write(file, content, self.generator.rate_hz, format="WAV", subtype="PCM_16")
        else:
            from PIL import Image

            Image.fromarray(content).save(file, "PNG")
        return file.getvalue()


set_model(Served())
