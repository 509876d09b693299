"""The settings of the autoencoder, and the checks of their combinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trainables.components.audio.registries import check_augmentations
from trainables.components.audio.sizes import BINS, FRAMES, SIZES, Reduction, RepresentationName, Size
from trainables.components.losses.registries import LOSSES, PHASE_LOSSES, SIGMAS
from trainables.components.networks.weights import BOTTOM, ArchitectureName, BottleneckName, NormName, count_slots
from trainables.components.representation.channels import ChannelsName, Part, PhaseName, channels_of_parts
from trainables.components.representation.registries import NORMALIZATIONS, PHASES
from trainables.trainable import TrialConfig

if TYPE_CHECKING:
    from trainables.components.representation.representation import Representation


def _check_size(size: Any) -> Any:
    if size not in SIZES:
        frames, bins = BOTTOM
        raise ValueError(
            f"must be one of {', '.join(SIZES)}, got {size!r}; the networks halve frames and bins, from at most "
            f"{FRAMES}x{BINS} down to {frames}x{bins}"
        )
    return size


HalvedSize = Annotated[Size, BeforeValidator(_check_size)]
"""A size that the encoder can halve down to `BOTTOM`."""


class AutoencoderConfig(TrialConfig):
    """The settings of one autoencoder: its input, latent, networks, training, and how its sounds are rendered."""

    loss: Annotated[str, LOSSES] = Field("l2", description="what training minimizes: a registered loss")
    spectrogram: HalvedSize = Field(
        "48x128",
        description="frames x frequency bins of a clip of the usual 44,100 samples; clip_s changes the frames"
        " in proportion",
    )
    representation: RepresentationName = Field(
        "linear",
        description="the frequency axis: linear; mel; or audiovision, the original report's mel bands, with a hop of"
        " 256 samples and zero padding at the start",
    )
    reduction: Reduction = Field(
        "pool", description="from full resolution to that size: mean power of blocks, or one value of each block"
    )
    channels: ChannelsName = Field("magnitude", description="what is encoded of a clip")
    phase_representation: PhaseName = Field(
        "instantaneous_frequency", description="how a phase is encoded, where channels has one"
    )
    magnitude_normalization: Annotated[str, NORMALIZATIONS] = Field(
        "per_frequency", description="what is done to log-power before the network"
    )
    phase_normalization: Annotated[str, NORMALIZATIONS] = Field("none", description="the same for the phase")
    output: Literal["linear", "tanh"] = Field("linear", description="what the decoder ends with")
    phase_loss: Annotated[str, PHASE_LOSSES] = Field("l2", description="the phase's part of what training minimizes")
    phase_weight: float = Field(1.0, gt=0, description="weight of that part, beside the magnitude's loss")
    latent_dim: int = Field(128, ge=1, description="size of the latent")
    linear_path: Literal["none", "pca"] = Field(
        "none", description="a linear path beside the convolutions, which starts as principal components"
    )
    augment: Annotated[str, AfterValidator(check_augmentations)] = Field(
        "none",
        description="what is done anew to the waveforms of training clips in every step: none, or gain, shift, mix,"
        " mask or your own, joined by +",
    )
    time_roll: bool = Field(False, description="whether training clips are rolled by a random time in every step")
    architecture: ArchitectureName = Field(
        "maps",
        description="maps: convolutions halve a map of the whole clip, as in the report; time_slots: 16 slots in time"
        " (8 at 24x64) share all weights and have equally many latents",
    )
    bottleneck: BottleneckName = Field(
        "plain",
        description="the layers next to the latent: plain convolutions, spectrally normalized ones, or with attention"
        " between the positions of the lowest map",
    )
    width: int = Field(
        32, ge=4, description="channels at the lowest resolution; the report had 256, as has time_slots in modern.yaml"
    )
    norm: NormName = Field("group", description="normalization inside the network; the report's was batch")
    leaky_slope: float = Field(0.2, ge=0, lt=1, description="slope of the leaky ReLU below zero")
    batch_size: int = Field(8, ge=1, description="clips of a training step")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW after its warm-up")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="AdamW's decay rate of squared gradients")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises to lr")
    lr_decay_steps: int = Field(
        0,
        ge=0,
        description="steps after which the learning rate has fallen to half, to a third after twice as many; 0: never",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the networks' averaged weights in a step, which everything but training uses; 0 for none",
    )
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="of convolutions; auto: bfloat16 on a graphics card, float32 on processors, of which only some are"
        " faster with bfloat16 (lscpu says avx512_bf16 or amx_bf16); float32 is without TF32",
    )
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm; 0 clips none")
    kl_weight: float = Field(1.0, ge=0, description="weight of the KL divergence; 1 is the evidence lower bound")
    kl_warmup_steps: int = Field(100, ge=0, description="steps over which the weight rises to kl_weight")
    free_bits: float = Field(
        0.0, ge=0, description="nats of KL divergence that each latent has for free; train/kl is the whole divergence"
    )
    sigma: Annotated[str, SIGMAS] = Field(
        "optimal",
        description="standard deviation of the loss vae's likelihood; optimal: the root mean squared error of a batch"
        " plus sigma_floor, in validation that of recent training batches",
    )
    sigma_floor: float = Field(
        0.05,
        ge=0,
        description="what optimal, learned and per_pixel add to sigma as its lower bound, in units of normalized data",
    )
    vector_size: int = Field(
        4, ge=1, description="numbers of a latent that share a code, for the loss rvq; latent_dim is a multiple of it"
    )
    codebooks: int = Field(4, ge=1, description="codebooks of the loss rvq; each one codes what the last left over")
    codebook_size: int = Field(256, ge=2, description="codes in each of them")
    commitment_weight: float = Field(0.25, ge=0, description="weight of the latents' distance from their codes")
    adversarial_weight: float = Field(
        0.0, ge=0, description="weight of discriminators by bands of frequency, beside the loss; 0 has none"
    )
    feature_weight: float = Field(2.0, ge=0, description="weight of their features' distance, within that weight")
    discriminator_lr: float = Field(1e-3, gt=0, description="learning rate of the discriminators' Adam")
    sound_clips: int = Field(4, ge=1, description="validation clips that are rendered as sound after every epoch")
    phase: Annotated[str, PHASES] = Field("griffin_lim", description="which phase the sounds get")
    magnitude: Literal["own", "original", "class_mean"] = Field(
        "own", description="which magnitudes the sounds get: the model's own, the clip's, or the mean of its class"
    )
    clip_statistics: Literal["predicted", "own"] = Field(
        "predicted",
        description="what inverts a normalization by clip: statistics predicted from the latent, or the clip's own",
    )

    @property
    def clip_representation(self) -> Representation:
        """The channels and the grid of the networks' input."""
        # Imported here: they need torch, and settings are checked without it.
        from trainables.components.audio.grid import Grid
        from trainables.components.representation.representation import Representation

        grid = Grid(self.spectrogram, self.representation, self.reduction)
        return Representation(grid, self.channels, self.phase_representation)

    @property
    def normalizations(self) -> dict[Part, str]:
        """The name of the normalization of each part (magnitude, phase) that is encoded."""
        names: dict[Part, str] = {"magnitude": self.magnitude_normalization, "phase": self.phase_normalization}
        return {part: names[part] for part in channels_of_parts(self.channels, self.phase_representation)}

    @model_validator(mode="after")
    def _check(self) -> AutoencoderConfig:
        reasons = (
            self._output_conflict(),
            self._normalization_conflict(),
            self._phase_conflict(),
            self._time_roll_conflict(),
            self._loss_conflict(),
            self._architecture_conflict(),
            self._quantizer_conflict(),
            self._adversary_conflict(),
        )
        for reason in filter(None, reasons):
            raise ValueError(reason)
        return self

    def _output_conflict(self) -> str | None:
        for part, name in self.normalizations.items():
            # Phases in units of π are within ±1 without a normalization.
            is_bounded = NORMALIZATIONS.traits(name).is_bounded or (part, name) == ("phase", "none")
            if self.output == "tanh" and not is_bounded:
                allowed = ", ".join(other for other in NORMALIZATIONS if NORMALIZATIONS.traits(other).is_bounded)
                return f"output: tanh stays within ±1, {part}_normalization: {name} does not; use one of {allowed}"
        return None

    def _normalization_conflict(self) -> str | None:
        for part, name in self.normalizations.items():
            if self.channels != "both" and NORMALIZATIONS.traits(name).needs_both:
                mixed = f"{part}_normalization: {name} mixes magnitude and phase"
                return f"{mixed}, channels: {self.channels} has only one of them; use clip"
        return None

    def _phase_conflict(self) -> str | None:
        if self.channels == "magnitude" and self.phase == "own":
            return "phase: own needs a model that makes one; use channels: both or phase, or another phase"
        if self.channels == "phase" and self.magnitude == "own":
            return "channels: phase makes no magnitudes; say which its sounds get (magnitude: original or class_mean)"
        if self.channels == "phase" and PHASES.traits(self.phase).follows_magnitude:
            return (
                f"phase: {self.phase} is found from magnitudes, and would drop all that channels: phase learns; use own"
            )
        if self.channels != "magnitude" and self.representation == "mel":
            return "representation: mel has no phase that sounds could be made with; use linear"
        if self.representation == "audiovision" and self.phase == "own" and self.magnitude != "own":
            return (
                "representation: audiovision makes sound of its own phases with its own magnitudes only; use "
                "magnitude: own, or another representation"
            )
        return None

    def _time_roll_conflict(self) -> str | None:
        has_frequency = self.channels != "magnitude" and self.phase_representation == "instantaneous_frequency"
        if self.time_roll and has_frequency:
            return (
                "time_roll: true would move the first angle of phase_representation: instantaneous_frequency; use angle"
            )
        return None

    def _loss_conflict(self) -> str | None:
        loss = LOSSES.traits(self.loss)
        if loss.needs_linear_axis and self.representation != "linear":
            return (
                f"loss: {self.loss} puts linear bins into mel bands, and the bins of representation: "
                f"{self.representation} are mel bands already; use multi_resolution, or representation: linear"
            )
        if self.channels == "magnitude":
            return None
        takes = PHASE_LOSSES.traits(self.phase_loss).takes
        if self.phase_representation not in takes:
            return (
                f"phase_loss: {self.phase_loss} is made for {', '.join(takes)}, not for phase_representation: "
                f"{self.phase_representation}"
            )
        if self.channels == "phase" and loss.has_sigma:
            return f"loss: {self.loss} is a likelihood of magnitudes, which channels: phase has none of; use l1 or l2"
        return None

    def _architecture_conflict(self) -> str | None:
        if self.architecture != "time_slots":
            return None
        if self.bottleneck != "plain":
            return (
                f"bottleneck: {self.bottleneck} is for the lowest map of architecture: maps, which time_slots has none"
                " of; use plain"
            )
        num_slots = count_slots(SIZES[self.spectrogram][1])
        if self.latent_dim % num_slots:
            return (
                f"latent_dim: {self.latent_dim} can't be shared by the {num_slots} slots that architecture: time_slots"
                f" has at spectrogram: {self.spectrogram}; use a multiple of {num_slots}"
            )
        return None

    def _quantizer_conflict(self) -> str | None:
        if LOSSES.traits(self.loss).is_quantized and self.latent_dim % self.vector_size:
            return (
                f"loss: {self.loss} cuts latent_dim: {self.latent_dim} into vectors of vector_size: {self.vector_size}"
                " numbers; use a divisor of it"
            )
        return None

    def _adversary_conflict(self) -> str | None:
        if self.channels == "phase" and self.adversarial_weight > 0:
            return "adversarial_weight: the discriminators look at magnitudes, which channels: phase has none of; use 0"
        return None
