"""Adapters of pretrained networks: YAMNet, PANNs and CLAP for sounds, an ImageNet network for pictures.

Their weights are files that the search space names; nothing is downloaded. The packages that load them are imported
when the judge is constructed: the extra `ears` installs YAMNet's, the others are installed by whoever has the weights.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables.components.judges.plugin import JUDGES, AddedJudge, Answer, JudgeSettings
from trainables.errors import InputError

YAMNET_SAMPLES = 15_600
YAMNET_SCORES, YAMNET_FEATURES = 521, 1024
CLAP_SAMPLES = 480_000
"""What CLAP hears at once: 10 s."""
UNHEARD = 0.01
"""The part of a window that may stay unheard: a clip of 10 s is 0.01 s longer."""
PANNS_LABELS = Path("~/panns_data/class_labels_indices.csv")
"""The file that the package panns_inference downloads when it is imported, unless it is there."""


@JUDGES.register("yamnet")
class Yamnet(AddedJudge):
    """YAMNet (Plakal and Ellis, 2019): 521 classes of AudioSet, and embeddings of 1,024 numbers; weights as .tflite."""

    rate_hz = 16_000
    needs_weights = True

    def __init__(self, settings: JudgeSettings, classes: Sequence[str]) -> None:
        """Load the interpreter; see `AddedJudge`."""
        super().__init__(settings, classes)
        where = _describe(settings)
        litert = import_package("ai_edge_litert.interpreter", where, "pip install 'avsweep[ears]'")
        try:
            # With all tensors preserved, the embedding below the last layer can be read.
            self._network = litert.Interpreter(
                str(settings.weights), num_threads=1, experimental_preserve_all_tensors=True
            )
            self._network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{where}: is no .tflite file ({error}); give YAMNet's") from error
        (self._input, *_), (self._scores, *_) = self._network.get_input_details(), self._network.get_output_details()
        embeddings = [
            tensor["index"]
            for tensor in self._network.get_tensor_details()
            if tensor["shape"].tolist() == [1, YAMNET_FEATURES] and "pooling" in tensor["name"]
        ]
        shapes = self._input["shape"].tolist(), self._scores["shape"].tolist()
        if shapes != ([1, YAMNET_SAMPLES], [1, YAMNET_SCORES]) or not embeddings:
            raise InputError(
                f"{where}: is another network (input and output of shape {shapes[0]}, {shapes[1]}), not YAMNet with "
                f"{YAMNET_SAMPLES} samples and {YAMNET_SCORES} scores; give YAMNet's .tflite"
            )
        self._embedding = embeddings[-1]

    def answer(self, clips: NDArray[np.float32]) -> Answer:
        """Return scores and embeddings, averaged over windows of 0.975 s: three for a clip of 2 s."""
        if clips.shape[1] < YAMNET_SAMPLES:
            clips = np.stack([np.resize(clip, YAMNET_SAMPLES) for clip in clips])
        scores, embeddings = [], []
        for clip in clips:
            windows = [self._listen(window) for window in cut_windows(clip, YAMNET_SAMPLES)]
            scores.append(np.mean([of_window[0] for of_window in windows], axis=0))
            embeddings.append(np.mean([of_window[1] for of_window in windows], axis=0))
        return Answer(np.stack(embeddings), np.stack(scores))

    def _listen(self, window: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._network.set_tensor(self._input["index"], window[None])
        self._network.invoke()
        scores, embeddings = (self._network.get_tensor(index)[0] for index in (self._scores["index"], self._embedding))
        return scores.copy(), embeddings.copy()


@JUDGES.register("panns")
class Panns(AddedJudge):
    """PANNs' CNN14 (Kong et al., 2020): 527 classes of AudioSet, and embeddings of 2,048 numbers; weights as .pth."""

    rate_hz = 32_000
    needs_weights = True

    def __init__(self, settings: JudgeSettings, classes: Sequence[str]) -> None:
        """Load the network; see `AddedJudge`."""
        super().__init__(settings, classes)
        where = _describe(settings)
        if importlib.util.find_spec("panns_inference") and not PANNS_LABELS.expanduser().is_file():
            raise InputError(
                f"{where}: needs {PANNS_LABELS}, which panns_inference would download; put AudioSet's table of classes "
                "there"
            )
        models = import_package("panns_inference.models", where, "pip install panns-inference")
        self._network = models.Cnn14(
            sample_rate=self.rate_hz,
            window_size=1024,
            hop_size=320,
            mel_bins=64,
            fmin=50,
            fmax=14_000,
            classes_num=527,
        )
        load_state(self._network, settings.weights, where, "CNN14's checkpoint", "model")
        self._network.eval()

    def answer(self, clips: NDArray[np.float32]) -> Answer:
        """Return the scores of AudioSet's classes and the embeddings."""
        import torch

        outputs = self._network(torch.from_numpy(clips), None)
        return Answer(outputs["embedding"].numpy(), outputs["clipwise_output"].numpy())


