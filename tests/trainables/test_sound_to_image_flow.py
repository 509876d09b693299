"""The flow of sound_to_image: what is refused, its autoencoder, what it generates, resume and export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from tests.trainables.test_contracts import assert_equal
from trainables.components.generation import open_model, save_model
from trainables.components.pictures.augmentation import as_bytes, as_floats
from trainables.corpora.corpus import Corpus
from trainables.sound_to_image.declaration import SoundToImageDeclaration
from trainables.sound_to_image.flow_model import FlowModel
from trainables.sound_to_image.gan_model import GanModel
from trainables.sound_to_image.picture_autoencoder import PictureAutoencoder, open_picture_autoencoder
from trainables.sound_to_image.trainable import DISTRIBUTION_METRICS, SoundToImage
from trainables.sound_to_image.weights import LATENT_CHANNELS, LATENT_PX
from trainables.testing.trainables import TRAINABLE, TrainableCase
from trainables.trainable import SPLIT_METRICS

FLOW: dict[str, Any] = {"generator": "flow", "flow_width": 16, "flow_blocks": 1, "flow_steps": 2}


def make(corpus: Corpus, *, seed: int = 0, **settings: Any) -> SoundToImage:
    config = SoundToImage.Config(**{**SoundToImage.DEBUG, **FLOW, **settings})
    return SoundToImage(config, corpus, device="cpu", seed=seed)


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> SoundToImage:
    trainable = make(corpus, flow_width=64, flow_batches=300)
    trainable.step()
    return trainable


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"generator": "flow", "flow_steps": 0},
            "flow_steps: 0 steps would leave the noise as it is; use 1 or more, such as 16",
        ),
        (
            {"guidance": 2},
            "guidance: 2 with generator: gan would change nothing: a GAN has no guidance; use generator: flow, or"
            " guidance: 1",
        ),
        (
            {"generator": "flow", "classifier_lr_share": 0.1},
            "classifier_lr_share: above 0 with generator: flow would train nothing: a flow learns from conditions that"
            " are computed once; use 0, or generator: gan",
        ),
        ({"generator": "flow", "guidance": -1}, "greater than or equal to 0"),
        ({"generator": "flow", "flow_batches": 0}, "greater than or equal to 1"),
        ({"generator": "diffusion"}, "Input should be 'gan' or 'flow'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        SoundToImage.Config(**settings)
    assert error.value.error_count() == 1 and reason in str(error.value)


@pytest.mark.parametrize("promise", TRAINABLE[1:], ids=str)
def test_a_promise_holds_with_a_flow(corpus: Corpus, promise: Any) -> None:
    promise.check(TrainableCase(SoundToImage, FLOW, corpus))


def test_each_generator_reports_the_metrics_of_its_training() -> None:
    config = SoundToImageDeclaration.Config
    gan, flow = (set(SoundToImageDeclaration.reported(config(generator=kind))) for kind in ("gan", "flow"))
    assert gan - flow == {"train/loss", "train/generator_loss", "train/sameness"}
    assert flow - gan == {"train/flow_loss", "val/flow_loss"}


def test_a_setting_chooses_the_model(corpus: Corpus) -> None:
    assert isinstance(make(corpus).model, FlowModel)
    assert isinstance(make(corpus, generator="gan").model, GanModel)


@pytest.mark.parametrize("size", [32, 64])
def test_the_autoencoder_keeps_what_a_picture_shows(corpus: Corpus, size: int) -> None:
    autoencoder = open_picture_autoencoder(corpus, size)
    pictures = as_floats(torch.from_numpy(corpus.frames(size)[corpus.indices("validation")]))
    with torch.no_grad():
        latents = autoencoder.encode(pictures)
        error = F.mse_loss(autoencoder.decode(latents), pictures)
    colours = F.interpolate(F.avg_pool2d(pictures, size // LATENT_PX), size)
    assert error < F.mse_loss(colours, pictures), "more than the colour of each patch"
    assert 0.5 < latents.square().mean() < 2


def test_the_autoencoder_is_trained_once_and_draws_no_random_numbers(corpus: Corpus) -> None:
    first = open_picture_autoencoder(corpus, 32)
    written = {path: path.stat().st_mtime_ns for path in corpus.folder.glob("picture-autoencoder-*.pt")}
    before = torch.get_rng_state()
    second = open_picture_autoencoder(corpus, 32)
    assert torch.equal(torch.get_rng_state(), before)
    assert {path: path.stat().st_mtime_ns for path in corpus.folder.glob("picture-autoencoder-*.pt")} == written
    assert_equal(first.state_dict(), second.state_dict())


def test_an_untrained_autoencoder_projects_onto_principal_components(corpus: Corpus) -> None:
    pictures = as_floats(torch.from_numpy(corpus.frames(32)[corpus.indices("train")]))
    autoencoder = PictureAutoencoder(32)
    autoencoder.fit_components(pictures)
    latents = autoencoder.encode(pictures)
    assert latents.square().mean().item() == pytest.approx(1, abs=1e-3)
    projected = autoencoder.decode(latents).detach()
    patches = F.unfold(pictures, 4, stride=4).transpose(1, 2).flatten(0, 1).double()
    variances = torch.linalg.eigvalsh(torch.cov(patches.T, correction=0)).flip(0)
    lost = variances[LATENT_CHANNELS:].sum().item() / len(variances)
    assert F.mse_loss(projected, pictures).item() == pytest.approx(lost, rel=0.1), "but for what is outside of ±1"


def test_reconstructions_are_a_baseline_where_a_flow_is_trained(corpus: Corpus) -> None:
    config = SoundToImage.Config(**SoundToImage.DEBUG)
    flow = config.model_copy(update={"generator": "flow"})
    lines = {line["reference"]: line for line in SoundToImage.prepare([config, flow], corpus)}
    reconstructed = lines.pop("reconstructed pictures")
    assert reconstructed["size"] == "32x32" and 0 < reconstructed["val/loss"] < lines["any picture"].get("val/loss", 1)
    assert reconstructed["val/fid"] > 0 and set(reconstructed) - {"reference", "size"} <= set(SoundToImage.METRICS)
    assert list(SoundToImage.prepare([config], corpus)) == list(lines.values())


def generate(trainable: SoundToImage, seed: int = 1, **changes: Any) -> torch.Tensor:
    """Return pictures for three validation clips, with some settings of generating changed."""
    conditions = trainable._heard.conditions(trainable.validation.clips[:3])
    how = trainable.config.model_copy(update=changes)
    with torch.no_grad():
        return trainable.model.generate_from(conditions, torch.Generator().manual_seed(seed), how)


def test_steps_and_guidance_change_a_trained_model(trained: SoundToImage) -> None:
    assert torch.equal(generate(trained), generate(trained, flow_steps=2, guidance=1.0))
    for changes in ({"flow_steps": 1}, {"flow_steps": 5}, {"guidance": 3.0}, {"guidance": 0.0}, {"truncation": 0.5}):
        assert not torch.equal(generate(trained), generate(trained, **changes)), changes
    assert not torch.equal(generate(trained), generate(trained, seed=2))
    assert torch.equal(generate(trained, truncation=0.0), generate(trained, seed=2, truncation=0.0))


def test_guidance_of_1_is_the_velocity_of_the_condition_and_0_that_of_none(trained: SoundToImage) -> None:
    model = trained.model
    assert isinstance(model, FlowModel)
    conditions = trained._heard.conditions(trained.validation.clips[:3])
    noise = torch.randn(3, model.flow.latent_dim, generator=torch.Generator().manual_seed(1))
    at_start, no = torch.zeros(3), torch.zeros(3, dtype=torch.bool)
    with torch.no_grad():
        for guidance, is_unconditional in ((1.0, no), (0.0, ~no)):
            expected = noise + model.flow.averaged(noise, at_start, conditions, is_unconditional)
            generator = torch.Generator().manual_seed(1)
            latents = model.flow.sample(conditions, generator, num_steps=1, guidance=guidance)
            torch.testing.assert_close(latents, expected)


def test_pictures_of_one_step_are_less_diverse_than_those_of_several(trained: SoundToImage) -> None:
    def spread(flow_steps: int) -> float:
        one, other = (generate(trained, seed=seed, flow_steps=flow_steps) for seed in (1, 2))
        return F.mse_loss(one, other).item()

    assert spread(1) < 0.8 * spread(16)


def test_training_lowers_the_loss(corpus: Corpus) -> None:
    trainable = make(corpus, flow_width=64)
    losses = [trainable.step()["train/flow_loss"] for _ in range(3)]
    assert losses[2] < 0.8 * losses[0]


def test_a_split_has_metrics_of_its_pictures_together(trained: SoundToImage) -> None:
    validation = trained.evaluate("validation").attrs[SPLIT_METRICS]
    expected = trained._validate()
    assert validation == {name: expected[f"val/{name}"] for name in DISTRIBUTION_METRICS}
    assert math.isfinite(trained.evaluate("test").attrs[SPLIT_METRICS]["fid"])


def test_an_exported_flow_makes_the_same_pictures(trained: SoundToImage, tiny_corpus: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "model", trained.exported())
    generator = open_model(tmp_path / "model")
    sound = generator.read(tiny_corpus / "siren" / "take 0.wav")
    made, repeated, other = (generator.generate(sound, count=2, seed=seed) for seed in (0, 0, 1))
    assert made[0].content.shape == (32, 32, 3)
    assert all(np.array_equal(one.content, same.content) for one, same in zip(made, repeated, strict=True))
    assert not np.array_equal(made[0].content, made[1].content)
    assert not np.array_equal(made[0].content, other[0].content)


def test_an_exported_flow_has_the_weights_that_were_judged(trained: SoundToImage, tmp_path: Path) -> None:
    save_model(tmp_path / "model", trained.exported())
    exported = vars(open_model(tmp_path / "model"))["model"]
    conditions = trained._heard.conditions(trained.validation.clips[:3])
    with torch.no_grad():
        pictures = exported.generate_from(conditions, torch.Generator().manual_seed(1), trained.config)
    assert torch.equal(as_bytes(pictures), as_bytes(generate(trained)))
