import base64
import json
import socket
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import UserError
from orchestrator.state.curve import Objective
from orchestrator.tracking import ui
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.links import SweepPages, link_lines, tunnel
from orchestrator.tracking.saved_views import TAG_PREFIX
from orchestrator.tracking.sweep_views import BY_ARM, COMPARE, CURVES, PARAMETERS, TOP, Seen
from tests.support.sweep_folder import SweepFolder

PAGES = SweepPages("my sweep", "3", "ab" * 16)
SEEN = Seen(
    "my sweep",
    "5eed",
    PAGES.run_id,
    Objective("val/fvu", "min"),
    compared=["loss"],
    searched=["lr", "kl_weight", "width", "slope"],
    best=[f"{number:032x}" for number in range(12)],
    pictures=[f"spectrogram/dog_{number}" for number in range(8)],
    charted=["val/fvu", "val/judge_accuracy"],
    shared=["lr", "width"],
    log_scaled=["lr", "kl_weight"],
)


def state_of(tag: str) -> dict[str, Any]:
    packed = json.loads(tag)["state"].removeprefix("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def query_of(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(urlsplit(link).fragment).query)


def test_every_link_opens_the_pages_for_model_training() -> None:
    links = [PAGES.trials(), PAGES.charts(CURVES), PAGES.spectrograms(), PAGES.listen(), PAGES.compare(["a", "b"])]
    assert [query_of(link)["workflowType"] for link in links] == [["machine_learning"]] * 5


def test_the_compare_link_names_its_runs() -> None:
    query = query_of(PAGES.compare(["a1", "b2"]))
    assert (json.loads(query["runs"][0]), json.loads(query["experiments"][0])) == (["a1", "b2"], ["3"])


def test_a_prepared_view_is_found_under_the_key_of_its_link() -> None:
    views = PAGES.make_view_tags(SEEN, 1)
    charts = [PAGES.charts(purpose) for purpose in (CURVES, BY_ARM, PARAMETERS, TOP, COMPARE)]
    links = PAGES.trials(), PAGES.spectrograms(), *charts
    keys = [query_of(link)["viewStateShareKey"][0] for link in links]
    assert set(views) == {TAG_PREFIX + key for key in keys}
    # MLflow's page writes no longer ones; the server takes four times as many characters.
    assert max(map(len, views.values())) <= 5000


def test_a_prepared_view_sorts_by_the_objective_in_its_direction() -> None:
    falling, rising = (
        state_of(
            PAGES.make_view_tags(replace(SEEN, objective=Objective("val/fvu", mode)), 1)[f"{TAG_PREFIX}my-sweep-all"]
        )
        for mode in ("max", "min")
    )
    assert falling["orderByKey"] == rising["orderByKey"] == "metrics.`best/val_fvu`"
    assert (falling["orderByAsc"], rising["orderByAsc"]) == (False, True)


def test_a_loss_that_differs_between_arms_has_no_chart(sweep: SweepFolder) -> None:
    metrics = {name: {"comparable": "all"} for name in ("val/judge_probability", "val/judge_accuracy", "val/fvu")}
    domains = {"lr": {"loguniform": [1e-4, 1e-2]}}
    arms = {"loss=l1": {"searched": domains}, "loss=vae": {"searched": domains | {"kl_weight": {"uniform": [0, 4]}}}}
    sweep.start(metrics=metrics | {"val/loss": {"comparable": "same_loss"}}, arms=arms)
    charts = []
    for trial, loss in enumerate(("l1", "vae"), 1):
        searched = {"lr": 1e-3, "kl_weight": 2.0} if loss == "vae" else {"lr": 1e-2}
        sweep.whole_trial(trial, loss, searched=searched)
        follow(sweep.path, once=True)
        experiment = sweep.client.get_experiment_by_name("vae")
        assert experiment is not None
        states = {
            purpose: state_of(experiment.tags[f"{TAG_PREFIX}vae-{purpose}"]) for purpose in ("curves", "parameters")
        }
        charts.append({chart["metricKey"]: chart["deleted"] for chart in states["curves"]["compareRunCharts"]})
    drawn = {"val/judge_probability": False, "val/judge_accuracy": False, "val/fvu": False}
    assert charts[0] == drawn | {"val/loss": False, "best/val_judge_probability": False}
    deleted = dict.fromkeys(["val/loss", "best/val_loss", "train/loss"], True)
    assert charts[1] == drawn | {"best/val_judge_probability": False} | deleted
    parallel, *scatters = states["parameters"]["compareRunCharts"][:3]
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (
        ["loss"],
        ["param/log10_lr", "best/val_judge_probability"],
    )
    assert [chart["xaxis"] for chart in scatters] == [
        {"key": "param/log10_lr", "type": "METRIC"},
        {"key": "kl_weight", "type": "PARAM"},
    ]
    assert [sweep.run(trial).data.metrics["param/log10_lr"] for trial in (1, 2)] == [-2, -3]


def test_the_views_filter_and_order_find_the_trials_best_first(sweep: SweepFolder) -> None:
    other = SweepFolder(sweep.home, "other")
    for each, trials in ((sweep, (1, 2)), (other, (3,))):
        each.start()
        for trial in trials:
            each.whole_trial(trial)
        follow(each.path, once=True)
    experiment = sweep.client.get_experiment_by_name("vae")
    assert experiment is not None
    state = state_of(experiment.tags[f"{TAG_PREFIX}vae-all"])
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    found = sweep.client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=[order])
    assert [run.info.run_name for run in found] == ["t02-vae-lr3e-4", "t01-vae-lr3e-4"]
    for column in state["selectedColumns"]:
        kind, name = column.split(".", 1)
        assert name.strip("`") in getattr(found[0].data, kind)


