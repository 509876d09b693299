"""A trial that another sweep of the home has trained is not trained again."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.planning.plan import make_plan
from orchestrator.driver.tasks import make_spec
from orchestrator.policy.reuse import can_link
from orchestrator.policy.trial_key import (
    RESOURCES,
    WITHOUT_EFFECT,
    _find_texts,
    hash_configuration,
    hash_environment,
    make_key,
)
from orchestrator.policy.without_results import search_seed
from orchestrator.search_space.command import Command
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.trials import Linked
from orchestrator.state.ledger import Ledger
from orchestrator.state.origin import linked_line
from orchestrator.state.paths import CHECKPOINT, LAST, OUTBOX, SWEEP_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.attempt import TrialRun
from reports import vocabulary as words
from tests.support.driving import ledger_of
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep, trial_spec

WHOLE = {
    "repeat": False,
    "pruning": "none",
    "search": {"sampler": "sobol"},
    "budget": {"trials_per_arm": 2, "max_epochs": 3},
}
"""Four trials, none of which depends on the results of others."""


def sweep_of(folder: Path, name: str, **changes: Any) -> Sweep:
    return noop_sweep(folder, **{"name": name, **WHOLE, **changes})


def open_rig(sweep: Sweep, home: Path) -> EngineRig:
    return EngineRig(sweep, home / sweep.name)


def train(rig: EngineRig, *, tasks: int = 100) -> list[int]:
    """Let real trials train what the engine hands out, and return their numbers."""
    numbers: list[int] = []
    while len(numbers) < tasks and (trial := rig.hand_out()) is not None:
        numbers.append(trial.number)
        run = TrialRun(spec_of(rig, trial))
        is_over = False
        while not is_over:
            report = {"row": json.dumps(run.step()), "remarks": json.dumps(run.remarks)}
            is_over = rig.engine.handle_report(rig.name, report)
        run.close()
        rig.engine.forget_task(rig.name)
    return numbers


def spec_of(rig: EngineRig, trial: Trial) -> Any:
    spec = make_spec(rig.sweep, rig.folder.parent, trial, gpu=0, threads=1)
    return replace(spec, max_epochs=rig.agenda.budget.epochs(trial.arm))


def metrics_of(ledger: Ledger, trial: Trial) -> list[dict[str, float]]:
    """The metrics of each epoch without its duration, which no two trainings share."""
    rows = [row["metrics"] for row in ledger.read_rows(trial)]
    return [{name: value for name, value in metrics.items() if name != words.EPOCH_S} for metrics in rows]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which the sweep `first` has trained four trials."""
    home = tmp_path / "runs"
    assert train(open_rig(sweep_of(tmp_path, "first"), home)) == [1, 2, 3, 4]
    return home


def test_what_was_trained_is_taken_over_with_the_numbers_of_a_training(home: Path, tmp_path: Path) -> None:
    second = open_rig(sweep_of(tmp_path, "second"), home)
    assert train(second) == []
    repeated = open_rig(sweep_of(tmp_path, "repeated", repeat=True), home)
    assert train(repeated) == [1, 2, 3, 4]
    ledger = ledger_of(second.sweep, home / "second")
    for number, trial in ledger.trials.items():
        twin = repeated.ledger.trials[number]
        assert trial.origin is not None and trial.origin.name == f"first/{number}" and trial.id != twin.id
        assert (trial.outcome, trial.epochs, trial.best_value) == (twin.outcome, twin.epochs, twin.best_value)
        assert metrics_of(ledger, trial) == metrics_of(repeated.ledger, twin)
        # None of it was spent here.
        assert (trial.trained_epochs, trial.curve.spent_s) == (0, 0.0) and trial.curve.trained_s > 0
        assert twin.curve.spent_s == twin.curve.trained_s > 0
    assert sum(tally.epochs for tally in ledger.tallies.values()) == 0
    lines = [linked_line([trial.origin for trial in each.trials.values()]) for each in (ledger, repeated.ledger)]
    assert lines == ["4 of 4 trials were reused from first: 12 epochs spared.", None]


