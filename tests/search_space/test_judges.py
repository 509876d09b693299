"""The keys `judges` and `metrics`: what they add, and what is wrong with them is said before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.errors import SearchSpaceError
from orchestrator.overview.summary import list_table_metrics
from orchestrator.search_space.reader import Sweep, read_search_space

EAR = """
from trainables.components.judges.plugin import JUDGES, AddedJudge, Answer
class Ear(AddedJudge):
    def answer(self, clips): return Answer(clips[:, :4])
"""


def read(folder: Path, **changes: Any) -> Sweep:
    space: dict[str, Any] = {
        "trainable": "autoencoder",
        "corpus": {"name": "demo"},
        "objective": {"metric": "val/judge_probability", "mode": "max"},
        "params": {"lr": 1e-3},
        "budget": {"trials_per_arm": 1, "max_epochs": 2},
    }
    path = folder / "heard.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump({**space, **changes}, file)
    return read_search_space(path)


def mistake(folder: Path, **changes: Any) -> str:
    with pytest.raises(SearchSpaceError) as caught:
        read(folder, **changes)
    assert "\n" not in str(caught.value).strip(), caught.value
    return str(caught.value)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(b"")
    return path


def test_without_the_key_nothing_is_added(tmp_path: Path) -> None:
    sweep = read(tmp_path)
    assert (sweep.judges, sweep.components) == ((), ())
    assert dict(sweep.metrics) == dict(sweep.declaration.METRICS)
    assert read(tmp_path, judges=["own"]).judges == ()


def test_the_own_judge_learns_with_augmentations(tmp_path: Path) -> None:
    sweep = read(tmp_path, judges=[{"name": "own", "augment": "mix+pitch"}])
    assert sweep.judges == ({"name": "own", "augment": "mix+pitch"},)
    assert sweep.metrics == read(tmp_path, judges=["own"]).metrics
    assert "own_probability" not in " ".join(list_table_metrics(sweep))


def test_a_judge_brings_its_metrics_and_may_be_the_objective(tmp_path: Path, weights: Path) -> None:
    sweep = read(
        tmp_path,
        judges=["own", {"name": "yamnet", "weights": "yamnet.tflite"}],
        metrics=["kad", "stoi"],
        objective={"metric": "val/yamnet_probability", "mode": "max"},
    )
    assert sweep.judges == ({"name": "yamnet", "weights": str(weights)},)
    added = sweep.metrics.keys() - sweep.declaration.METRICS.keys()
    assert {"val/yamnet_accuracy", "val/yamnet_fad", "val/yamnet_kad_low", "val/kad", "val/stoi"} <= added
    assert (sweep.metrics["val/stoi"].mode, sweep.metrics["val/kad"].mode) == ("max", "min")


def test_a_file_registers_a_judge_and_the_copy_in_the_sweep_s_folder_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "ear_of_a_file.py").write_text(EAR.replace("class Ear", "@JUDGES.register('ear_of_a_file')\nclass Ear"))
    sweep = read(tmp_path, judges=["./ear_of_a_file.py"])
    assert sweep.judges == ({"name": "ear_of_a_file"},)
    assert sweep.components == (tmp_path / "ear_of_a_file.py",)
    copy = tmp_path / "elsewhere" / "search_space.yaml"
    copy.parent.mkdir()
    copy.write_text(sweep.text)
    assert read_search_space(copy).judges == sweep.judges


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        (["yamnt"], "judges.0: unknown judge 'yamnt'. Did you mean 'yamnet'?"),
        (["./none.py"], "none.py: no such file"),
        (["./silent.py"], "silent.py: must register exactly one judge (@JUDGES.register), got none"),
        (["./named.py"], "judge 'Loud ear' can't have this name"),
        (["yamnet"], "judges.0: judge yamnet needs weights, the file of its network"),
        ([{"name": "yamnet", "weights": "gone.tflite"}], "gone.tflite: no such file"),
        (
            [{"name": "yamnet", "weigths": "x"}],
            "unknown key 'weigths' (did you mean 'weights'?); judge yamnet has: name, weights",
        ),
        ([{"name": "yamnet", "weights": "yamnet.tflite", "clips": 1}], "judges.0.clips: must be 2 or more, got 1"),
        (
            [{"name": "own", "clips": 4}],
            "the judge own is trained on the corpus, and has no setting 'clips'; it has: aug",
        ),
        ([{"name": "own", "augment": "mix+pich"}], "judges.0: unknown augmentation 'pich'. Did you mean 'pitch'?"),
        (["own", {"name": "own", "augment": "mix"}, {"name": "own", "augment": "mix"}], "has own twice"),
        ([{"weights": "x"}], "needs a name, a path or a mapping with a name"),
        ([{"name": "imagenet", "weights": "yamnet.tflite"}], "imagenet judges pictures, Autoencoder makes sounds"),
        ([{"name": "yamnet", "weights": "yamnet.tflite"}] * 2, "judges: has yamnet twice"),
    ],
)
def test_a_wrong_judge_is_one_message(tmp_path: Path, weights: Path, judges: list[Any], said: str) -> None:
    (tmp_path / "silent.py").write_text(EAR)
    (tmp_path / "named.py").write_text(EAR.replace("class Ear", "@JUDGES.register('Loud ear')\nclass Ear"))
    assert said in mistake(tmp_path, judges=judges)


def test_wrong_metrics_are_one_message_each(tmp_path: Path, weights: Path) -> None:
    assert "metrics.0: unknown metric 'stio'. Did you mean 'stoi'?" in mistake(tmp_path, metrics=["stio"])
    assert "has 'kad' twice" in mistake(tmp_path, metrics=["kad", "kad"])
    objective = {"metric": "val/yamnet_probability", "mode": "max"}
    assert "unknown metric 'val/yamnet_probability'" in mistake(tmp_path, objective=objective)


def test_trainables_that_no_judge_assesses_take_none(tmp_path: Path, weights: Path) -> None:
    said = mistake(
        tmp_path,
        trainable="classifier",
        objective={"metric": "val/accuracy", "mode": "max"},
        metrics=["kad"],
    )
    assert "no judge assesses the trials of Classifier, so metrics can't be added" in said


def test_an_arm_without_magnitudes_does_not_report_an_added_judge(tmp_path: Path, weights: Path) -> None:
    said = mistake(
        tmp_path,
        judges=[{"name": "yamnet", "weights": "yamnet.tflite"}],
        objective={"metric": "val/yamnet_probability", "mode": "max"},
        params={"channels": "phase", "phase": "own", "magnitude": "original", "lr": 1e-3},
    )
    assert "does not report val/yamnet_probability" in said