class ClapSettings(JudgeSettings):
    """The settings of `clap`."""

    prompt: str | None = Field(
        None,
        description="a sentence with {} for the class, such as `the sound of {}`: classes are recognized by their "
        "names, and nothing is fitted",
    )


@JUDGES.register("clap")
class Clap(AddedJudge):
    """CLAP (Wu et al., 2023) by transformers; `weights` is a folder that its `save_pretrained` wrote."""

    Settings = ClapSettings
    rate_hz = 48_000
    needs_weights = True

    def __init__(self, settings: ClapSettings, classes: Sequence[str]) -> None:
        """Load the model and its processor; see `AddedJudge`."""
        super().__init__(settings, classes)
        where = _describe(settings)
        transformers = import_package("transformers", where, "pip install transformers")
        folder = str(settings.weights)
        try:
            kind = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).model_type
            if kind != "clap":
                raise InputError(f"{where}: is another network ({kind}), not clap; give a folder of a CLAP model")
            self._model = transformers.ClapModel.from_pretrained(folder, local_files_only=True).eval()
            self._processor = transformers.ClapProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{where}: can't be loaded ({reason}); give a folder of a CLAP model") from error
        self.knows_classes = settings.prompt is not None

    def answer(self, clips: NDArray[np.float32]) -> Answer:
        """Return embeddings; with a prompt also the probability of each class.

        Of a clip longer than 10 s, of which CLAP would hear a random part, they are averaged over windows of 10 s.
        """
        # A window at a time, of all clips.
        answers = [self._listen(window) for window in cut_windows(clips, CLAP_SAMPLES)]
        scores = [answer.scores for answer in answers if answer.scores is not None]
        return Answer(_average([answer.embeddings for answer in answers]), _average(scores) if scores else None)

    def _listen(self, clips: NDArray[np.float32]) -> Answer:
        prompt = self.settings.prompt
        texts = [prompt.replace("{}", name) for name in self.classes] if prompt else ["a sound"]
        inputs = self._processor(
            text=texts, audio=list(clips), sampling_rate=self.rate_hz, return_tensors="pt", padding=True
        )
        outputs = self._model(**inputs)
        scores = outputs.logits_per_audio.softmax(dim=1).numpy() if prompt else None
        return Answer(outputs.audio_embeds.numpy(), scores)


class ImagenetSettings(JudgeSettings):
    """The settings of `imagenet`."""

    network: Literal["resnet18", "resnet50"] = Field(
        "resnet18", description="the torchvision network that the weights are of"
    )


@JUDGES.register("imagenet")
class Imagenet(AddedJudge):
    """A ResNet of torchvision with ImageNet's weights: embeddings of the pictures; weights as .pth."""

    Settings = ImagenetSettings
    modality = "picture"
    size_px = 224
    needs_weights = True

    def __init__(self, settings: ImagenetSettings, classes: Sequence[str]) -> None:
        """Load the network; see `AddedJudge`."""
        super().__init__(settings, classes)
        from trainables.components.networks.backbones import Backbone

        try:
            self._network = Backbone(settings.network, str(settings.weights), frozen=True).eval()
        except InputError as error:
            raise InputError(f"judge {settings.name}: {error}") from error

    def answer(self, clips: NDArray[np.float32]) -> Answer:
        """Return the embeddings below the network's last layer."""
        import torch

        embeddings: NDArray[np.float32] = self._network(2 * torch.from_numpy(clips) - 1).numpy()
        return Answer(embeddings)


def cut_windows(clips: NDArray[np.float32], samples: int) -> list[NDArray[np.float32]]:
    """Return windows of so many samples, at equal distances, which cover clips of any length but for `UNHEARD` of one.

    Args:
        clips: of shape (samples,) or (clips, samples); shorter ones are returned as they are.
        samples: the length of a window.
    """
    length = clips.shape[-1]
    starts = np.linspace(0, max(0, length - samples), max(1, math.ceil(length / samples - UNHEARD))).astype(int)
    return [clips[..., start : start + samples] for start in starts]


def _average(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.mean(parts, axis=0, dtype=np.float32)
    return mean


def import_package(module: str, where: str, install: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its dotted name.
        where: the beginning of the message.
        install: the command that installs it.

    Raises:
        InputError: it is not installed, or can't be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(f"{where}: the package {package} can't be imported ({error}); {install}") from error


def load_state(network: Any, path: Path | None, where: str, wanted: str, key: str) -> None:
    """Load all weights of a torch network from a file.

    Raises:
        InputError: the file can't be read, or its tensors are of another network.
    """
    # Imported here, as torch elsewhere: settings are checked without it.
    from trainables.support.state_files import read_tensors

    content = read_tensors(Path(str(path)), where, "a state dict of tensors", wanted)
    state = content.get(key, content) if isinstance(content, dict) else {}
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: is of another network ({reason}); give {wanted}") from error


def _describe(settings: JudgeSettings) -> str:
    return f"judge {settings.name}: weights: {settings.weights}"