def test_a_trial_that_was_taken_over_goes_on_without_the_other_sweep_and_is_taken_over_in_turn(
    home: Path, tmp_path: Path
) -> None:
    train(open_rig(sweep_of(tmp_path, "second"), home))
    shutil.rmtree(home / "first")
    third = open_rig(sweep_of(tmp_path, "third"), home)
    assert train(third) == []
    origins = [trial.origin for trial in third.ledger.trials.values()]
    assert [origin and origin.name for origin in origins] == [f"second/{number}" for number in (1, 2, 3, 4)]
    longer = sweep_of(tmp_path, "third", budget={"trials_per_arm": 2, "max_epochs": 5})
    assert train(open_rig(longer, home)) == [1, 2, 3, 4]
    ledger = Ledger(home / "third", read_only=True)
    whole = open_rig(sweep_of(tmp_path, "whole", budget={"trials_per_arm": 2, "max_epochs": 5}), home)
    assert train(whole) == [1, 2, 3, 4], "three epochs and two more are not the five of another max_epochs"
    for trial in ledger.trials.values():
        assert metrics_of(ledger, trial) == metrics_of(whole.ledger, whole.ledger.trials[trial.number])
        assert (trial.epochs, trial.trained_epochs) == (5, 2)


def test_a_kill_leaves_a_trial_that_is_taken_over_or_has_no_epoch(home: Path, tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "second")
    train(open_rig(sweep, home))
    log = home / "second" / SWEEP_LOG
    whole = log.read_text()
    lines = whole.splitlines(keepends=True)
    assert [json.loads(line)["event"] for line in lines] == ["asked", "linked"] * 4
    for kept in (lines[:1], [*lines[:2], lines[2][:20]], lines[:3], [*lines[:3], lines[3][:40]]):
        log.write_text("".join(kept))
        part = trial_folder(home / "second", 1).with_name("0002.part")
        (part / "media").mkdir(parents=True)
        again = open_rig(sweep, home)
        assert train(again) == [] and not part.exists()
        assert {trial.outcome for trial in again.ledger.trials.values()} == {"completed"}
        assert [trial.epochs for trial in Ledger(home / "second", read_only=True).trials.values()] == [3] * 4

    # The folder is there, but not the event; and the other sweep is gone.
    log.write_text("".join(lines[:3]))
    shutil.rmtree(home / "first")
    orphaned = open_rig(sweep, home)
    assert orphaned.ledger.trials[2].epochs == 0
    assert train(orphaned) == [2, 3, 4]
    rows = Ledger(home / "second", read_only=True).read_rows(orphaned.ledger.trials[2])
    assert [(row["epoch"], row["attempt"]) for row in rows] == [(1, 1), (2, 1), (3, 1)]


def test_what_lacks_a_file_or_was_pruned_is_trained(home: Path, tmp_path: Path) -> None:
    (trial_folder(home / "first", 1) / CHECKPOINT / LAST).unlink()
    outbox = trial_folder(home / "first", 2) / OUTBOX
    outbox.write_text("".join(outbox.read_text().splitlines(keepends=True)[:-1]))
    assert train(open_rig(sweep_of(tmp_path, "second"), home)) == [1, 2]

    pruning = {
        "budget": {"trials_per_arm": 5, "max_epochs": 3},
        "pruning": {"grace_epochs": 1, "reduction_factor": 2},
        "seed": 8,
    }
    train(pruned := open_rig(sweep_of(tmp_path, "pruned", **pruning), home))
    outcomes = {number: trial.outcome for number, trial in pruned.ledger.trials.items()}
    assert set(outcomes.values()) == {"completed", "pruned"}
    again = open_rig(sweep_of(tmp_path, "again", **pruning), home)
    assert train(again) == [number for number, outcome in outcomes.items() if outcome == "pruned"]


