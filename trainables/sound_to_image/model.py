"""The model of sound_to_image: the condition network, and a generator of pictures that is conditioned on its output.

It needs no corpus, so that an exported model is these weights and nothing else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.judges.networks import Mel, log_mel
from trainables.components.pictures.augmentation import Pictures
from trainables.components.shapes import FullSpectrograms
from trainables.components.training.averaging import update_average
from trainables.sound_to_image.condition import Condition
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.networks import Conditions, Generator
from trainables.sound_to_image.weights import NUM_FEATURES

BATCH_CLIPS = 64
WARM_UP_STEPS = 10
"""In about so many first steps the average decays faster, so that the untrained weights are soon forgotten."""

Features = Float[Tensor, "clips features"]
Logits = Float[Tensor, "clips classes"]


class PictureFromSound(nn.Module):
    """Generates pictures for sounds.

    Attributes:
        condition: the condition network.
        condition_dim: size of the condition.
        generator: the generator with its current weights, for training.
        averaged: the generator with weights averaged over steps (Yazıcı et al., 2019), for everything else.
        mean, std: of the features of training sounds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: SoundToImageConfig, num_classes: int) -> None:
        """Build the networks with random weights; those of the condition network are loaded later."""
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.condition_dim = NUM_FEATURES if config.condition == "features" else num_classes
        self.condition = Condition(num_classes)
        self.condition.requires_grad_(config.classifier_lr_share > 0)
        self.generator, self.averaged = (
            Generator(
                self.condition_dim, noise_dim=config.noise_dim, width=config.width, image_size=config.image_size
            ).to(memory_format=torch.channels_last)
            for _ in range(2)
        )
        self.averaged.load_state_dict(self.generator.state_dict())
        self.averaged.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("std", torch.ones(NUM_FEATURES))
        self.train()

    def train(self, mode: bool = True) -> PictureFromSound:
        """Set the mode of the generator alone; the condition network and the average stay in evaluation mode."""
        super().train(mode)
        self.condition.eval()
        self.averaged.eval()
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

    def update_averaged(self, num_steps: int) -> None:
        """Update the averaged weights after the generator's step of this number, counted from 1."""
        decay = min(self.config.ema, num_steps / (num_steps + WARM_UP_STEPS))
        update_average(self.averaged, self.generator, decay)

    def generate_from(self, condition: Conditions, noise: torch.Generator, truncation: float = 1.0) -> Pictures:
        """Generate a picture within −1..1 for each condition, with the averaged weights.

        Args:
            condition: of each sound.
            noise: a generator on the CPU; its state decides which pictures are generated.
            truncation: standard deviation of the noise; at 0 all pictures of a sound are the same.
        """
        drawn = truncation * torch.randn(len(condition), self.config.noise_dim, generator=noise)
        parts = zip(drawn.to(condition.device).split(BATCH_CLIPS), condition.split(BATCH_CLIPS), strict=True)
        return torch.cat([self.averaged(*part) for part in parts])

    @torch.no_grad()
    def generate(self, log_power: FullSpectrograms, noise: torch.Generator, truncation: float = 1.0) -> Pictures:
        """Generate a picture within −1..1 for each sound.

        Args:
            log_power: magnitudes at full resolution, log-power in nats.
            noise: a generator on the CPU; its state decides which pictures are generated.
            truncation: standard deviation of the noise; at 0 all pictures of a sound are the same.
        """
        condition = torch.cat([self.make_conditions(log_mel(part)) for part in log_power.split(BATCH_CLIPS)])
        return self.generate_from(condition, noise, truncation)
