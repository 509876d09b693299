"""A flow that generates the latents of pictures, and the autoencoder that these latents are of."""

from __future__ import annotations

import torch

from trainables.components.flow.latent_flow import LatentFlow
from trainables.components.flow.map_velocity import MapVelocityNetwork
from trainables.components.pictures.augmentation import Pictures
from trainables.sound_to_image.config import SoundToImageConfig
from trainables.sound_to_image.model import BATCH_CLIPS, Conditions, PictureFromSound
from trainables.sound_to_image.picture_autoencoder import PictureAutoencoder
from trainables.sound_to_image.weights import LATENT_CHANNELS, LATENT_PX


class FlowModel(PictureFromSound):
    """Generates the latent of a picture from noise and a condition in `flow_steps` steps, and decodes it.

    Attributes:
        flow: generates latents.
        autoencoder: that of the corpus, whose weights are loaded later and never trained here.
    """

    def __init__(self, config: SoundToImageConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self.flow = LatentFlow(self._make_network).to(memory_format=torch.channels_last)
        self.autoencoder = PictureAutoencoder(config.image_size).to(memory_format=torch.channels_last)
        self.autoencoder.requires_grad_(False)
        self.train()

    def _make_network(self) -> MapVelocityNetwork:
        config = self.config
        return MapVelocityNetwork(
            LATENT_CHANNELS, LATENT_PX, self.condition_dim, width=config.flow_width, num_blocks=config.flow_blocks
        )

    def train(self, mode: bool = True) -> FlowModel:
        """Set the mode of the flow alone; the condition network and the autoencoder stay in evaluation mode."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def generate_from(self, condition: Conditions, noise: torch.Generator, how: SoundToImageConfig) -> Pictures:
        """Generate pictures with the averaged weights; at `truncation: 0` all pictures of a sound are the same."""
        latents = self.flow.sample(
            condition, noise, num_steps=how.flow_steps, guidance=how.guidance, truncation=how.truncation
        )
        return torch.cat([self.autoencoder.decode(part) for part in latents.split(BATCH_CLIPS)])
