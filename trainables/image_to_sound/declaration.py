"""What search spaces need to know of image_to_sound; apart from `trainable`, which imports torch."""

from __future__ import annotations

from collections.abc import Collection

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.components.audio.sizes import scale_size
from trainables.components.flow.weights import latent_flow, velocity_network
from trainables.components.networks import weights
from trainables.image_to_sound.config import METRICS, ImageToSoundConfig
from trainables.trainable import Declaration

HIDDEN = 256
"""Hidden units between the backbone's features and the latent."""


class ImageToSoundDeclaration(Declaration):
    """The settings and the metrics of `ImageToSound`."""

    Config = ImageToSoundConfig
    RENDERING = frozenset({"route", "phase", "flow_steps", "guidance"})
    METRICS = METRICS
    GENERATES = ("image", "sound")
    DEBUG = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "batch_size": 8, "image_size": 32}

    @classmethod
    def reported(cls, config: ImageToSoundConfig) -> Collection[str]:
        """Return the names of all metrics, but for those of a flow where none is trained."""
        return [name for name in METRICS if config.flow or not name.endswith("/flow_loss")]

    @classmethod
    def checkpoint_bytes(cls, config: ImageToSoundConfig, clip: ClipFormat = USUAL_CLIP) -> int:
        """Estimate the size of a checkpoint: of its networks and their optimizer."""
        is_distribution = config.prior == "conditional"
        backbone, num_features = weights.backbone(config.backbone)
        head = weights.linear(num_features, HIDDEN) + weights.norm(HIDDEN, "group")
        head += weights.linear(HIDDEN, config.latent_dim * (2 if is_distribution else 1))
        audio = weights.bottleneck(
            (1, *scale_size(config.spectrogram, clip.frames)),
            config.latent_dim,
            width=config.width,
            norm="group",
            is_variational=is_distribution,
            has_linear_path=config.linear_path == "pca",
        )
        # The temperature of the contrastive loss, and the unit of latents.
        rest = weights.Weights(1, 1, 1, 2 * config.latent_dim)
        backbone = backbone.freeze() if config.backbone_lr_share == 0 else backbone
        audio = audio.freeze() if config.audio_frozen else audio
        networks = backbone + head + audio + rest
        if config.flow:
            size = config.latent_dim
            networks += latent_flow(
                velocity_network(size, size, width=config.flow_width, num_blocks=config.flow_blocks)
            )
        return networks.checkpoint_bytes
