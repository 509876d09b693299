"""Names and values that MLflow refuses: they cost no trial, and nobody is told that MLflow has everything."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from mlflow.utils.validation import _validate_metric_name
from rich.console import Console

from orchestrator.commands.status import collect_status, show_status
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.batches import Batch, describe_left_out, send
from orchestrator.tracking.client import Refused
from orchestrator.tracking.saved_views import TAG_PREFIX
from orchestrator.tracking.sender import is_behind
from reports.runs.frames import read_sweep
from reports.vocabulary import from_mlflow, to_mlflow
from tests.support.sweep_folder import SweepFolder
from tests.tracking.test_links import state_of

LONG = "x" * 300


def shown(sweep: SweepFolder) -> str:
    console = Console(width=400, record=True, file=open("/dev/null", "w"))
    show_status(sweep.home, sweep.name, as_json=False, console=console)
    return console.export_text()


def test_every_name_is_escaped_to_one_that_mlflow_takes_and_read_back() -> None:
    parts = ("_", "0x", "4", "@", "/", ".", "é", "\n")
    names = ["".join(chosen) for length in range(6) for chosen in itertools.product(parts, repeat=length)]
    escaped = [to_mlflow(name) for name in names]
    for name in escaped:
        _validate_metric_name(name)
    assert [from_mlflow(name) for name in escaped] == names
    assert len(set(escaped)) == len(set(names))


@pytest.mark.parametrize(
    "name", ["val/fvu", "best/val_fvu", "time/epoch_s", "size px: 3", "a-b.c", "max_xent", "größe"]
)
def test_a_name_that_mlflow_takes_stays_as_it_is(name: str) -> None:
    assert to_mlflow(name) == from_mlflow(name) == name


def test_a_metric_with_a_character_that_mlflow_refuses_loses_nothing(sweep: SweepFolder) -> None:
    sweep.start(objective={"metric": "val/acc@5", "mode": "max"}, compare=["size (px)"], metrics={})
    for trial in (1, 2):
        sweep.ask(trial, compared={"size (px)": 64 * trial}, searched={"lr+": 1e-3})
        for epoch in (1, 2):
            sweep.report(trial, epoch, **{"acc@5": 0.1 * epoch * trial, "50%": 0.5})
        sweep.end(trial)
    sweep.close()
    follow(sweep.path, once=True)
    run = sweep.run(1)
    assert run.info.status == "FINISHED"
    assert sweep.steps(1, "val/acc_0x40_5") == sweep.steps(1) == [1, 2]
    assert run.data.metrics["best/val_acc_0x40_5"] == 0.2
    assert run.data.params["size _0x28_px_0x29_"] == "64"
    assert "MLflow: has everything." in shown(sweep)
    # The views order by what is there, and the report reads the names as they were.
    experiment = sweep.client.get_experiment_by_name("vae")
    assert experiment is not None
    state = state_of(experiment.tags[f"{TAG_PREFIX}vae-all"])
    order = [f"{state['orderByKey']} DESC"]
    ordered = sweep.client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=order)
    assert [each.info.run_name[:3] for each in ordered] == ["t02", "t01"]
    assert {"metrics.`best/val_acc_0x40_5`", "params.`lr_0x2b_`"} <= set(state["selectedColumns"])
    runs = read_sweep(sweep.client, "vae")
    assert list(runs.trials["size (px)"]) == ["64", "128"] and list(runs.trials["best/val_acc@5"]) == [0.2, 0.4]
    assert list(runs.read_histories(["val/acc@5"])["val/acc@5"]) == [0.1, 0.2, 0.2, 0.4]


def test_a_name_that_is_too_long_is_left_out_and_said(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.ask(2)
    for epoch in (1, 2):
        sweep.report(2, epoch, **{LONG: 0.5})
        follow(sweep.path, once=True)
    sweep.end(2)
    sweep.close()
    follow(sweep.path, once=True)
    run = sweep.run(2)
    assert (run.info.status, sweep.steps(2), sweep.run(1).info.status) == ("FINISHED", [1, 2], "FINISHED")
    reason = "its name has more than 250 characters"
    assert run.data.tags["orchestrate.left_out"].startswith(f"metric val/{LONG}: {reason}")
    assert "orchestrate.left_out" not in sweep.run(1).data.tags
    assert f"MLflow: has everything but metric val/{LONG} of trial 2 ({reason})" in shown(sweep)
    mlflow = collect_status(read_snapshot(sweep.home, "vae"))["mlflow"]
    assert (mlflow["complete"], mlflow["sent"]) == (False, True)
    assert not is_behind(sweep.path), "sending again would bring nothing"
    # The next process knows it too.
    sweep.event("redirected", tracking_uri=sweep.uri, artifact_root=sweep.artifact_root)
    follow(sweep.path, once=True)
    assert "has everything but" in shown(sweep)


def test_a_long_param_is_cut_and_a_long_reason_holds_nothing_back(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1, compared={"loss": "l" * 7000})
    sweep.report(1, 1)
    sweep.end(1, "failed", "error", "r" * 9000, epochs=1)
    follow(sweep.path, once=True)
    (run,) = (run for name, run in sweep.runs().items() if name.startswith("t01"))
    assert run.info.status == "FAILED" and len(run.data.params["loss"]) == 6000
    assert len(run.data.tags["orchestrate.reason"]) == 8000
    assert "param loss of trial 1 (only its first 6000 characters are there)" in shown(sweep)


def test_what_is_no_number_is_left_out_and_the_rest_arrives(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1, flag=True, text="high")  # type: ignore[arg-type]
    sweep.end(1, epochs=1)
    follow(sweep.path, once=True)
    assert sweep.run(1).info.status == "FINISHED" and sweep.steps(1) == [1]
    assert "metric val/flag of trial 1 (its values are not all numbers)" in shown(sweep)


def test_more_names_than_one_call_may_have_all_arrive(sweep: SweepFolder) -> None:
    sweep.start()
    many = {f"p{number}": "v" * 5000 for number in range(250)}
    sweep.ask(1, searched=many)
    for epoch in (1, 2):
        sweep.report(1, epoch, **{f"metric_{number}": 0.5 for number in range(1500)})
    sweep.end(1)
    follow(sweep.path, once=True)
    run = sweep.run(1)
    assert run.info.status == "FINISHED" and many.items() <= run.data.params.items()
    assert sum(name.startswith("val/metric_") for name in run.data.metrics) == 1500


def test_what_mlflow_refuses_for_whatever_reason_is_found_by_halves() -> None:
    bad = {("metric", "val/7"), ("param", "p3")}
    arrived: set[tuple[str, str]] = set()
    calls = 0

    def call(batch: Batch) -> None:
        nonlocal calls
        calls += 1
        if bad & set(batch.keys):
            raise Refused("not that one")
        arrived.update(batch.keys)

    batch = Batch({f"val/{n}": [(0.5, 1, 1)] for n in range(100)}, {("param", f"p{n}"): "1" for n in range(100)})
    assert send(batch, call) == dict.fromkeys(bad, "not that one")
    assert arrived == set(batch.keys) - bad
    assert calls < 40


def test_what_is_missing_of_many_runs_is_one_line() -> None:
    left_out = {f"trial {number}": {"metric val/x": "refused", f"param p{number}": "cut"} for number in range(1, 6)}
    assert describe_left_out(left_out) == (
        "metric val/x of trial 1, trial 2, trial 3 and 2 more (refused), param p1 of trial 1 (cut), "
        "param p2 of trial 2 (cut) and 3 more"
    )
    assert describe_left_out({}) == ""


def test_a_param_that_mlflow_has_with_another_value_loses_no_trial(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.ask(1)
    follow(sweep.path, once=True)
    (sweep.trial(1) / "mlflow.json").unlink()
    text = (sweep.path / "sweep.jsonl").read_text()
    (sweep.path / "sweep.jsonl").write_text(text.replace('"latent_dim": 128', '"latent_dim": 64'))
    sweep.report(1, 1)
    sweep.end(1, epochs=1)
    follow(sweep.path, once=True)
    assert sweep.run(1).info.status == "FINISHED" and sweep.steps(1) == [1]
    assert "param latent_dim of trial 1" in shown(sweep)


def test_a_trial_that_an_older_version_lost_is_sent_again(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    sweep.close()
    size = (sweep.path / "sweep.jsonl").stat().st_size
    said = {"complete_bytes": size, "remark": "trial 1: MLflow refused what was sent (…)"}
    path: Path = sweep.path / "tracking.json"
    path.write_text(json.dumps(said))
    assert is_behind(sweep.path)
    follow(sweep.path, once=True)
    assert not is_behind(sweep.path) and sweep.steps(1) == [1, 2]
