"""What search spaces need to know of the autoencoder; apart from `trainable`, which imports torch."""

from __future__ import annotations

from collections.abc import Collection

from trainables.autoencoder.config import AutoencoderConfig
from trainables.autoencoder.metrics import MAGNITUDE_METRICS, METRICS
from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.components.audio.sizes import scale_size
from trainables.components.losses.registries import LOSSES, SIGMAS
from trainables.components.networks import weights
from trainables.components.representation.channels import num_channels
from trainables.trainable import Declaration


class AutoencoderDeclaration(Declaration):
    """The settings and the metrics of `Autoencoder`."""

    Config = AutoencoderConfig
    GENERATES = ("sound", "sound")
    RENDERING = frozenset({"phase", "magnitude", "clip_statistics"})
    METRICS = METRICS
    DEBUG = {"spectrogram": "24x64", "latent_dim": 8, "width": 8, "batch_size": 4, "sound_clips": 1}

    @classmethod
    def reported(cls, config: AutoencoderConfig) -> Collection[str]:
        """Return the metrics of `step` that exist for these channels and this loss."""
        loss = LOSSES.traits(config.loss)
        missing: set[str] = set()
        if config.channels == "phase":
            missing |= MAGNITUDE_METRICS
        if not loss.is_variational:
            missing |= {"train/kl", "val/active_units"}
        if not loss.has_sigma:
            missing |= {"train/min_sigma"}
        if not has_bound(config):
            missing |= {"val/bits_per_dim"}
        if not loss.is_quantized:
            missing |= {"val/codebook_perplexity", "val/codes_used", "val/latent_bits", "val/active_vectors"}
        if config.adversarial_weight == 0:
            missing |= {"train/discriminator_loss"}
        return [name for name in METRICS if name not in missing]

    @classmethod
    def checkpoint_bytes(cls, config: AutoencoderConfig, clip: ClipFormat = USUAL_CLIP) -> int:
        """Estimate the size of a checkpoint: of its networks and their optimizers."""
        loss = LOSSES.traits(config.loss)
        networks = weights.bottleneck(
            (num_channels(config.channels, config.phase_representation), *scale_size(config.spectrogram, clip.frames)),
            config.latent_dim,
            width=config.width,
            norm=config.norm,
            is_variational=loss.is_variational,
            has_linear_path=config.linear_path == "pca",
            num_sigma_maps=SIGMAS.traits(config.sigma).num_maps if loss.has_sigma else 0,
            bottleneck=config.bottleneck,
            architecture=config.architecture,
        )
        if loss.is_quantized:
            networks += weights.quantizer(config.vector_size, config.codebooks, config.codebook_size)
        if config.ema > 0:
            networks += networks.freeze()
        if config.adversarial_weight > 0:
            networks += weights.discriminators()
        return networks.checkpoint_bytes


def has_bound(config: AutoencoderConfig) -> bool:
    """Whether an evidence lower bound exists: the loss is variational, and a likelihood of all encoded channels."""
    loss = LOSSES.traits(config.loss)
    return loss.is_variational and loss.has_sigma and config.channels == "magnitude"
