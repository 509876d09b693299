"""Which starts of a sweep followed a look at the test split, as its log tells it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.driver.provenance import find_looks
from orchestrator.state.events.base import Event
from orchestrator.state.events.drivers import Started
from orchestrator.state.events.trials import Evaluated
from orchestrator.state.trial import Rendering


def start(**trials: int) -> Event:
    return Started(record={"arms": arms(**trials)})


def arms(**trials: int) -> dict[str, Any]:
    return {f"loss={loss}": {"trials": number, "epochs": 2} for loss, number in trials.items()}


def evaluated(trial: int, **metrics: float) -> Event:
    return Evaluated(trial=trial, metrics={f"{name}/score": x for name, x in metrics.items()})


JUDGED = evaluated(1, test=0.5)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([start(l2=3, vae=3), JUDGED, evaluated(2, test=0.5)], [{"arms": ["loss=vae"], "judged": 2}]),
        ([start(l2=3, vae=4), JUDGED], []),
        ([start(l2=3, vae=3)], []),
        ([start(l2=3, vae=3), evaluated(1, val=0.5)], []),
        ([start(l2=3, vae=3), start(l2=3, vae=4), JUDGED], []),
        (
            [start(l2=3, vae=2), JUDGED, start(l2=3, vae=3), JUDGED, start(l2=3, vae=3)],
            [{"arms": ["loss=vae"], "judged": 1}, {"arms": ["loss=vae"], "judged": 1}],
        ),
        # A log of a version that did not say what it planned.
        ([Started(), JUDGED], []),
    ],
)
def test_more_trials_after_the_test_split_has_judged_some_are_a_look(
    events: list[Event], expected: list[dict[str, Any]]
) -> None:
    assert find_looks(events, arms(l2=3, vae=4)) == expected


def test_more_epochs_are_a_look_too_and_renderings_are_judged() -> None:
    rendering: Rendering = {"name": "loud", "settings": {}, "folder": "r", "metrics": {"test/score": 0.5}}
    events = [start(l2=3), Evaluated(trial=1, metrics={}, renderings=[rendering])]
    assert find_looks(events, {"loss=l2": {"trials": 3, "epochs": 3}}) == [{"arms": ["loss=l2"], "judged": 1}]
