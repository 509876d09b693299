"""Weights of backbones: which files are taken, and what is said of the others."""

from __future__ import annotations

import pickle
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from trainables.components.networks.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone
from trainables.components.networks.weights import BackboneName
from trainables.errors import InputError


def resnet18(num_classes: int = 1000, seed: int = 1) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = models.resnet18(num_classes=num_classes)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
    return network


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return resnet18().eval()


def photos(count: int = 4) -> Tensor:
    return 2 * torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 1


def saved(path: Path, content: Any) -> str:
    torch.save(content, path)
    return str(path)


def message(path: str | Path, name: BackboneName = "resnet18") -> str:
    with pytest.raises(InputError) as error:
        Backbone(name, str(path))
    told = str(error.value)
    assert "\n" not in told and told.startswith(f"weights: {path}: ")
    return told


def test_features_are_those_of_the_network_before_its_classes(trained: nn.Module, tmp_path: Path) -> None:
    backbone = Backbone("resnet18", saved(tmp_path / "own.pt", trained.state_dict())).eval()
    shown = (photos() + 1) / 2
    mean, std = (torch.tensor(each)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))
    expected = nn.Sequential(*list(trained.children())[:-1], nn.Flatten())((shown - mean) / std)
    torch.testing.assert_close(backbone(photos()), expected, atol=1e-4, rtol=1e-4)
    assert backbone.num_features == 512


def test_prefixes_of_parallel_training_other_classes_and_a_checkpoint_around_it_are_taken(
    trained: nn.Module, tmp_path: Path
) -> None:
    state = trained.state_dict()
    of_seven = {key: value for key, value in state.items() if not key.startswith("fc.")}
    contents = {
        "plain": state,
        "parallel": {f"module.{key}": value for key, value in state.items()},
        "checkpoint": {"epoch": 7, "state_dict": {f"module.{key}": value for key, value in state.items()}},
        "seven": of_seven | {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)},
        "headless": of_seven,
    }
    for name, content in contents.items():
        backbone = Backbone("resnet18", saved(tmp_path / f"{name}.pt", content))
        own = {key: value for key, value in backbone.body.state_dict().items() if not key.startswith("fc.")}
        assert own.keys() == of_seven.keys()
        assert all(torch.equal(own[key], of_seven[key]) for key in own), name


def test_the_file_of_another_network_is_refused(trained: nn.Module, tmp_path: Path) -> None:
    path = saved(tmp_path / "fifty.pt", models.resnet50().state_dict())
    told = message(path)
    assert "is no resnet18" in told and "tensors are missing or of another shape" in told
    assert told.endswith("choose the backbone that the file is of")
    other = saved(tmp_path / "eighteen.pt", trained.state_dict())
    assert "is no resnet50" in message(other, "resnet50")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert message(tmp_path / "no.pt").endswith(
        ": no such file; none, imagenet, or a file with a resnet18's state dict"
    )


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"not weights at all",
        b"PK\x03\x04 broken",
        b"\x80\x02}q\x00.",
        b"(lp0\n.",
        b"0",
        b".",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_junk_is_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "junk.pt").write_bytes(junk)
    assert "state dict" in message(tmp_path / "junk.pt")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "can't be read as a state dict" in message(tmp_path)


class Trap:
    """Code that a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('it ran')",)


def test_a_whole_pickled_network_is_refused_unread(trained: nn.Module, tmp_path: Path) -> None:
    assert "can't be read as a state dict of tensors" in message(saved(tmp_path / "whole.pt", trained))
    (tmp_path / "trap.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    assert "can't be read" in message(tmp_path / "trap.pt")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        torch.zeros(3),
        {"epoch": 3},
        {"state_dict": torch.zeros(3)},
        {"state_dict": [1]},
        {"state_dict": None},
        {1: torch.zeros(3)},
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    told = message(saved(tmp_path / "other.pt", content))
    assert "holds no state dict; it is needed as torch.save(network.state_dict(), path) saves it" in told


def test_without_a_network_those_of_imagenet_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        # Nobody listens at port 9.
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # The first request of a process decides for all that follow which proxies they take.
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError) as error:
        Backbone("resnet18", "imagenet")
    told = str(error.value)
    assert told.startswith("weights: imagenet: torchvision can't download those of resnet18 (")
    assert told.endswith("); give the path of a file that has them, or weights: none")
    assert "\n" not in told


@pytest.mark.parametrize("name", ["small", "resnet18", "resnet50"])
def test_pictures_of_every_size_become_as_many_features(name: BackboneName) -> None:
    backbone = Backbone(name).eval()
    for size in (32, 64):
        assert backbone(photos(2)[:, :, :size, :size]).shape == (2, backbone.num_features)


def trained_a_step(backbone: Backbone, *, prepared: bool) -> bool:
    """Whether a step of training changes any of its weights or statistics."""
    head = nn.Linear(backbone.num_features, 3)
    whole = nn.Sequential(backbone, head)
    if prepared:
        whole.train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(whole.parameters(), lr=1.0)
    whole(photos()).square().mean().backward()
    optimizer.step()
    assert head.weight.grad is not None and head.weight.grad.abs().max() > 0
    return any(not torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("name", ["small", "resnet18"])
@pytest.mark.parametrize("prepared", [True, False])
def test_neither_weights_nor_statistics_of_a_frozen_one_change(name: BackboneName, prepared: bool) -> None:
    assert not trained_a_step(Backbone(name, frozen=True), prepared=prepared)
    assert trained_a_step(Backbone(name), prepared=prepared)


def test_a_frozen_one_gives_the_same_in_training_as_when_it_is_judged() -> None:
    backbone = Backbone("small", frozen=True)
    assert torch.equal(backbone.train()(photos()), backbone.eval()(photos()))


def test_one_that_is_fine_tuned_keeps_its_statistics_and_still_learns() -> None:
    torch.manual_seed(0)
    backbone = Backbone("small", keeps_statistics=True).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
    backbone(torch.randn(4, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.endswith("weight") for key in changed)
    assert not any("running" in key or "num_batches" in key for key in changed)
