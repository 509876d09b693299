"""The flow of image_to_sound: what is refused, what it leaves as it was, what it generates, resume and export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.trainables.test_contracts import assert_equal
from trainables.components.flow.training import FlowTraining
from trainables.components.generation import open_model, save_model
from trainables.corpora.corpus import Corpus
from trainables.image_to_sound import trainable as image_to_sound
from trainables.image_to_sound.declaration import ImageToSoundDeclaration
from trainables.image_to_sound.sound_flow import make_conditions
from trainables.image_to_sound.trainable import DISTRIBUTION_METRICS, ImageToSound
from trainables.testing.trainables import TRAINABLE, TrainableCase
from trainables.trainable import SPLIT_METRICS

FLOW: dict[str, Any] = {
    "flow": True,
    "route": "flow",
    "flow_width": 16,
    "flow_blocks": 1,
    "flow_batches": 3,
    "flow_steps": 2,
}


def make(corpus: Corpus, *, seed: int = 0, **settings: Any) -> ImageToSound:
    config = ImageToSound.Config(**{**ImageToSound.DEBUG, "phase": "zero", **settings})
    return ImageToSound(config, corpus, device="cpu", seed=seed)


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> ImageToSound:
    trainable = make(corpus, **{**FLOW, "flow_batches": 50})
    trainable.step()
    return trainable


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"flow": True, "route": "flow", "flow_steps": 0},
            "flow_steps: 0 steps would leave the noise as it is; use 1 or more, such as 16, or another route than flow",
        ),
        ({"route": "flow"}, "route: flow needs a flow, which is trained with flow: true; set it, or use another route"),
        ({"guidance": -1}, "greater than or equal to 0"),
        ({"flow_batches": 0}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        ImageToSound.Config(**settings)
    assert error.value.error_count() == 1 and reason in str(error.value)


@pytest.mark.parametrize("promise", TRAINABLE[1:], ids=str)
def test_a_promise_holds_with_a_flow(corpus: Corpus, promise: Any) -> None:
    promise.check(TrainableCase(ImageToSound, {**FLOW, "phase": "zero"}, corpus))


def test_a_flow_beside_them_changes_nothing_of_the_other_networks(corpus: Corpus) -> None:
    flow_metrics = {"train/flow_loss", "val/flow_loss"}
    # The network with a linear path, whose components draw from the global random numbers.
    without, beside = (make(corpus, **settings) for settings in ({}, {**FLOW, "route": "decode"}))
    for _ in range(2):
        metrics = beside.step()
        assert flow_metrics < metrics.keys()
        assert without.step() == {name: value for name, value in metrics.items() if name not in flow_metrics}
    state = beside.state_dict()["model"]
    assert_equal(
        {name: value for name, value in state.items() if not name.startswith("flow.")}, without.state_dict()["model"]
    )


def test_a_flow_sees_other_pairs_in_each_epoch_where_not_all_are_encoded(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_to_sound, "MAX_TRAIN_LATENTS", 6)
    whole = make(corpus, **FLOW)
    drawn: list[torch.Tensor] = []
    draw = FlowTraining.draw_positions

    def keep(training: FlowTraining, count: int, most: int) -> torch.Tensor:
        drawn.append(draw(training, count, most))
        return drawn[-1]

    monkeypatch.setattr(FlowTraining, "draw_positions", keep)
    expected = [whole.step() for _ in range(2)]
    assert [len(positions.unique()) for positions in drawn] == [6, 6] and not torch.equal(*drawn)
    assert len(whole.model.train_latents) == 6
    first, second = make(corpus, **FLOW), make(corpus, seed=9, **FLOW)
    assert first.step() == expected[0]
    second.load_state_dict(first.state_dict())
    assert second.step() == expected[1]


def test_only_with_a_flow_are_its_metrics_reported() -> None:
    config = ImageToSoundDeclaration.Config
    names = {kind: set(ImageToSoundDeclaration.reported(config(flow=kind))) for kind in (False, True)}
    assert names[True] - names[False] == {"train/flow_loss", "val/flow_loss"}


def test_steps_and_guidance_change_a_trained_model(trained: ImageToSound) -> None:
    model = trained.model
    latents = trained._encode_pictures(trained.validation, torch.arange(3))
    config = trained.config

    def generate(**changes: Any) -> torch.Tensor:
        rendering = config.model_copy(update=changes)
        return model.apply_route(latents, "flow", torch.Generator().manual_seed(1), rendering=rendering)

    assert torch.equal(generate(), generate(flow_steps=2))
    for changes in ({"flow_steps": 1}, {"flow_steps": 5}, {"guidance": 3.0}, {"guidance": 0.0}):
        assert not torch.equal(generate(), generate(**changes)), changes
    assert not torch.equal(generate(), model.apply_route(latents, "flow", torch.Generator().manual_seed(2)))


def test_a_condition_is_a_direction_whose_length_does_not_count(trained: ImageToSound) -> None:
    mean, deviation = trained.model.unit
    direction = torch.randn(4, len(mean), generator=torch.Generator().manual_seed(0))
    near, far = (make_conditions(mean + length * deviation * direction, trained.model.unit) for length in (1, 5))
    torch.testing.assert_close(near, far)
    torch.testing.assert_close(near.square().mean(dim=1), torch.ones(4))


def test_a_split_has_metrics_of_its_sounds_together(trained: ImageToSound) -> None:
    validation = trained.evaluate("validation").attrs[SPLIT_METRICS]
    expected = trained._validate()
    assert validation == {name: expected[f"val/{name}"] for name in DISTRIBUTION_METRICS}
    test = trained.evaluate("test").attrs[SPLIT_METRICS]
    assert test.keys() == validation.keys() and math.isfinite(test["fad"]) and test["fad"] != validation["fad"]


def test_an_exported_flow_makes_the_same_sounds(trained: ImageToSound, corpus: Corpus, tmp_path: Path) -> None:
    clip = corpus.probes(1)
    name = str(corpus.clips["clip"][clip[0]])
    expected = trained.render(clip).audio[f"{name}_reconstruction"]
    save_model(tmp_path / "model", trained.exported())
    generator = open_model(tmp_path / "model")
    picture = generator.read(corpus.pictures[str(corpus.clips["recording"][clip[0]])])
    sounds = generator.generate(picture, count=3, seed=0)
    np.testing.assert_allclose(sounds[0].content, expected, atol=1e-4)
    assert len({sound.content.tobytes() for sound in sounds}) == 3
    repeated = generator.generate(picture, count=3, seed=0)
    assert all(np.array_equal(one.content, other.content) for one, other in zip(sounds, repeated, strict=True))
