"""What a listening test finds in MLflow; other tests of it make their runs with `Recorded` too."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient
from mlflow.entities import Metric

from reports.errors import ReportError
from reports.listening.sources import Sources, find_sources

RATE_HZ = 22_050
CLIPS = ("dog_1", "rain_2")


def tone(clip: str, seconds: float, *, noise: float = 0.0, level: float = 0.3) -> np.ndarray:
    """A sound that is the same for the same clip, with more or less noise upon it; shape (samples,)."""
    rng = np.random.default_rng(sum(map(ord, clip)))
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = sum(np.sin(2 * np.pi * hz * time_s) for hz in rng.uniform(200, 6000, 4)) / 4
    sound = (1 - noise) * sound + noise * rng.standard_normal(len(time_s)) / 4
    return level * np.asarray(sound)


class Recorded:
    """A sweep in MLflow as the orchestrator records it: its own run, trials, renderings, sounds."""

    def __init__(self, home: Path, name: str = "vae", *, clips: Sequence[str] = CLIPS, seconds: float = 2.0) -> None:
        self.name = name
        self.clips = clips
        self.seconds = seconds
        self.home = home
        self.uri = f"sqlite:///{home / 'mlflow.db'}"
        self.client = MlflowClient(self.uri)
        found = self.client.get_experiment_by_name(name)
        self.experiment = (
            found.experiment_id
            if found
            else self.client.create_experiment(name, artifact_location=str(home / "artifacts" / name))
        )
        self.sweep_id = f"id-{len(self.client.search_runs([self.experiment]))}"
        self.parent = self._run({"role": "sweep", "outcome": "completed"}, "")
        self.client.log_param(self.parent, "objective", "max val/judge_probability")

    def trial(
        self,
        number: int,
        arm: str,
        score: float | None,
        *,
        noise: float = 0.2,
        clips: Sequence[str] | None = None,
        outcome: str = "completed",
    ) -> str:
        """An ended trial, whose sounds are as noisy as is said; without clips it has none."""
        tags = {"role": "trial", "arm": arm, "trial": str(number), "outcome": outcome, "stage": "search"}
        run_id = self._run(tags, self.parent)
        if score is not None:
            self.client.log_batch(run_id, [Metric("best/val_judge_probability", score, 1, 0)])
        self.sounds(run_id, noise, self.clips if clips is None else clips)
        return run_id

    def rendering(self, trial: int, name: str, *, noise: float = 0.2) -> str:
        tags = {"role": "evaluation", "arm": "loss=vae", "trial": str(trial), "rendering": name}
        run_id = self._run(tags, self.parent)
        self.sounds(run_id, noise, self.clips)
        return run_id

    def sounds(self, run_id: str, noise: float, clips: Sequence[str]) -> None:
        folder = self.home / "sounds" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            for kind, amount in (("original", 0.0), ("reconstruction", noise)):
                soundfile.write(folder / f"{clip}_{kind}.wav", tone(clip, self.seconds, noise=amount), RATE_HZ)
        if clips:
            self.client.log_artifacts(run_id, str(folder))

    def metrics(self, run_id: str) -> dict[str, float]:
        """What listeners said of a run."""
        found = self.client.get_run(run_id).data.metrics
        return {name: value for name, value in found.items() if name.startswith("listen/")}

    def _run(self, tags: dict[str, str], parent: str) -> str:
        tags = {f"orchestrate.{name}": value for name, value in tags.items()}
        tags |= {"orchestrate.sweep": self.name, "orchestrate.sweep_id": self.sweep_id, "mlflow.parentRunId": parent}
        run = self.client.create_run(self.experiment, tags={key: value for key, value in tags.items() if value})
        return str(run.info.run_id)


def small_sweep(home: Path, database: Path, *, seconds: float = 2.0, clips: Sequence[str] = CLIPS) -> Recorded:
    """Two arms and a few trials, in a home with a copy of an empty database."""
    home.mkdir(exist_ok=True)
    shutil.copy(database, home / "mlflow.db")
    sweep = Recorded(home, clips=clips, seconds=seconds)
    sweep.trial(1, "loss=l1", 0.6, noise=0.5)
    sweep.trial(2, "loss=vae", 0.7, noise=0.1)
    sweep.trial(3, "loss=vae", 0.65)
    return sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorded:
    sweep = small_sweep(tmp_path_factory.mktemp("home"), empty_database)
    sweep.trial(4, "loss=l2", 0.9, clips=())
    sweep.trial(5, "loss=l2", 0.5, clips=("dog_1",))
    sweep.trial(6, "loss=l1", None)
    sweep.rendering(2, "phase=griffin_lim, magnitude=own")
    sweep.rendering(2, "phase=zero, magnitude=own", noise=0.6)
    return sweep


def find(sweep: Recorded, **options: object) -> Sources:
    return find_sources(sweep.client, sweep.name, **{"top": 5, **options})  # type: ignore[arg-type]


def names(sources: Sources) -> list[str]:
    return [system.name for system in sources.systems]


def test_the_best_trial_of_each_arm_is_heard_and_one_without_sounds_is_said(sweep: Recorded) -> None:
    sources = find(sweep)
    assert names(sources) == ["loss=l1, trial 1", "loss=l2, trial 5", "loss=vae, trial 2"]
    assert sources.clips == ("dog_1",)
    assert sources.notes == (
        "loss=l2: its best trial, 4, has no sounds in MLflow; trial 5 is used instead",
        "1 of 2 clips are missing for some systems: left out",
    )
    assert sources.sweep_run_id == sweep.parent


def test_a_pruned_trial_is_heard_only_where_none_of_its_arm_trained_to_the_end(
    tmp_path: Path, empty_database: Path
) -> None:
    sweep = small_sweep(tmp_path / "home", empty_database)
    for number, arm in ((4, "loss=vae"), (5, "loss=l2")):
        sweep.trial(number, arm, 0.99, outcome="pruned")
    sources = find(sweep)
    assert names(sources) == ["loss=l1, trial 1", "loss=l2, trial 5", "loss=vae, trial 2"]
    assert sources.notes == ("loss=l2: trial 5 is used, which did not train to the end (pruned)",)
    assert names(find(sweep, top=2)) == ["loss=l1, trial 1", "loss=vae, trial 2"], "full ones come first"


def test_top_takes_the_best_arms_and_says_how_many_there_are(sweep: Recorded) -> None:
    sources = find(sweep, top=2)
    assert names(sources) == ["loss=l1, trial 1", "loss=vae, trial 2"]
    assert "the best 2 of 3 arms; --top 3 takes all" in sources.notes


def test_given_trials_are_heard_in_one_order_whatever_theirs(sweep: Recorded) -> None:
    assert (
        names(find(sweep, trials=(3, 1)))
        == names(find(sweep, trials=(1, 3)))
        == ["loss=l1, trial 1", "loss=vae, trial 3"]
    )


def test_renderings_of_one_trial_are_systems_too(sweep: Recorded) -> None:
    expected = ["phase=griffin_lim, magnitude=own, trial 2", "phase=zero, magnitude=own, trial 2"]
    assert names(find(sweep, vary="phase")) == names(find(sweep, vary="phase", trials=(2,))) == expected
    assert find(sweep, vary="phase").clips == ("dog_1", "rain_2")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": (7,)}, "--trials 7: sweep vae has no such trial; MLflow has 1, 2, 3, 4, 5, 6"),
        ({"trials": (1, 4)}, "--trials 4: MLflow has no sounds of this trial of vae, only of 1, 2, 3, 5, 6"),
        (
            {"vary": "voice"},
            "--vary voice: trial 2 of sweep vae is not rendered with another voice; "
            "it is with another magnitude, phase",
        ),
        (
            {"vary": "phase", "trials": (1,)},
            "--vary phase: trial 1 of sweep vae is not rendered with another phase; set evaluate: in its search space",
        ),
        (
            {"vary": "phase", "trials": (1, 2)},
            "--vary phase compares renderings of one trial, got --trials 1 2",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_line(sweep: Recorded, options: dict[str, object], said: str) -> None:
    with pytest.raises(ReportError) as caught:
        find(sweep, **options)
    assert str(caught.value) == said


def test_an_unknown_sweep_is_answered_with_those_that_are_there(sweep: Recorded) -> None:
    with pytest.raises(ReportError, match=r"^MLflow has no sweep 'vea'. Did you mean 'vae'\? Available: vae.$"):
        find_sources(sweep.client, "vea", top=5)


def test_a_sweep_without_sounds_is_said(home: Path) -> None:
    sweep = Recorded(home)
    sweep.trial(1, "loss=l1", 0.5, clips=())
    with pytest.raises(ReportError, match=r"^sweep vae: MLflow has no ended trial with sounds"):
        find(sweep)
    with pytest.raises(ReportError, match=r"^sweep vae: no trial is rendered in several ways"):
        find(sweep, vary="phase")


def test_of_two_sweeps_of_one_name_it_is_asked_which_one_is_meant(home: Path) -> None:
    older, newer = Recorded(home), Recorded(home)
    older.trial(1, "loss=l1", 0.5)
    newer.trial(1, "loss=l2", 0.5)
    choices = rf"vae@{older.sweep_id} \(started .*, 1 trial, completed\); vae@{newer.sweep_id} \(started .*\)$"
    with pytest.raises(ReportError, match=rf"^MLflow has 2 sweeps called vae; say which one is meant: {choices}"):
        find(newer)
    for sweep, arm in ((older, "loss=l1"), (newer, "loss=l2")):
        sources = find_sources(sweep.client, f"vae@{sweep.sweep_id}", top=5)
        assert (names(sources), sources.sweep) == ([f"{arm}, trial 1"], "vae")
    with pytest.raises(ReportError, match=r"^sweep vae@3fa9 is not in MLflow, which has others of that name: vae@"):
        find_sources(newer.client, "vae@3fa9", top=5)


def test_of_a_trainable_that_renders_nothing_it_is_said_that_it_makes_no_sounds(home: Path) -> None:
    sweep = Recorded(home)
    sweep.trial(1, "loss=l1", 0.5, clips=())
    sweep.client.log_dict(sweep.parent, {"renders": False}, "sweep.json")
    with pytest.raises(ReportError, match=r"^sweep vae: its trainable makes no sounds, there is nothing to listen to$"):
        find(sweep)


def test_an_mlflow_that_does_not_answer_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ReportError) as caught:
        find_sources(MlflowClient("http://user:secret@127.0.0.1:9"), "vae", top=5)
    said = "MLflow at http://127.0.0.1:9 does not answer ([Errno 111] Connection refused); check MLFLOW_TRACKING_URI"
    assert str(caught.value) == said
