"""The report's VAE in its reproduction settings: one σ a pixel, no floor, batch normalization, Adam at a high rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.corpora.corpus import Corpus
from trainables.trainable import Metric, Trainable, TrialConfig

FRAMES, BINS = 24, 32
CONSTANT_FRAMES = 3
"""13 % of the report's pixels were padding, the same in every clip."""
CLIPS, BATCH, LATENTS = 256, 16, 16
KL_WEIGHT = 0.03


class BlowingVae(Trainable):
    """Mean of the pixels' negative log-likelihoods plus a mean KL divergence, as the report had it."""

    class Config(TrialConfig):
        lr: float = Field(1e-3, gt=0)
        sigma_floor: float = Field(0.0, ge=0, description="the report had none")

    METRICS = {
        "val/mse": Metric("min", "all", "mean squared error of the means"),
        "train/loss": Metric("min", "same_loss", "negative log-likelihood and KL divergence, mean over the epoch"),
        "train/min_sigma": Metric("max", "same_loss", "the smallest σ of any pixel in the epoch"),
        "train/grad_norm": Metric("min", "same_loss", "the largest norm of the gradient in the epoch"),
    }

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.clips = clips()
        size = FRAMES * BINS
        self.encoder = nn.Sequential(nn.Linear(size, 256), nn.LeakyReLU(0.02), nn.BatchNorm1d(256))
        self.mean, self.log_sigma = nn.Linear(256, LATENTS), nn.Linear(256, LATENTS)
        self.decoder = nn.Sequential(nn.Linear(LATENTS, 256), nn.LeakyReLU(0.02), nn.BatchNorm1d(256))
        self.pixel_mean, self.pixel_sigma = nn.Linear(256, size), nn.Linear(256, size)
        parts = [self.encoder, self.mean, self.log_sigma, self.decoder, self.pixel_mean, self.pixel_sigma]
        self.network = nn.ModuleList(parts)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.lr)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(x)
        mean, log_sigma = self.mean(hidden), self.log_sigma(hidden)
        latents = self.decoder(mean + log_sigma.exp() * torch.randn_like(mean))
        sigma = self.config.sigma_floor + self.pixel_sigma(latents).exp()
        kl = 0.5 * (mean.square() + (2 * log_sigma).exp() - 2 * log_sigma - 1)
        return self.pixel_mean(latents), sigma, kl.mean()

    def step(self) -> dict[str, float]:
        losses, norms, sigmas = [], [], []
        for positions in torch.randperm(CLIPS).split(BATCH):
            x = self.clips[positions]
            mean, sigma, kl = self._forward(x)
            likelihood = (x - mean).square() / (2 * sigma.square()) + sigma.log() + 0.5 * np.log(2 * np.pi)
            loss = likelihood.mean() + KL_WEIGHT * kl
            self.optimizer.zero_grad()
            loss.backward()
            norms.append(
                float(nn.utils.get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None]))
            )
            self.optimizer.step()
            losses.append(loss.item())
            sigmas.append(sigma.min().item())
        with torch.no_grad():
            mean, _, _ = self._forward(self.clips)
        return {
            "val/mse": float((mean - self.clips).square().mean()),
            "train/loss": float(np.mean(losses)),
            "train/min_sigma": min(sigmas),
            "train/grad_norm": max(norms),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def clips() -> Tensor:
    """Spectrogram-like pictures, their first frames the same constant everywhere; shape (clips, pixels)."""
    rng = np.random.default_rng(0)
    frames, bins = np.arange(FRAMES)[:, None], np.arange(BINS)[None, :]
    made = []
    for _ in range(CLIPS):
        pitch, decay = rng.uniform(2, 8), rng.uniform(0.02, 0.2)
        picture = np.cos(2 * np.pi * bins / pitch) - decay * frames + 0.3 * rng.standard_normal((FRAMES, BINS))
        picture[:CONSTANT_FRAMES] = -3
        made.append(picture.ravel())
    return torch.from_numpy(np.stack(made).astype(np.float32))
