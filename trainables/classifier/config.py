"""The settings of the classifier, the check of their combination, and its metrics; without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from trainables.trainable import Metric, TrialConfig

Modality = Literal["sound", "image"]
NetworkName = Literal["plain", "residual", "resnet18", "resnet50"]

METRICS = {
    "val/probability": Metric("max", "all", "mean over recordings of the probability of the true class"),
    "val/accuracy": Metric("max", "all", "fraction of recordings whose most probable class is the true one"),
    "val/balanced_accuracy": Metric("max", "all", "val/accuracy within each class, mean over classes"),
    "val/loss": Metric("min", "same_loss", "cross-entropy in nats, without smoothing"),
    "train/loss": Metric("min", "same_loss", "the loss, mean over the epoch"),
    "train/grad_norm": Metric("min", "same_loss", "norm of the loss's gradient, mean over the epoch"),
    "train/nonfinite_steps": Metric("min", "all", "steps of the epoch skipped because of a non-finite gradient"),
    "optim/lr": Metric("min", "all", "learning rate of the last step"),
}


class ClassifierConfig(TrialConfig):
    """The settings of one classifier: its input, network and training."""

    modality: Modality = Field("sound", description="what is classified: the sound of a clip, or its image")
    network: NetworkName = Field(
        "plain", description="plain or residual, like the judges A and B; ResNets for images only"
    )
    weights: str = Field("none", description="of a ResNet: none, imagenet (torchvision's), or a file")
    image_size: Literal[32, 64, 128, 224] = Field(64, description="pixels of an image's side")
    spoil: bool = Field(
        False,
        description="augmentation by degradation: whether it is also trained on blurred, noisy and resized clips, as"
        " judges are",
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="part of the target probability that is spread over all classes"
    )
    mixup: float = Field(0.0, ge=0, description="α of mixup's Beta distribution; 0 mixes nothing")
    batch_size: int = Field(32, ge=2, description="clips of a training step")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW after its warm-up")
    weight_decay: float = Field(1e-2, ge=0, description="weight decay of AdamW")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises to lr")

    @model_validator(mode="after")
    def _check(self) -> ClassifierConfig:
        is_resnet = self.network.startswith("resnet")
        if self.modality == "sound" and is_resnet:
            raise ValueError(f"network: {self.network} sees images; for modality: sound use plain or residual")
        if self.weights != "none" and not is_resnet:
            raise ValueError(f"weights: {self.weights}: network: {self.network} has none; use resnet18 or resnet50")
        return self
