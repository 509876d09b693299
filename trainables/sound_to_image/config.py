"""The settings of sound_to_image, the check of their combination, and its metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from trainables.components.assessment.ranks import RANKS
from trainables.trainable import Metric, TrainedModel, TrialConfig

RETRIEVAL_PREFIX = "generated_to_image"
"""Prefix of the metrics of retrieval of real pictures by the picture generated for a recording's first clip."""

GAN_METRICS = {
    "train/loss": Metric("min", "same_loss", "the discriminator's hinge loss: 2 at chance, 0 if it is always right"),
    "train/generator_loss": Metric("min", "same_loss", "the generator's loss: minus the mean score of its images"),
    "train/sameness": Metric(
        "min", "same_loss", "mode-seeking loss: distance of two noise vectors, divided by that of their images"
    ),
}
FLOW_METRICS = {
    "val/flow_loss": Metric(
        "min", "same_loss", "squared error of the flow's velocity on the validation split; 2 for a velocity of 0"
    ),
    "train/flow_loss": Metric("min", "same_loss", "squared error of the flow's velocity, mean over the epoch"),
}
METRICS = {
    "val/judge_probability": Metric("max", "all", "probability that the judge of images gives to the sound's class"),
    "val/judge_accuracy": Metric("max", "all", "fraction of recordings where that judge recognizes the sound's class"),
    "val/fid": Metric("min", "all", "Fréchet distance to the training images, in the judge's embeddings"),
    "val/kid": Metric("min", "all", "kernel distance in the same embeddings, unbiased for any number of clips"),
    "val/different_bins": Metric("min", "all", "fraction of bins filled unlike those of the training images (NDB/K)"),
    "val/diversity": Metric("max", "all", "distance between images of a class, relative to that of training images"),
    "val/inception_score": Metric("max", "all", "inception score by the judge, from 1 to the number of classes"),
    **{
        f"val/{RETRIEVAL_PREFIX}_r_at_{at}": Metric(
            "max", "all", f"R@{at}: fraction of generated images whose true image ranks among the first {at}"
        )
        for at in RANKS
    },
    f"val/{RETRIEVAL_PREFIX}_median_rank": Metric("min", "all", "median rank of the true image; 1 is the first"),
    f"val/{RETRIEVAL_PREFIX}_class_map": Metric("max", "all", "mean average precision of images of the sound's class"),
    "val/loss": Metric("min", "same_loss", "mean squared distance to the true image, whose values are within ±1"),
    **GAN_METRICS,
    **FLOW_METRICS,
    "train/grad_norm": Metric("min", "same_loss", "norm of the generator's gradient, mean over the epoch"),
    "train/nonfinite_steps": Metric("min", "all", "steps of the epoch skipped because of a non-finite gradient"),
    "optim/lr": Metric("min", "all", "learning rate of the generator in the last step"),
}


class SoundToImageConfig(TrialConfig):
    """The settings of one generator of pictures: its condition, its networks, and its training."""

    generator: Literal["gan", "flow"] = Field(
        "gan", description="what generates images: a GAN, or a flow of the latents of an image autoencoder"
    )
    condition: Literal["features", "class"] = Field(
        "features",
        description="what the generator is conditioned on: features of the condition network, or the class it predicts",
    )
    classifier: TrainedModel = Field(
        "own",
        description="the condition network: the corpus's own, a trial of classifier such as classifier/7, or a file",
    )
    classifier_lr_share: float = Field(
        0.0, ge=0, le=1, description="the condition network's learning rate relative to lr; 0 freezes it"
    )
    truncation: float = Field(
        1.0,
        ge=0,
        le=1,
        description="standard deviation of the noise, except in training; a smaller one gives less diverse images",
    )
    flow_width: int = Field(64, ge=8, multiple_of=8, description="channels of the flow")
    flow_blocks: int = Field(1, ge=1, description="residual blocks of the flow at each of its three stages")
    flow_batches: int = Field(200, ge=1, description="batches that the flow is trained on in an epoch")
    flow_noise: float = Field(
        0.2, ge=0, description="noise on the flow's conditions in training, relative to their standard deviation"
    )
    flow_steps: int = Field(16, description="steps from noise to a latent in which the flow generates; 1 or more")
    guidance: float = Field(
        1.0, ge=0, description="how much the sound counts for the flow: 0 not at all, above 1 more than in training"
    )
    image_size: Literal[32, 64] = Field(64, description="pixels of an image's side")
    noise_dim: int = Field(64, ge=1, description="size of the GAN's noise")
    width: int = Field(24, ge=8, description="channels of both networks of the GAN where maps are 32 pixels wide")
    batch_size: int = Field(16, ge=2, description="pairs of a training step of the GAN")
    lr: float = Field(8e-4, gt=0, description="learning rate of the GAN's generator")
    discriminator_lr: float = Field(8e-4, gt=0, description="learning rate of the GAN's discriminator")
    discriminator_steps: int = Field(1, ge=1, description="steps of the discriminator for each of the generator")
    r1_weight: float = Field(0.1, ge=0, description="weight of the gradient penalty at real images (R1); 0 for none")
    r1_every: int = Field(16, ge=1, description="steps of the discriminator from one gradient penalty to the next")
    ema: float = Field(0.995, ge=0, lt=1, description="decay of the averaged weights of the GAN's generator in a step")
    diff_augment: bool = Field(
        True, description="whether all images are recoloured, moved and cut out in part for the discriminator"
    )
    mismatch_weight: float = Field(
        0.5, ge=0, description="weight of real images with another recording's condition, which count as generated"
    )
    sameness_weight: float = Field(
        0.05, ge=0, description="weight of the loss train/sameness, against images of a sound that ignore the noise"
    )

    @model_validator(mode="after")
    def _check(self) -> SoundToImageConfig:
        for reason in filter(None, (self._tuning_conflict(), self._flow_conflict())):
            raise ValueError(reason)
        return self

    def _tuning_conflict(self) -> str | None:
        if self.classifier_lr_share == 0:
            return None
        if self.condition == "class":
            return (
                "classifier_lr_share: above 0 with condition: class would train nothing: a predicted class has no"
                " gradient; use 0, or condition: features"
            )
        if self.generator == "flow":
            return (
                "classifier_lr_share: above 0 with generator: flow would train nothing: a flow learns from conditions"
                " that are computed once; use 0, or generator: gan"
            )
        return None

    def _flow_conflict(self) -> str | None:
        if self.flow_steps < 1:
            return f"flow_steps: {self.flow_steps} steps would leave the noise as it is; use 1 or more, such as 16"
        if self.generator == "gan" and self.guidance != 1:
            return (
                f"guidance: {self.guidance:g} with generator: gan would change nothing: a GAN has no guidance; use"
                " generator: flow, or guidance: 1"
            )
        return None
