"""The settings of image_to_sound, the checks of their combinations, and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from trainables.autoencoder.config import HalvedSize
from trainables.components.assessment.ranks import RANKS
from trainables.components.losses.registries import LOSSES
from trainables.components.networks.weights import BackboneName
from trainables.components.representation.registries import NORMALIZATIONS
from trainables.trainable import Metric, TrainedModel, TrialConfig

if TYPE_CHECKING:
    from trainables.components.representation.representation import Representation

FINE_TUNING_SHARE = 0.1
"""The learning rate of a pretrained backbone relative to the others, unless the settings have another."""
Route = Literal["decode", "sample", "retrieve", "flow"]


def _retrieval_metrics(query: str, target: str) -> dict[str, Metric]:
    """Return the metrics of cross-modal retrieval in one direction."""
    prefix = f"val/{query}_to_{target}"
    recalls = {
        f"{prefix}_r_at_{at}": Metric(
            "max", "all", f"R@{at}: fraction of {query}s whose own {target} ranks among the first {at}"
        )
        for at in RANKS
    }
    return {
        **recalls,
        f"{prefix}_median_rank": Metric("min", "all", f"median rank of each {query}'s own {target}; 1 is the first"),
        f"{prefix}_class_map": Metric("max", "all", f"mean average precision of {target}s of the {query}'s class"),
    }


METRICS = {
    "val/judge_probability": Metric("max", "all", "probability that the judge gives to the image's class"),
    "val/judge_accuracy": Metric("max", "all", "fraction of recordings where the judge recognizes the image's class"),
    "val/fad": Metric("min", "all", "Fréchet distance to the training clips, in the judge's embeddings"),
    "val/kid": Metric("min", "all", "kernel distance in the same embeddings, unbiased for any number of clips"),
    "val/different_bins": Metric("min", "all", "fraction of bins filled unlike those of the training clips (NDB/K)"),
    "val/diversity": Metric("max", "all", "distance between sounds of a class, relative to that of training clips"),
    "val/inception_score": Metric("max", "all", "inception score by the judge, from 1 to the number of classes"),
    "val/fvu": Metric("min", "all", "fraction of variance unexplained, to the image's own sound, 48x128"),
    "val/lsd_db": Metric("min", "all", "log-spectral distance in dB to the image's own sound, 48x128"),
    "val/reconstruction_fvu": Metric("min", "all", "fraction of variance unexplained, of reconstructed sounds"),
    "val/reconstruction_judge_accuracy": Metric("max", "all", "judge accuracy of reconstructed sounds"),
    **_retrieval_metrics("image", "sound"),
    **_retrieval_metrics("sound", "image"),
    "val/latent_mse": Metric(
        "min", "same_loss", "mean squared distance between a pair's latents, in the units of the loss"
    ),
    "val/modality_gap": Metric("min", "same_loss", "distance between the mean latents of images and of sounds"),
    "val/flow_loss": Metric(
        "min", "same_loss", "squared error of the flow's velocity on the validation split; 2 for a velocity of 0"
    ),
    "val/loss": Metric("min", "same_loss", "the loss on the validation split"),
    "train/loss": Metric("min", "same_loss", "the loss, mean over the epoch"),
    "train/flow_loss": Metric("min", "same_loss", "squared error of the flow's velocity, mean over the epoch"),
    "train/grad_norm": Metric("min", "same_loss", "norm of the gradient before clipping, mean over the epoch"),
    "train/nonfinite_steps": Metric("min", "all", "steps of the epoch skipped because of a non-finite gradient"),
    "optim/lr": Metric("min", "all", "learning rate of the last step"),
}


class ImageToSoundConfig(TrialConfig):
    """The settings of one image_to_sound model: its networks, its training, and how sounds are generated."""

    route: Route = Field(
        "decode",
        description="the latent that is decoded: the image's own, a sample around it, that of the nearest training"
        " sound, or one that the flow generates",
    )
    backbone: BackboneName = Field("small", description="the image network: a small one, or torchvision's ResNets")
    weights: str = Field("none", description="of the backbone: none, imagenet (torchvision's), or a file")
    backbone_lr_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="the backbone's learning rate relative to lr; 0 freezes it, 0.03 to 0.1 fine-tunes; unless it is"
        " set, it is 0.1 with pretrained weights",
    )
    image_size: Literal[32, 64, 128, 224] = Field(64, description="pixels of an image's side")
    augment: bool = Field(True, description="whether training images are moved and flipped")
    audio_init: TrainedModel = Field(
        "scratch",
        description="the sound network: scratch, or of a trial of autoencoder such as losses/7, or a file",
    )
    audio_frozen: bool = Field(False, description="whether the sound network is not trained")
    loss: Annotated[str, LOSSES] = Field("l2", description="loss of the reconstructions: l1 or l2")
    latent_weight: float = Field(1.0, ge=0, description="weight of the distance between a pair's latents")
    image_weight: float = Field(1.0, ge=0, description="weight of the reconstruction from the image")
    sound_weight: float = Field(1.0, ge=0, description="weight of the reconstruction from the sound")
    stop_gradient: bool = Field(True, description="whether the distance between latents trains images alone")
    standardize_latent: bool = Field(
        True,
        description="whether latents are compared in units of their deviation, so that shrinking gains nothing",
    )
    contrastive_weight: float = Field(0.0, ge=0, description="weight of the contrastive loss")
    class_share: float = Field(
        0.5, ge=0, le=1, description="share of the contrastive loss for pairs of a class; the rest is for the true pair"
    )
    prior: Literal["none", "conditional"] = Field(
        "none", description="conditional: latents are Gaussians, and an image's is the prior of its sound's"
    )
    kl_weight: float = Field(0.1, ge=0, description="weight of the KL divergence from that prior, in nats per pixel")
    flow: bool = Field(
        False, description="whether a flow that generates latents of sounds for images is trained; for route: flow"
    )
    flow_width: int = Field(256, ge=8, description="hidden units of the flow")
    flow_blocks: int = Field(3, ge=1, description="residual blocks of the flow")
    flow_batches: int = Field(200, ge=1, description="batches that the flow is trained on in an epoch")
    flow_noise: float = Field(
        0.5, ge=0, description="noise on the flow's conditions in training, relative to their standard deviation"
    )
    flow_steps: int = Field(16, description="steps from noise to a latent in which the flow generates; 1 or more")
    guidance: float = Field(
        1.0, ge=0, description="how much the image counts for the flow: 0 not at all, above 1 more than in training"
    )
    spectrogram: HalvedSize = Field(
        "48x128",
        description="frames x frequency bins of a clip of the usual 44,100 samples; clip_s changes the frames"
        " in proportion",
    )
    magnitude_normalization: Annotated[str, NORMALIZATIONS] = Field(
        "per_frequency",
        description="what is done to log-power before the network; not by clip",
    )
    latent_dim: int = Field(128, ge=1, description="size of the shared latent")
    linear_path: Literal["none", "pca"] = Field(
        "pca", description="a linear path beside the convolutions, which starts as principal components"
    )
    width: int = Field(32, ge=4, description="channels of the sound network at the lowest resolution")
    batch_size: int = Field(32, ge=2, description="pairs of a training step")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW after its warm-up")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises to lr")
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm; 0 clips none")
    phase: Literal["griffin_lim", "pghi", "pghi_griffin_lim", "zero"] = Field(
        "griffin_lim", description="which phase the sounds get"
    )

    @property
    def clip_representation(self) -> Representation:
        """The grid of the sound network's input: magnitudes of the setting's size."""
        # Imported here: they need torch, and settings are checked without it.
        from trainables.components.audio.grid import Grid
        from trainables.components.representation.representation import Representation

        return Representation(Grid(self.spectrogram))

    @model_validator(mode="before")
    @classmethod
    def _fine_tune(cls, settings: Any) -> Any:
        """Set the learning rate of a pretrained backbone, unless the settings do: lr itself would undo its weights."""
        if isinstance(settings, dict) and settings.get("weights", "none") != "none":
            return {"backbone_lr_share": FINE_TUNING_SHARE, **settings}
        return settings

    @model_validator(mode="after")
    def _check(self) -> ImageToSoundConfig:
        conflicts = self._loss_conflict(), self._normalization_conflict(), self._network_conflict()
        for reason in filter(None, (*conflicts, self._flow_conflict())):
            raise ValueError(reason)
        return self

    def _loss_conflict(self) -> str | None:
        loss = LOSSES.traits(self.loss)
        if loss.is_quantized:
            return f"loss: {self.loss} quantizes latents, which a picture can't be mapped to; use l1 or l2"
        if loss.in_nats:
            return f"loss: {self.loss} compares log-power in nats, and this compares normalized clips; use l1 or l2"
        if loss.is_variational or loss.has_sigma:
            return (
                f"loss: {self.loss} is a likelihood; use l1 or l2, and prior: conditional for latents that are sampled"
            )
        return None

    def _normalization_conflict(self) -> str | None:
        if NORMALIZATIONS.traits(self.magnitude_normalization).num_statistics:
            allowed = ", ".join(name for name in NORMALIZATIONS if not NORMALIZATIONS.traits(name).num_statistics)
            return (
                f"magnitude_normalization: {self.magnitude_normalization} is inverted with a clip's own statistics,"
                f" which a picture does not have; use one of {allowed}"
            )
        return None

    def _network_conflict(self) -> str | None:
        kl_weight = self.kl_weight if self.prior == "conditional" else 0
        if self.image_weight == self.latent_weight == self.contrastive_weight == kl_weight == 0:
            also = " (and kl_weight)" if self.prior == "conditional" else ""
            return (
                f"nothing would train the picture network: image_weight, latent_weight and contrastive_weight{also} are"
                " all 0; raise one"
            )
        if self.backbone == "small" and self.weights != "none":
            return f"weights: {self.weights}: backbone: small has none; use resnet18 or resnet50"
        if self.audio_frozen and self.audio_init == "scratch":
            return "audio_frozen: true with audio_init: scratch would keep an untrained network; name a trained one"
        return None

    def _flow_conflict(self) -> str | None:
        if self.flow_steps < 1:
            return (
                f"flow_steps: {self.flow_steps} steps would leave the noise as it is; use 1 or more, such as 16, or"
                " another route than flow"
            )
        if self.route == "flow" and not self.flow:
            return "route: flow needs a flow, which is trained with flow: true; set it, or use another route"
        return None
