import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from orchestrator.plugins import loader
from orchestrator.search_space.json_schema import make_schema, schema_text

SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"
SPACE = (SEARCH_SPACES / "vae.yaml").read_text()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return make_schema()


def complaints(schema: dict[str, Any], text: str) -> list[str]:
    data = YAML(typ="safe", pure=True).load(text)
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(data)]


def test_the_file_beside_the_search_spaces_is_up_to_date() -> None:
    # In a process of its own: other tests register losses and corpora.
    printed = subprocess.run(
        [sys.executable, "-m", "orchestrator", "schema"], capture_output=True, text=True, check=True
    )
    written = (SEARCH_SPACES / "schema.json").read_text()
    assert written == printed.stdout, "run: orchestrate schema > search_spaces/schema.json"


def test_it_is_a_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert json.loads(schema_text()) == schema


@pytest.mark.parametrize("path", sorted(SEARCH_SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_search_spaces_keep_to_it(schema: dict[str, Any], path: Path) -> None:
    assert complaints(schema, path.read_text()) == []


@pytest.mark.parametrize("name", loader.find_trainables())
def test_every_setting_of_a_trainable_is_described(schema: dict[str, Any], name: str) -> None:
    params = schema["$defs"][f"{name}.params"]["properties"]
    assert params.keys() == loader.load_trainable(name, Path()).Config.model_fields.keys()
    assert all(setting["description"] for setting in params.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pruning:", "prunning:", "'prunning' was unexpected"),
        ("max_epochs: 12, ", "", "$.budget: 'max_epochs' is a required property"),
        ("max_epochs: 60", "max_epoch: 60", "$.presets.vegas.budget: "),
        ("latent_dim: 128", "latent: 128", "$.params: "),
        ("latent_dim: 128", "latent_dim: 0", "$.params.latent_dim: "),
        ("spectrogram: 48x128", "spectrogram: 48x12", "$.params.spectrogram: "),
        ("lr: {loguniform", "lr: {logunifrm", "$.params.lr: "),
        ("lr: {loguniform: [1e-4, 3e-3]}", "lr: {loguniform: [1e-4]}", "$.params.lr: "),
        ("loss: [l1, l2, vae]", "loss: [l1, {a: b}]", "$.compare.loss"),
        ("loss: [l1, l2, vae]", "bundles: {a: {latent: 3}}", "$.compare.bundles.a: "),
        ("mode: max", "mode: maxi", "$.objective.mode: "),
        ("trainable: autoencoder", "trainable: autoencodr", "$.trainable: "),
    ],
)
def test_an_editor_sees_a_mistake(schema: dict[str, Any], old: str, new: str, said: str) -> None:
    assert old in SPACE
    assert any(said in complaint for complaint in complaints(schema, SPACE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("trainable: autoencoder", "trainable: ./my_unet.py"),
        ("{grace_epochs: 2, reduction_factor: 3}", "none"),
        ("hours: 2", "hours: none"),
        (
            "loss: [l1, l2, vae]",
            "bundles: {a: {latent_dim: 3, lr: {uniform: [0.1, 0.2], when: {width: [8, 9]}}}, b: {}}",
        ),
        ("budget:", "arms: [{when: {loss: vae}, params: {width: 8}, resources: {gpu: 1}}]\nbudget:"),
        ("latent_dim: 128", "latent_dim: {quniform: [16, 64, 16]}"),
    ],
)
def test_an_editor_accepts_what_is_right(schema: dict[str, Any], old: str, new: str) -> None:
    assert old in SPACE
    assert complaints(schema, SPACE.replace(old, new, 1)) == []
