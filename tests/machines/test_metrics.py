"""What Prometheus and Grafana get of a sweep."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from orchestrator.driver.cluster import start_ray
from orchestrator.machines.metrics import EVERY_S, GAUGES, SweepMetrics
from orchestrator.state.ledger import Ledger
from tests.support.driving import drive
from tests.support.spaces import noop_sweep

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "sweeps.json"
PATIENCE_S = 60


def make_metrics(ledger: Ledger, now_s: list[float]) -> SweepMetrics:
    return SweepMetrics(ledger, lambda: 4, lambda: 3, lambda: False, lambda: now_s[0])


def scrape() -> str:
    node = ray.nodes()[0]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    return str(urllib.request.urlopen(address, timeout=10).read().decode())


def values(name: str) -> dict[str, float]:
    """The values of a metric in Ray's own endpoint, by the arm and the state, without zeros."""
    rows = {}
    for labels, value in re.findall(rf"^ray_{name}{{(.*)}} (\S+)$", scrape(), re.MULTILINE):
        labels_by_name = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if float(value):
            own = [labels_by_name[key] for key in ("arm", "state", "metric") if key in labels_by_name]
            rows[" ".join(own)] = float(value)
    return rows


def wait_for(name: str) -> dict[str, float]:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if rows := values(name):
            return rows
        time.sleep(0.5)
    raise AssertionError(f"{name} is not exported")


@pytest.fixture
def ray_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # By default Ray exports every ten seconds.
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "500")
    with start_ray(tmp_path / "ray.log") as (_, wait_for_ray):
        wait_for_ray()
        yield


def test_rays_endpoint_has_the_state_of_a_sweep(tmp_path: Path, ray_of_a_sweep: None) -> None:
    sweep = noop_sweep(tmp_path, pruning=None)
    ledger = drive(sweep, tmp_path / "tiny", lambda trial, epoch: trial.index + epoch / 10, steps=10)
    (tmp_path / "tiny" / "tracking.json").write_text(json.dumps({"backlog": 7}))
    now_s = [0.0]
    metrics = make_metrics(ledger, now_s)
    metrics.look()
    lag = wait_for("orchestrate_mlflow_lag_lines")
    assert list(lag.values()) == [7]
    # Two trials of four epochs have completed, and the third has two.
    assert values("orchestrate_trials") == {"arm=a completed": 1, "arm=a running": 1, "arm=b completed": 1}
    assert values("orchestrate_epochs") == {"arm=a": 6, "arm=b": 4}
    # A trial that has completed is better than one that runs.
    assert values("orchestrate_best_value") == {"arm=a val/score": 0.4, "arm=b val/score": 0.4}
    assert [*values("orchestrate_slots").values(), *values("orchestrate_slots_used").values()] == [4, 3]
    # Later no trial runs any more.
    drive(sweep, tmp_path / "tiny", lambda trial, epoch: trial.index + epoch / 10)
    metrics.ledger = Ledger(tmp_path / "tiny", read_only=True)
    metrics.look()
    assert values("orchestrate_trials")["arm=a running"] == 1
    now_s[0] += EVERY_S
    metrics.look()
    end_s = time.monotonic() + PATIENCE_S
    while "arm=a running" in values("orchestrate_trials") and time.monotonic() < end_s:
        time.sleep(0.5)
    assert values("orchestrate_trials") == {"arm=a completed": 6, "arm=b completed": 6}


def test_a_metric_that_cannot_be_published_ends_no_sweep(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path), tmp_path / "tiny", steps=3)

    def fail() -> int:
        raise RuntimeError("no slots")

    metrics = SweepMetrics(ledger, fail, lambda: 0, lambda: False)
    metrics.look()
    with pytest.raises(RuntimeError, match="no slots"):
        list(metrics.samples())


def test_the_dashboard_asks_for_metrics_and_labels_that_exist() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    names = {name for query in queries for name in re.findall(r"ray_(orchestrate_\w+)", query)}
    assert names == set(GAUGES)
    for query in queries:
        (name,) = set(re.findall(r"ray_(orchestrate_\w+)", query))
        labels = re.findall(r"by \(([\w, ]+)\)", query)
        assert set(", ".join(labels).split(", ")) - {""} <= set(GAUGES[name][1]), query
