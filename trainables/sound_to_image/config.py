"""The settings of sound_to_image, which of them make no sense together, and what it reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from trainables.components.assessment.retrieval import RANKS
from trainables.trainable import Metric, TrainedModel, TrialConfig

FOUND = "generated_to_image"
"""What is made of a recording's first clip, and what it finds among the real pictures of all recordings."""

METRICS = {
    "val/judge_probability": Metric("max", "all", "probability that the judge of pictures gives to the sound's class"),
    "val/judge_accuracy": Metric("max", "all", "how often the judge of pictures sees the sound's class"),
    "val/fid": Metric("min", "all", "Fréchet distance to the training pictures, in the judge's embeddings"),
    "val/kid": Metric("min", "all", "the kernel distance of the same, unbiased however few the clips"),
    "val/different_bins": Metric("min", "all", "part of the training pictures' bins that are filled otherwise (NDB/K)"),
    "val/diversity": Metric("max", "all", "how diverse the pictures of a class are, as a part of the training ones"),
    "val/inception_score": Metric("max", "all", "how many classes the judge sees, and how surely"),
    **{
        f"val/{FOUND}_r_at_{at}": Metric(
            "max", "all", f"how often what is made finds its sound's own picture among the first {at}"
        )
        for at in RANKS
    },
    f"val/{FOUND}_median_rank": Metric("min", "all", "the median place of the own picture; 1 is the first"),
    f"val/{FOUND}_class_map": Metric("max", "all", "mean average precision of pictures of the sound's class"),
    "val/loss": Metric("min", "same_loss", "squared distance to the own picture, whose values are within ±1"),
    "train/loss": Metric("min", "same_loss", "the discriminator's hinge loss: 2 if nothing is told, 0 if all is"),
    "train/generator_loss": Metric("min", "same_loss", "the generator's part: less the scores of what it makes"),
    "train/sameness": Metric("min", "same_loss", "how much further apart the noise is than what is made of it"),
    "train/grad_norm": Metric("min", "same_loss", "norm of the generator's gradient, mean over the epoch"),
    "train/nonfinite_steps": Metric("min", "all", "steps of the epoch left out because of a non-finite gradient"),
    "optim/lr": Metric("min", "all", "learning rate of the generator in the last step"),
}


class SoundToImageConfig(TrialConfig):
    """What the generator is told of a sound, how large both networks are, and by which rules they play."""

    condition: Literal["features", "class"] = Field(
        "features",
        description="what the generator is told: the features of the network that hears, or the class that it hears",
    )
    classifier: TrainedModel = Field(
        "own",
        description="the network that hears: the corpus's own, a trial of classifier such as classifier/7, or a file",
    )
    classifier_lr_share: float = Field(
        0.0, ge=0, le=1, description="of the learning rate, for the network that hears; 0 freezes it"
    )
    truncation: float = Field(
        1.0, ge=0, le=1, description="standard deviation of the noise of what is looked at; less is more alike"
    )
    image_size: Literal[32, 64] = Field(64, description="pixels of a picture's side")
    noise_dim: int = Field(64, ge=1, description="numbers of the noise")
    width: int = Field(24, ge=8, description="channels of both networks where maps are 32 pixels wide")
    batch_size: int = Field(16, ge=2, description="pairs of a training step")
    lr: float = Field(8e-4, gt=0, description="learning rate of the generator's Adam")
    discriminator_lr: float = Field(8e-4, gt=0, description="learning rate of the discriminator's Adam")
    discriminator_steps: int = Field(1, ge=1, description="steps of the discriminator for each of the generator")
    r1_weight: float = Field(0.1, ge=0, description="weight of the gradient penalty at real pictures (R1); 0 for none")
    r1_every: int = Field(16, ge=1, description="steps of the discriminator from one gradient penalty to the next")
    ema: float = Field(0.995, ge=0, lt=1, description="what of the averaged weights is left after a step")
    diff_augment: bool = Field(
        True, description="whether the discriminator sees all pictures recoloured, moved and with a part missing"
    )
    mismatch_weight: float = Field(
        0.5, ge=0, description="weight of real pictures beside another clip's condition, among what is not real"
    )
    sameness_weight: float = Field(
        0.05, ge=0, description="weight of how much further apart the noise is than the pictures of a sound made of it"
    )

    @model_validator(mode="after")
    def _check(self) -> SoundToImageConfig:
        if self.condition == "class" and self.classifier_lr_share > 0:
            raise ValueError(
                "classifier_lr_share: above 0 with condition: class would train nothing: a class that was heard has no"
                " gradient; use 0, or condition: features"
            )
        return self
