"""Registries whose parts are known before they are imported."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainables.components.assessment.added_metrics import METRICS
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.losses.registries import LOSSES, PHASE_LOSSES, SIGMAS
from trainables.components.representation.registries import NORMALIZATIONS, PHASES
from trainables.errors import InputError
from trainables.support.lazy_registry import LazyRegistry, read_traits

REGISTRIES: tuple[LazyRegistry[Any, Any], ...] = (
    *(LOSSES, PHASE_LOSSES, SIGMAS, NORMALIZATIONS, PHASES, JUDGES, METRICS),
    *(AUGMENTATIONS, WAVEFORM_AUGMENTATIONS),
)
SOURCE = """
@register("plain")
def plain(): ...

@register("flagged", has_sigma=True, other=compute())
def flagged(): ...

register("called", takes=("a", "b"))(plain)

class Base:
    is_bounded = True

@KINDS.register("heir")
class Heir(Base):
    num_maps: int = 2

@KINDS.register("free")
class Free(Heir):
    is_bounded = False
"""
TRAITS = ("has_sigma", "takes", "is_bounded", "num_maps")


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_what_the_source_says_of_a_part_is_what_the_part_says(registry: LazyRegistry[Any, Any]) -> None:
    module = importlib.import_module(registry.module)
    traits = {field.name for field in dataclasses.fields(registry._traits)}
    declared = read_traits(Path(str(module.__file__)), registry._decorator, traits)
    own = {name for name, part in registry.items() if registry.owner(name) == registry.module}
    assert declared.keys() == own and own
    for name, values in declared.items():
        part = registry[name]
        assert dataclasses.asdict(registry._traits(**values)) == {trait: getattr(part, trait) for trait in traits}


def test_a_file_is_read_without_being_run(tmp_path: Path) -> None:
    path = tmp_path / "parts.py"
    path.write_text(SOURCE)
    assert read_traits(path, "register", TRAITS) == {
        "plain": {},
        "flagged": {"has_sigma": True},
        "called": {"takes": ("a", "b")},
    }
    assert read_traits(path, "KINDS.register", TRAITS) == {
        "heir": {"is_bounded": True, "num_maps": 2},
        "free": {"is_bounded": False, "num_maps": 2},
    }


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_names_and_traits_import_no_part_and_a_part_is_imported_when_it_is_used() -> None:
    code = """
import sys
from trainables.components.assessment.added_metrics import METRICS
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.losses.registries import LOSSES
assert [*LOSSES] == ["l1", "l2", "vae", "rvq", "multi_resolution", "mel"] and len(LOSSES) == 6
assert LOSSES.traits("vae").has_sigma and not LOSSES.traits("l1").has_sigma
print("torch" in sys.modules, LOSSES["vae"].has_sigma, "torch" in sys.modules)
"""
    assert run(code) == "False True True\n"


def test_a_name_of_a_part_that_is_not_imported_yet_is_taken() -> None:
    code = """
from trainables.components.assessment.added_metrics import METRICS
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.losses.registries import SIGMAS
from trainables.errors import InputError
try:
    SIGMAS.register("fixed")(type("Fixed", (), {}))
except InputError as error:
    print(error)
"""
    assert run(code) == "sigma 'fixed' is registered twice; give yours another name\n"


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_a_part_of_another_module_replaces_none_of_ours(registry: LazyRegistry[Any, Any]) -> None:
    name = next(iter(registry))
    module = importlib.import_module(registry.module)
    function, _, method = registry._decorator.partition(".")
    decorator = getattr(getattr(module, function), method) if method else getattr(module, function)
    needed = {"of": "sounds", "mode": "min", "description": "mine"} if registry.kind == "metric" else {}
    with pytest.raises(InputError, match="is registered twice"):
        decorator(name, **needed)(lambda *_: None)


def test_the_traits_of_a_users_part_are_its_own() -> None:
    code = """
from trainables.components.losses.reconstruction import register_loss
from trainables.components.assessment.added_metrics import METRICS
from trainables.components.judges.plugin import JUDGES
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.losses.registries import LOSSES
@register_loss("mine", has_sigma=True)
def mine(estimate, target, sigma): ...
print([*LOSSES], LOSSES.traits("mine"))
"""
    assert run(code).startswith("['l1', 'l2', 'vae', 'rvq', 'multi_resolution', 'mel', 'mine'] LossTraits(")
    assert "is_variational=False, has_sigma=True" in run(code)