def test_trials_are_pruned_by_those_that_were_taken_over(home: Path, tmp_path: Path) -> None:
    """As if these had been trained, also when the driver was killed after each task."""
    changes = {
        "budget": {"trials_per_arm": 6, "max_epochs": 3},
        "pruning": {"grace_epochs": 1, "reduction_factor": 2},
    }
    told = []
    for name, tasks in (("whole", 100), ("killed", 1)):
        sweep = sweep_of(tmp_path, name, **changes)
        while train(rig := open_rig(sweep, home), tasks=tasks):
            pass
        assert [trial.number for trial in rig.ledger.trials.values() if trial.origin] == [1, 2, 3, 4]
        shutil.rmtree(home / name)
        told.append([(trial.outcome, trial.epochs, trial.reason) for trial in rig.ledger.trials.values()])
    assert told[0] == told[1]
    assert {"pruned"} < {outcome for outcome, *_ in told[0]}


@pytest.mark.parametrize(
    "changes",
    [
        {"repeat": True},
        {"seed": 8},
        {"budget": {"trials_per_arm": 2, "max_epochs": 4}},
        {"objective": {"metric": "val/error", "mode": "min"}},
        {"limits": {"blowup": 5}},
        {"pruning": {"kind": "patient", "patience": 2}},
    ],
    ids=str,
)
def test_what_differs_is_trained(changes: dict[str, Any], home: Path, tmp_path: Path) -> None:
    assert train(open_rig(sweep_of(tmp_path, "second", **changes), home)) == [1, 2, 3, 4]


def test_a_command_is_always_trained_since_nobody_knows_what_it_reads(tmp_path: Path) -> None:
    space = sweep_of(tmp_path, "first").space
    command = Command(command=("sh", "train.sh"), metrics={"val/loss": "loss=(.*)"})
    assert can_link(space) and not can_link(space.model_copy(update={"trainable": command}))


def test_a_trainable_of_ones_own_without_a_corpus_is_trained_unless_one_says_that_its_data_stay(tmp_path: Path) -> None:
    space = sweep_of(tmp_path, "first").space
    assert space.corpus is None and space.repeat is False
    unsaid = space.model_copy(update={"repeat": None})
    assert not can_link(unsaid)
    assert can_link(unsaid.model_copy(update={"corpus": {"name": "demo"}}))
    assert can_link(unsaid.model_copy(update={"trainable": "classifier"}))


def test_pictures_and_streaming_count_and_a_package_whose_code_may_change_without_its_version_makes_every_trial_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = {"processor": "x", "gpus": []}
    corpus = {"fingerprint": "f", "pictures": "p", "in_memory_bytes": 1}
    record = {"hardware": hardware, "judge": None, "judges": {}, "corpus": corpus}
    environment = hash_environment("code", record)
    assert environment not in (
        "",
        hash_environment("code", {**record, "corpus": {**corpus, "pictures": "q"}}),
        # Clips that are streamed come in another order.
        hash_environment("code", {**record, "corpus": {**corpus, "in_memory_bytes": 0}}),
    )
    package = tmp_path / "lab-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: lab\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed = hash_environment("code", record)
    assert installed not in ("", environment)
    (package / "direct_url.json").write_text('{"url": "file:///lab", "dir_info": {"editable": true}}')
    assert hash_environment("code", record) == ""
    assert make_key(trial_spec(tmp_path), noop_sweep(tmp_path).declaration, "") == ""


def test_trials_of_a_search_have_other_seeds_than_those_that_test_a_configuration(tmp_path: Path) -> None:
    search = noop_sweep(tmp_path)
    repeated = noop_sweep(tmp_path, params={"x": 0.5}, search=None, pruning=None, budget={"seeds": 5, "max_epochs": 2})
    assert not {search_seed(search, index) for index in range(50)} & {
        search_seed(repeated, index) for index in range(50)
    }


