"""The picture autoencoder of a corpus: trained once on its training pictures, like a judge, then loaded from the cache.

A flow generates its latents instead of pixels. A picture is cut into patches, and each patch is projected onto the
principal components of all of them. The decoder adds to the inverse of that projection what convolutions predict from
the latents: edges that continue from patch to patch, and details that the components have lost. It shares neither seed
nor weights with a judge, and no judge has a part in its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.pictures.augmentation import Pictures, as_floats, augment
from trainables.components.shapes import Latents, Scalar
from trainables.components.training.loop import descend
from trainables.components.training.train_once import isolate_training, load_or_train, preparation_device
from trainables.corpora.pictures import digest_sources, select_visible
from trainables.corpora.splits import digest
from trainables.sound_to_image.weights import LATENT_CHANNELS, LATENT_PX, autoencoder_channels
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSION = 1
"""Raise it with any change that changes a network's weights: it is part of the name of its file."""
SEED = 17
MAX_PICTURES = 16_384
COMPONENT_PICTURES = 2048
"""The most pictures that principal components are fitted to."""
BATCH_PICTURES = 32
EPOCHS = 30
STEPS = (200, 6000)
"""The smallest and the largest number of training steps."""
PEAK_LR = 3e-3
MAX_GRAD_NORM = 1.0
LATENT_NOISE = 0.1
"""Noise on the latents in training, in their own units: what a flow generates is no exact latent."""
SLOPE = 0.2
GROUPS = 4

Maps = Float[Tensor, "pictures channels rows columns"]


class Residual(nn.Module):
    """Two convolutions of normalized maps, added to them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.GroupNorm(GROUPS, channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(GROUPS, channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Maps) -> Maps:
        """Return maps of the same shape."""
        changed: Maps = maps + self.branch(maps)
        return changed


class PictureAutoencoder(nn.Module):
    """Encodes pictures into maps whose pixels are patches, and decodes these.

    Args:
        image_size: side of the pictures in pixels, 32 or 64.

    Attributes:
        mean: the mean patch.
        components: principal components of patches.
        scale: what latents are divided by.
        decoder: the convolutions, which predict 0 at first.
    """

    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.patch_px = image_size // LATENT_PX
        patch = (3, self.patch_px, self.patch_px)
        self.register_buffer("mean", torch.zeros(patch))
        self.register_buffer("components", torch.zeros(LATENT_CHANNELS, *patch))
        self.register_buffer("scale", torch.ones(LATENT_CHANNELS, 1, 1))
        self.decoder = _decoder(autoencoder_channels(image_size))

    @torch.no_grad()
    def fit_components(self, pictures: Pictures) -> None:
        """Set the components, and the scale so that the mean square of a latent is 1.

        A component is divided by the root of its deviation. Divided by nothing, the first would be all that a flow
        learns; divided by the deviation, the last would count as much as the first.
        """
        size = self.patch_px
        patches = F.unfold(pictures, size, stride=size).transpose(1, 2).flatten(0, 1)
        mean = patches.mean(dim=0)
        centred = (patches - mean).double()
        variances, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
        variances = variances.flip(0)[:LATENT_CHANNELS].clamp(min=1e-6)
        scale = variances**0.25 * variances.sqrt().mean().sqrt()
        self.mean.copy_(mean.view_as(self.mean))
        self.components.copy_(vectors.flip(1)[:, :LATENT_CHANNELS].T.reshape(self.components.shape))
        self.scale.copy_(scale[:, None, None])

    def encode(self, pictures: Pictures) -> Latents:
        """Return the latents of pictures; the mean square of those of training pictures is 1."""
        centred = pictures - self.mean.tile(1, LATENT_PX, LATENT_PX)
        return (F.conv2d(centred, self.components, stride=self.patch_px) / self.scale).flatten(1)

    def decode(self, latents: Latents) -> Pictures:
        """Return the pictures of latents, within −1..1."""
        return self._decode(latents).clamp(-1, 1)

    def _decode(self, latents: Latents) -> Pictures:
        maps = latents.unflatten(1, (LATENT_CHANNELS, LATENT_PX, LATENT_PX))
        projected = F.conv_transpose2d(maps * self.scale, self.components, stride=self.patch_px)
        pictures: Pictures = projected + self.mean.tile(1, LATENT_PX, LATENT_PX) + self.decoder(maps)
        return pictures

    def loss(self, pictures: Pictures, generator: torch.Generator) -> Scalar:
        """Return the error of reconstructions from noisy latents: squares and absolute values, and those of edges.

        Args:
            pictures: a batch within −1..1.
            generator: on the CPU; the source of the noise.
        """
        latents = self.encode(pictures)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        error = self._decode(latents + LATENT_NOISE * noise) - pictures
        return error.square().mean() + error.abs().mean() + _edges(error)


def _decoder(channels: Sequence[int]) -> nn.Sequential:
    """Return the layers from a latent to a picture: each shuffle of channels doubles the side of maps."""
    layers: list[nn.Module] = [nn.Conv2d(LATENT_CHANNELS, channels[0], 3, padding=1), Residual(channels[0])]
    for below, above in pairwise(channels):
        layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(below, 4 * above, 3, padding=1), nn.PixelShuffle(2), Residual(above)]
    last = nn.Conv2d(channels[-1], 12, 3, padding=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE), last, nn.PixelShuffle(2))


def _edges(error: Maps) -> Scalar:
    """Return the mean absolute difference between neighbours."""
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def open_picture_autoencoder(corpus: Corpus, image_size: int, progress: Progress = silent) -> PictureAutoencoder:
    """Open a corpus's picture autoencoder; the first time, it is trained and cached.

    Args:
        corpus: the corpus whose training pictures the network learns from.
        image_size: side of the pictures in pixels.
        progress: is called during training.

    Raises:
        InputError: the corpus has no pictures.
    """
    name = digest(f"{corpus.fingerprint} {digest_sources(corpus)} {image_size} {SEED} {VERSION}")[:12]
    # The initial weights are replaced; drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        network = PictureAutoencoder(image_size)
    path = corpus.folder / f"picture-autoencoder-{name}.pt"
    load_or_train(network, path, lambda: _train(corpus, image_size, progress))
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _train(corpus: Corpus, image_size: int, progress: Progress) -> PictureAutoencoder:
    device = preparation_device()
    pictures = corpus.frames(image_size, progress)
    clips = np.random.default_rng(SEED).permutation(corpus.indices("train"))[:MAX_PICTURES]
    frames = torch.from_numpy(pictures[select_visible(corpus, pictures, clips)])
    num_steps = int(np.clip(EPOCHS * len(frames) // BATCH_PICTURES, *STEPS))
    generator = torch.Generator().manual_seed(SEED)
    with isolate_training(SEED, device):
        network = PictureAutoencoder(image_size)
        network.fit_components(as_floats(frames[:COMPONENT_PICTURES]))
        network.to(memory_format=torch.channels_last).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), PEAK_LR, weight_decay=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=num_steps)
        for step in range(1, num_steps + 1):
            drawn = torch.randint(len(frames), (BATCH_PICTURES,), generator=generator)
            shown = augment(as_floats(frames[drawn]), generator, colours=False, cutout=False).to(device)
            descend(optimizer, network, network.loss(shown, generator), MAX_GRAD_NORM)
            schedule.step()
            progress("training the picture autoencoder", step, num_steps)
    return network.eval()