def test_addresses_are_printed_only_where_a_server_answers(tmp_path: Path) -> None:
    tracking = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "links": {"trials": "#/t"}}
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        command = f"Compare them:  orchestrate ui vae --home {tmp_path}"
        assert link_lines("vae", tracking, tmp_path, port) == [command]
        server.listen()
        assert link_lines("vae", tracking, tmp_path, port) == [command, f"  trials        http://127.0.0.1:{port}/#/t"]


@pytest.mark.parametrize(("links", "purpose"), [({"listen": "#/l"}, "Hear and compare them"), ({}, "Compare them")])
def test_only_a_sweep_with_sounds_can_be_heard(tmp_path: Path, links: dict[str, str], purpose: str) -> None:
    tracking = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "links": links}
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        lines = link_lines("vae", tracking, tmp_path, unused.getsockname()[1])
    assert lines[-1] == f"{purpose}:  orchestrate ui vae --home {tmp_path}"


@pytest.mark.parametrize(
    ("connection", "command"),
    [("1.2.3.4 50000 10.0.0.5 22", "ssh -N -L 5000:127.0.0.1:5000 {user}@10.0.0.5"), ("", None)],
)
def test_over_ssh_the_tunnel_is_told(monkeypatch: pytest.MonkeyPatch, connection: str, command: str | None) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.setenv("LOGNAME", "ada")
    assert tunnel(5000) == (command and command.format(user="ada"))


def test_the_newest_sweep_is_shown_unless_one_is_named(tmp_path: Path) -> None:
    for name in ("second", "first"):
        SweepFolder(tmp_path, name).start()
    assert ui.find_sweep(tmp_path, None).name == "first"
    assert ui.find_sweep(tmp_path, "second").name == "second"
    with pytest.raises(UserError, match="Did you mean 'second'"):
        ui.find_sweep(tmp_path, "secnd")


def test_a_home_without_sweeps_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep has been run here"):
        ui.serve(tmp_path, None, 5000)


def test_a_taken_port_is_said_with_a_free_one(tmp_path: Path) -> None:
    SweepFolder(tmp_path).start()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} on 127.0.0.1 is taken .* --port \d+"):
            ui.serve(tmp_path, None, port)
    with pytest.raises(UserError, match="browsers refuse"):
        ui.serve(tmp_path, None, 6000)


@pytest.mark.parametrize("command", [["ui"], ["listen", "vae"]])
@pytest.mark.parametrize("port", ["0", "99999"])
def test_a_port_that_there_is_not_is_refused(command: list[str], port: str) -> None:
    done = CliRunner().invoke(app, [*command, "--port", port])
    assert (done.exit_code, "Invalid value for '--port'" in done.output) == (2, True)


def test_runs_on_a_server_are_linked_there_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.start()
    link = PAGES.listen()
    told = {"tracking_uri": "https://mlflow.example/", "links": {"listen": link}}
    (sweep.path / "tracking.json").write_text(json.dumps(told))
    ui.serve(tmp_path, "vae", 6000)
    assert f"https://mlflow.example/{link}" in capsys.readouterr().out