def test_a_log_that_lacks_a_trial_gives_none(home: Path, tmp_path: Path) -> None:
    log = home / "first" / "sweep.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in lines if not ('"event":"asked"' in line and '"trial":1,' in line)))
    assert len(log.read_text().splitlines()) == len(lines) - 1
    assert train(open_rig(sweep_of(tmp_path, "second"), home)) == [1, 2, 3, 4]


def test_every_field_of_a_trial_counts_or_is_known_to_change_nothing(tmp_path: Path) -> None:
    spec = trial_spec(tmp_path)
    declaration = noop_sweep(tmp_path).declaration
    key = make_key(spec, declaration, "here")
    values: dict[str, Any] = {
        **dict.fromkeys(("trainable", "objective", "mode"), "other"),
        **dict.fromkeys(("seed", "threads", "gpu", "max_epochs", "blowup", "collapsed_epochs"), 77),
        **dict.fromkeys(("components", "metrics", "judges"), ("other",)),
        **{"config": {"x": 0.9}, "corpus": {"name": "demo"}, "constraints": {"val/error": {"max": 1}}},
    }
    names = {field.name for field in fields(spec)}
    assert names == values.keys() | WITHOUT_EFFECT and not values.keys() & WITHOUT_EFFECT and names > RESOURCES
    for name, value in values.items():
        assert make_key(replace(spec, **{name: value}), declaration, "here") != key, name
    assert make_key(spec, declaration, "there") != key
    # A default is the same as its value in the file.
    assert make_key(replace(spec, config={"x": 0.4, "arm": "a"}), declaration, "here") == key


def test_a_file_that_a_setting_names_counts_and_of_a_folder_nothing_is_known(tmp_path: Path) -> None:
    declaration = noop_sweep(tmp_path).declaration

    def hash_with(value: str) -> str:
        return hash_configuration(trial_spec(tmp_path, config={"arm": value}), declaration)

    absent = hash_with("weights.pt")
    (tmp_path / "weights.pt").write_text("1")
    first = hash_with("weights.pt")
    (tmp_path / "weights.pt").write_text("22")
    assert len({absent, first, hash_with("weights.pt")}) == 3
    (tmp_path / "folder").mkdir()
    assert hash_with("folder") == ""
    assert [*_find_texts({"a": ["b", {"c": ("d", 1, "")}], "e": None})] == ["b", "d"]
    # The trial fails by itself, and not the driver.
    assert make_key(trial_spec(tmp_path, config={"x": 7}), declaration, "here") == ""


def test_a_plan_says_what_is_taken_over_as_far_as_that_is_known(home: Path, tmp_path: Path) -> None:
    budget = {"budget": {"trials_per_arm": 5, "max_epochs": 3}}
    assert (
        "note: 4 of 10 trials of the search were trained before (first 4) and are reused: 12 epochs spared, unless "
        "code, packages, corpus, judges or CPU have changed"
    ) in str(make_plan(sweep_of(tmp_path, "second", **budget), home)).splitlines()
    tpe = sweep_of(tmp_path, "second", **budget, search={"sampler": "tpe", "startup_trials": 1})
    plan = str(make_plan(tpe, home))
    assert "note: 2 of 10 trials of the search were trained before (first 2)" in plan
    assert plan.count("; whether one of the 8 that depend on results was, is not known yet") == 1
    for other in (sweep_of(tmp_path, "second", seed=8), sweep_of(tmp_path, "second", repeat=True)):
        assert "trained before" not in str(make_plan(other, home))
    assert "trained before" not in str(make_plan(sweep_of(tmp_path, "first"), home))


def test_the_log_names_the_trial_that_was_taken_over(home: Path, tmp_path: Path) -> None:
    train(open_rig(sweep_of(tmp_path, "second"), home))
    (event, *_) = [
        event for event in Ledger(home / "second", read_only=True).read_events() if isinstance(event, Linked)
    ]
    first = Ledger(home / "first", read_only=True).trials[1]
    assert (event.sweep, event.number, event.ids, event.key) == ("first", 1, [first.id], first.keys[0])
