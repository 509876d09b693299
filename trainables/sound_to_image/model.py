"""The model of sound_to_image: a network that hears, and a generator that is told of it and makes pictures.

It needs no corpus, so that it can be taken elsewhere with its weights alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.judges.networks import Mel, log_mel
from trainables.components.pictures.augmentation import Pictures
from trainables.sound_to_image.condition import NUM_FEATURES, Condition
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.networks import Generator, Told, follow

BATCH_CLIPS = 64
WARM_UP_STEPS = 10
"""At first the average of weights forgets faster: an untrained generator is worth nothing."""

Full = Float[Tensor, "clips 192 512"]
Features = Float[Tensor, "clips features"]
Logits = Float[Tensor, "clips classes"]


class PictureFromSound(nn.Module):
    """Hears sounds, and makes pictures of what it heard and of noise.

    Attributes:
        generator: as it is trained.
        averaged: the same with weights averaged over steps; it makes what is looked at (Yazıcı et al., 2019).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: SoundToImageConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.told_dim = NUM_FEATURES if config.condition == "features" else num_classes
        self.condition = Condition(num_classes)
        self.condition.requires_grad_(config.classifier_lr_share > 0)
        self.generator, self.averaged = (
            Generator(self.told_dim, noise_dim=config.noise_dim, width=config.width, image_size=config.image_size).to(
                memory_format=torch.channels_last
            )
            for _ in range(2)
        )
        self.averaged.load_state_dict(self.generator.state_dict())
        self.averaged.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("std", torch.ones(NUM_FEATURES))
        self.train()

    def train(self, mode: bool = True) -> PictureFromSound:
        """The generator alone: what hears keeps the statistics it has learnt with, and the average only follows."""
        super().train(mode)
        self.condition.eval()
        self.averaged.eval()
        return self

    def listened(self, mel: Mel) -> tuple[Features, Logits]:
        """What the condition network makes of log-mels (`judges.networks.log_mel`)."""
        network = self.condition.network
        features = network.embed(network.standardize(mel))
        return features, network.classify(features)

    def measure(self, features: Features) -> None:
        """Take the mean and the spread of the features of training sounds as what they are compared with."""
        self.mean.copy_(features.mean(dim=0))
        self.std.copy_(features.std(dim=0, correction=0).clamp(min=1e-3))

    def told(self, mel: Mel) -> Told:
        """What the generator is told of sounds: their features at the same length, or the class that is heard."""
        features, logits = self.listened(mel)
        if self.config.condition == "class":
            return F.one_hot(logits.argmax(dim=1), self.num_classes).float()
        return F.layer_norm((features - self.mean) / self.std, (NUM_FEATURES,))

    def average(self, num_steps: int) -> None:
        """Let the averaged weights follow after so many steps of the generator."""
        follow(self.averaged, self.generator, min(self.config.ema, num_steps / (num_steps + WARM_UP_STEPS)))

    def made(self, condition: Told, noise: torch.Generator, truncation: float = 1.0) -> Pictures:
        """Pictures of what the generator is told.

        Args:
            noise: a generator on the processor; where it stands decides which pictures.
            truncation: standard deviation of the noise; at 0 a sound has one picture.
        """
        drawn = truncation * torch.randn(len(condition), self.config.noise_dim, generator=noise)
        parts = zip(drawn.to(condition.device).split(BATCH_CLIPS), condition.split(BATCH_CLIPS), strict=True)
        return torch.cat([self.averaged(*part) for part in parts])

    @torch.no_grad()
    def generate(self, log_power: Full, noise: torch.Generator, truncation: float = 1.0) -> Pictures:
        """Pictures within −1..1 of sounds, given as magnitudes on the full grid (log-power in nats)."""
        condition = torch.cat([self.told(log_mel(part)) for part in log_power.split(BATCH_CLIPS)])
        return self.made(condition, noise, truncation)
