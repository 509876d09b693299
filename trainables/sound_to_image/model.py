"""The model of sound_to_image: a condition network, and a generator of pictures that is conditioned on its output.

It needs no corpus, so that an exported model is these weights and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.judges.networks import Mel, log_mel
from trainables.components.pictures.augmentation import Pictures
from trainables.components.shapes import FullSpectrograms
from trainables.sound_to_image.condition import Condition
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.weights import NUM_FEATURES, count_condition

BATCH_CLIPS = 64

Features = Float[Tensor, "clips features"]
Logits = Float[Tensor, "clips classes"]
Conditions = Float[Tensor, "clips condition"]


class PictureFromSound(nn.Module, ABC):
    """Generates pictures for sounds; subclasses have the generator.

    Attributes:
        condition: the condition network.
        condition_dim: size of the condition.
        mean, std: of the features of training sounds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: SoundToImageConfig, num_classes: int) -> None:
        """Build the condition network with random weights; trained ones are loaded later.

        Args:
            config: the settings of the trial.
            num_classes: the number of classes that the condition network tells apart.
        """
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.condition_dim = count_condition(config, num_classes)
        self.condition = Condition(num_classes)
        self.condition.requires_grad_(config.classifier_lr_share > 0)
        self.register_buffer("mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("std", torch.ones(NUM_FEATURES))

    def train(self, mode: bool = True) -> PictureFromSound:
        """Set the mode of the generator; the condition network stays in evaluation mode."""
        super().train(mode)
        self.condition.eval()
        return self

    def encode_sounds(self, mel: Mel) -> tuple[Features, Logits]:
        """Return the condition network's features and logits for log-mels (`judges.networks.log_mel`)."""
        network = self.condition.network
        features = network.embed(network.standardize(mel))
        return features, network.classify(features)

    def set_feature_statistics(self, features: Features) -> None:
        """Set `mean` and `std` to those of the features of training sounds."""
        self.mean.copy_(features.mean(dim=0))
        self.std.copy_(features.std(dim=0, correction=0).clamp(min=1e-3))

    def make_conditions(self, mel: Mel) -> Conditions:
        """Return the conditions of sounds, given as log-mels.

        They are features, standardized and then scaled to the same norm, or the predicted class as a one-hot vector.
        """
        features, logits = self.encode_sounds(mel)
        if self.config.condition == "class":
            return F.one_hot(logits.argmax(dim=1), self.num_classes).float()
        return F.layer_norm((features - self.mean) / self.std, (NUM_FEATURES,))

    @abstractmethod
    def generate_from(self, condition: Conditions, noise: torch.Generator, how: SoundToImageConfig) -> Pictures:
        """Generate a picture within −1..1 for each condition.

        Args:
            condition: of each sound.
            noise: a generator on the CPU; its state decides which pictures are generated.
            how: has the settings of generating, which `evaluate:` may change.
        """

    @torch.no_grad()
    def generate(
        self, log_power: FullSpectrograms, noise: torch.Generator, how: SoundToImageConfig | None = None
    ) -> Pictures:
        """Generate a picture within −1..1 for each sound.

        Args:
            log_power: magnitudes at full resolution, log-power in nats.
            noise: a generator on the CPU; its state decides which pictures are generated.
            how: has the settings of generating; the config of the trial if it is None.
        """
        condition = torch.cat([self.make_conditions(log_mel(part)) for part in log_power.split(BATCH_CLIPS)])
        return self.generate_from(condition, noise, how or self.config)
