"""Shapes of tensors that several modules share, as annotations that tests check (jaxtyping)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Scalar = Float[Tensor, ""]
PerClip = Float[Tensor, " clips"]
Waveforms = Float[Tensor, "clips samples"]
Spectrograms = Float[Tensor, "clips frames bins"]
"""One channel on some grid, such as log-power in nats."""
FullSpectrograms = Float[Tensor, "clips full 512"]
"""The same at full resolution."""
Clips = Float[Tensor, "clips channels frames bins"]
"""What a network encodes: magnitude, phase, or both."""
Latents = Float[Tensor, "clips latents"]
Embeddings = Float[Tensor, "clips features"]
