"""The kinds of generators, by the setting `generator`: which model each has, and which game trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.sound_to_image.conditioned_pairs import ConditionedPairs
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.flow_game import FlowGame
from trainables.sound_to_image.flow_model import FlowModel
from trainables.sound_to_image.game import Game
from trainables.sound_to_image.gan_game import GanGame
from trainables.sound_to_image.gan_model import GanModel
from trainables.sound_to_image.model import PictureFromSound
from trainables.sound_to_image.picture_autoencoder import open_picture_autoencoder

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

MODELS: dict[str, type[PictureFromSound]] = {"gan": GanModel, "flow": FlowModel}


def make_model(config: SoundToImageConfig, num_classes: int) -> PictureFromSound:
    """Return an untrained model for the settings of a trial, with weights from torch's global generator."""
    return MODELS[config.generator](config, num_classes)


def make_game(model: PictureFromSound, corpus: Corpus, pairs: ConditionedPairs, seed: int) -> Game:
    """Return what trains a model.

    Args:
        model: from `make_model`.
        corpus: has the picture autoencoder of a flow.
        pairs: of the training split.
        seed: of all random numbers of the training, but for the initial weights.
    """
    match model:
        case GanModel():
            return GanGame(model, pairs, seed)
        case FlowModel():
            return FlowGame(model, open_picture_autoencoder(corpus, model.config.image_size), pairs, seed)
    raise TypeError(f"no game for {type(model).__name__}")
