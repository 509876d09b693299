"""The contrastive loss between the latents of pictures and of sounds."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from trainables.components.shapes import Scalar

FIRST_TEMPERATURE = 0.07
MIN_TEMPERATURE = 0.01

Latents = Float[Tensor, "pairs latents"]


class Contrast(nn.Module):
    """α · class + (1 − α) · instance, of cosines divided by a learnt temperature; mean of both directions.

    The instance term is InfoNCE (van den Oord et al., 2018): the only positive is the other half of the pair. Other
    clips of its recording, which may look and sound the same, are no negatives. The class term is SupCon (Khosla et
    al., 2020) across modalities: −1/|P| Σ_p log softmax over the pairs p of the same class.

    Args:
        class_share: α, from 0 to 1.
    """

    def __init__(self, class_share: float) -> None:
        super().__init__()
        self.class_share = class_share
        self.log_temperature = nn.Parameter(torch.tensor(FIRST_TEMPERATURE).log())

    def forward(
        self,
        pictures: Latents,
        sounds: Latents,
        labels: Int64[Tensor, " pairs"],
        recordings: Int64[Tensor, " pairs"],
    ) -> Scalar:
        """Return the loss of a batch of pairs.

        Args:
            pictures: the latents of the pictures.
            sounds: the latents of their sounds.
            labels: the class of each pair.
            recordings: the number of each pair's recording.
        """
        # The parameter itself is clamped: through a clamped exponent it would get no gradient, and stay at the limit.
        with torch.no_grad():
            self.log_temperature.clamp_(min=math.log(MIN_TEMPERATURE))
        temperature = self.log_temperature.exp()
        logits = F.normalize(pictures, dim=1) @ F.normalize(sounds, dim=1).T / temperature
        of_class = (labels[:, None] == labels).to(logits.dtype)
        of_class = of_class / of_class.sum(dim=1, keepdim=True)
        own = torch.eye(len(labels), dtype=torch.bool, device=logits.device)
        is_left_out = (recordings[:, None] == recordings) & ~own
        loss = logits.new_zeros(())
        for scores in (logits, logits.T):
            of_classes = (of_class * scores.log_softmax(dim=1)).sum(dim=1)
            of_instances = scores.masked_fill(is_left_out, -torch.inf).log_softmax(dim=1).diagonal()
            loss = loss - (self.class_share * of_classes + (1 - self.class_share) * of_instances).mean() / 2
        return loss
