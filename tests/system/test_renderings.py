"""One training, several renderings: checked, judged, sent to MLflow and shown; and an arm repeated over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.driver.tasks import Tasks
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.overview.screen import Screen
from orchestrator.overview.summary import summarize
from orchestrator.policy.agenda import Task
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.drivers import Started
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.tracking.__main__ import follow
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.evaluation import evaluate
from tests.support.driving import drive
from tests.support.spaces import noop_sweep, trial_spec
from tests.support.sweep_folder import SweepFolder

SUNG = str(Path(__file__).parents[1] / "support" / "sung.py")
VOICES = {"voice": ["soft", "loud"]}
SEEDS = {"budget": {"seeds": 3, "max_epochs": 2}, "params": {"x": 0.4}, "pruning": None}


def sung(folder: Path, **changes: Any) -> Sweep:
    return noop_sweep(
        folder,
        **{"trainable": SUNG, "compare": {"pitch": ["low", "high"]}, "params": None, "evaluate": VOICES} | changes,
    )


def mistake(folder: Path, **changes: Any) -> str:
    with pytest.raises(SearchSpaceError) as caught:
        sung(folder, **changes)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"evaluate": {"vioce": ["soft"]}},
            "not a setting of Sung that a trained model can change (did you mean 'voice'?)",
        ),
        ({"evaluate": {"pitch": ["low"]}, "compare": None}, "not a setting of Sung that a trained model can change"),
        ({"evaluate": {"voice": []}}, "evaluate.voice: compares nothing"),
        ({"evaluate": {"voice": ["soft", "lout"]}}, "must be 'soft' or 'loud', got 'lout'"),
        ({"compare": {"voice": ["soft", "loud"]}}, "evaluate.voice: voice is under compare too"),
        (
            {
                "objective": {"metric": "val/score", "mode": "max", "at": {"voice": "loud"}},
                "evaluate": {"voice": ["soft"]},
            },
            "objective.at.voice: 'loud' is not rendered; evaluate.voice is: soft",
        ),
        ({"compare": {"pitch": ["low", "shrill"]}}, "nobody can bear voice: loud with pitch: shrill (rendered with"),
        (
            {"budget": {"seeds": 2, "trials_per_arm": 2, "max_epochs": 4}},
            "budget: needs either trials_per_arm or seeds",
        ),
        ({"budget": {"max_epochs": 4}}, "budget: needs either trials_per_arm or seeds, got neither"),
        ({"budget": {"seeds": 2, "max_epochs": 4}}, "pruning: stops some of the seeds"),
        ({"evaluate": {"voice": ["soft", "soft"]}}, "evaluate.voice: has 'soft' twice"),
        (
            {"budget": {"seeds": 2, "max_epochs": 4}, "pruning": None, "confirm": {"top": 1}},
            "confirm: confirms what a search has found",
        ),
        (
            {
                "objective": {"metric": "val/score", "mode": "max", "at": {"voice": "soft"}},
                "compare": {"kind": {"a": {"voice": "loud"}, "b": {"pitch": "high"}}},
            },
            "objective.at sets voice too",
        ),
        (
            {"budget": {"seeds": 2, "max_epochs": 4}, "pruning": None, "params": {"pitch": {"choice": ["low", "high"]}}}
            | {"compare": None},
            "budget.seeds: repeats one configuration, but pitch is searched",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(tmp_path: Path, changes: Mapping[str, Any], said: str) -> None:
    assert said in mistake(tmp_path, **changes)


def test_the_objective_is_taken_at_one_rendering(tmp_path: Path) -> None:
    sweep = sung(tmp_path, objective={"metric": "val/score", "mode": "max", "at": {"voice": "loud"}})
    assert [arm.fixed["voice"] for arm in sweep.arms] == ["loud", "loud"]
    assert sweep.renderings == [{"voice": "soft"}, {"voice": "loud"}]


def test_the_best_checkpoint_is_judged_with_each_setting(tmp_path: Path) -> None:
    spec = trial_spec(tmp_path, trainable=SUNG, config={"voice": "soft"})
    run = TrialRun(spec)
    run.step()
    run.step()
    run.close()
    judged = evaluate(replace(spec, renderings=({"voice": "soft"}, {"voice": "loud"}), splits=("test",)))
    assert judged["metrics"] == {"test/score": 0.5, "test/range": 0.5}
    assert [each["name"] for each in judged["renderings"]] == ["voice=soft", "voice=loud"]
    assert [each["metrics"] for each in judged["renderings"]] == [
        {"val/sound_score": 0.5, "val/sound_range": 0.5, "test/score": 0.5, "test/range": 0.5},
        {"val/sound_score": 1.0, "val/sound_range": 1.0, "test/score": 1.0, "test/range": 1.0},
    ]
    folder = Path(spec.folder) / judged["renderings"][1]["folder"]
    assert pd.read_csv(folder / "per_recording_validation.csv")["score"].tolist() == [0.5, 1.5]


@pytest.fixture
def rendered(sweep: SweepFolder) -> SweepFolder:
    sweep.start()
    sweep.whole_trial(1)
    renderings = []
    for voice, score in (("soft", 0.2), ("loud", 0.4)):
        folder = f"renderings/voice={voice}"
        sweep.render(1, f"../{folder}", 2)
        settings = {"voice": voice}
        renderings.append(
            {"name": f"voice={voice}", "settings": settings, "folder": folder, "metrics": {"val/sound_fvu": score}}
        )
    sweep.event("evaluated", trial=1, metrics={}, renderings=renderings, error=None)
    follow(sweep.path, once=True)
    return sweep


def test_each_rendering_is_a_run_below_its_trial(rendered: SweepFolder) -> None:
    sweep = rendered
    for path in sweep.path.rglob("*mlflow.json"):
        path.unlink()
    follow(sweep.path, once=True)
    runs = sweep.runs()
    assert len(runs) == 4
    loud = runs["t01-vae-lr3e-4-voice=loud"]
    assert loud.data.tags["mlflow.parentRunId"] == runs["t01-vae-lr3e-4"].info.run_id
    assert (loud.data.tags["orchestrate.role"], loud.info.status) == ("evaluation", "FINISHED")
    assert (loud.data.params["voice"], loud.data.params["loss"]) == ("loud", "vae")
    assert loud.data.metrics == {"val/sound_fvu": 0.4}
    files = {file.path for file in sweep.client.list_artifacts(loud.info.run_id)}
    assert {"dog_1_reconstruction.wav", "clips.json", "images"} <= files
    assert "renderings" in sweep.status()["links"]


def test_a_deleted_run_of_a_rendering_is_made_anew(rendered: SweepFolder) -> None:
    sweep = rendered
    sweep.client.delete_run(sweep.runs()["t01-vae-lr3e-4-voice=soft"].info.run_id)
    sweep.event("evaluated", trial=1, metrics={}, renderings=Ledger(sweep.path).trials[1].renderings, error=None)
    follow(sweep.path, once=True)
    follow(sweep.path, once=True)
    assert sweep.runs()["t01-vae-lr3e-4-voice=soft"].data.metrics == {"val/sound_fvu": 0.2}


def test_a_trial_that_is_started_over_leaves_no_rendering_behind(rendered: SweepFolder) -> None:
    sweep = rendered
    sweep.event("retried", trial=1, reason="by hand", share=1, from_scratch=True)
    sweep.attempt(1, 2)
    follow(sweep.path, once=True)
    assert set(sweep.runs()) == {"vae", "t01-vae-lr3e-4"}


def test_seeds_are_the_same_in_every_arm_and_are_averaged(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **SEEDS)
    scores = iter([0.1, 0.5, 0.3, 0.9, 0.2, 0.6, 0.1, 0.5, 0.0, 0.9, 0.0, 0.6])
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: next(scores))
    seeds = {arm: [trial.seed for trial in ledger.of_arm(arm, "search")] for arm in ("arm=a", "arm=b")}
    assert seeds["arm=a"] == seeds["arm=b"] and len(set(seeds["arm=a"])) == 3
    first = summarize(sweep, ledger)[0]
    values = [
        max(row["metrics"]["val/score"] for row in ledger.read_rows(trial))
        for trial in ledger.of_arm("arm=a", "search")
    ]
    assert first.metrics["val/score"] == pytest.approx(sum(values) / 3)
    spread = pd.Series(values).std() / 3**0.5
    assert first.margins["val/score"] == pytest.approx(4.3027 * spread, rel=1e-4)


def test_what_no_search_chose_is_judged_on_the_test_split(tmp_path: Path) -> None:
    sweep, searched = (noop_sweep(tmp_path, **changes) for changes in (SEEDS, {}))
    trial = drive(sweep, tmp_path / "sweep", lambda trial, epoch: epoch / 10).of_arm("arm=a", "search")[0]
    task = Task("evaluate", trial)
    splits = [
        Tasks(each, tmp_path, Capacity((Machine(2),))).make_config(task)["spec"]["splits"] for each in (sweep, searched)
    ]
    assert splits == [("test",), ()]


def test_the_last_table_shows_renderings_below_their_arm(tmp_path: Path) -> None:
    sweep = sung(tmp_path, **SEEDS | {"params": None, "compare": None})
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: float(epoch))
    for trial in ledger.trials.values():
        rendering = {
            "name": "voice=loud",
            "settings": {"voice": "loud"},
            "folder": "r",
            "metrics": {"val/sound_score": 0.25},
        }
        ledger.evaluate(trial, {}, [rendering])
    ledger.write(Started(record={"references": []}))
    console = Console(record=True, width=80)
    Screen(console).print_results(sweep, ledger)
    shown = console.export_text()
    assert "means over the seeds of each arm" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["all", "3", "of", "3"] in [line[:4] for line in lines]
    assert ["voice=loud", "0.250"] in lines


def test_an_arm_that_does_not_report_the_objective_is_refused(tmp_path: Path) -> None:
    said = mistake(tmp_path, compare={"pitch": ["low", "mute"]}, evaluate=None)
    assert "objective.metric: arm pitch=mute does not report val/score; it reports: val/silence" in said


def test_seeds_do_not_become_searched_trials_under_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    keep_search_space(tmp_path / "tiny", noop_sweep(tmp_path, **SEEDS))
    (tmp_path / "tiny" / "sweep.jsonl").write_text("{}\n")
    keep_search_space(tmp_path / "tiny", noop_sweep(tmp_path, **SEEDS | {"budget": {"seeds": 5, "max_epochs": 2}}))
    searched = SEEDS | {"budget": {"trials_per_arm": 5, "max_epochs": 2}}
    with pytest.raises(UserError, match="was run with another search space"):
        keep_search_space(tmp_path / "tiny", noop_sweep(tmp_path, **searched))
