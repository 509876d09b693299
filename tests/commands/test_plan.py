import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.planning.contents import Plan, print_plan
from orchestrator.commands.planning.expectation import Spread
from orchestrator.commands.planning.plan import make_plan
from orchestrator.search_space.reader import Sweep, read_search_space
from tests.support.net_space import COMPARE, WITHOUT_COMPARE, go_to_net, read, with_presets
from tests.support.spaces import noop_sweep

LOSSES = """
name: losses
trainable: autoencoder
corpus: {name: demo}
objective: {metric: val/judge_probability, mode: max}
compare: {loss: [l1, l2, vae]}
baseline: {loss: l2}
params: {spectrogram: 48x128, latent_dim: 128, lr: {loguniform: [1e-4, 3e-3]}}
budget: {trials_per_arm: 8, max_epochs: 12}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    return go_to_net(tmp_path, monkeypatch)


def losses(overrides: list[str]) -> Sweep:
    """Three losses of the autoencoder, of which two are tested against a baseline."""
    Path("losses.yaml").write_text(LOSSES)
    return read_search_space(Path("losses.yaml"), overrides=overrides)


def shown(plan: Plan, width: int = 100) -> str:
    stream = io.StringIO()
    print_plan(plan, Console(file=stream, width=width), 5 * 10**9)
    return stream.getvalue()


def test_a_plan_counts_trials_by_where_they_come_from() -> None:
    plan = make_plan(read(overrides=["search.startup_trials=3", "confirm={top: 2, seeds: 2}"]))
    counts = [(arm.name, arm.trials, arm.startup, arm.proposed, arm.confirm) for arm in plan.arms]
    assert counts == [(f"loss={loss}", 8, 3, 5, 4) for loss in ("l1", "l2", "vae")]
    assert plan.trials == 3 * 12
    assert [list(arm.searched) for arm in plan.arms] == [["lr"], ["lr"], ["lr", "kl_weight"]]


def test_no_more_is_confirmed_than_was_searched() -> None:
    plan = make_plan(read(overrides=["budget.trials_per_arm=2", "confirm={top: 5, seeds: 3}"]))
    assert [arm.confirm for arm in plan.arms] == [6, 6, 6]


def test_without_pruning_every_trial_runs_to_its_end() -> None:
    plan = make_plan(read(overrides=["pruning=none"]))
    assert plan.most_epochs == plan.least_epochs == 3 * 8 * 12
    assert plan.epochs == Spread(288, 288, 288)
    assert [(rung.epoch, rung.expected.mean) for rung in plan.rungs] == [(12, 24)]
    assert "epochs: 288 (nothing is pruned)" in shown(plan)


def test_a_plan_says_how_many_trials_are_expected_to_reach_each_rung() -> None:
    plan = make_plan(read())
    assert [(rung.epoch, rung.most) for rung in plan.rungs] == [(2, 24), (6, 24), (12, 24)]
    first, second, last = (rung.expected for rung in plan.rungs)
    assert first.low == first.high == 24
    # One in three continues, and more of the first trials, with which nothing could be compared.
    assert 3 * 3 <= second.low <= second.mean <= second.high < 24
    assert 3 <= last.low <= last.mean < second.mean
    # Rungs at 2 and 6 of 12 epochs: the synchronous form of the rule continues 8, then 3, then 1 trials of an arm.
    assert plan.least_epochs == 3 * (8 * 2 + 3 * 4 + 1 * 6) and plan.epochs
    assert plan.least_epochs < plan.epochs.low <= plan.epochs.mean <= plan.epochs.high < 3 * 8 * 12
    assert re.search(r"│ +6 │ +24 │ +1\d │ +\d+ to \d+ │", shown(plan))
    assert re.search(
        r"epochs: 1\d\d expected with pruning \(\d+ to \d+ in 4 of 5 simulations\), 288 without", shown(plan)
    )


def test_epochs_that_depend_on_curves_have_bounds_only() -> None:
    plan = make_plan(read(overrides=["pruning={kind: patient, patience: 2}"]))
    assert plan.epochs is None and plan.rungs == ()
    assert "epochs: 288 at most, 72 or more when trials stop improving" in shown(plan)


def test_arms_that_are_pruned_against_each_other_share_their_rungs() -> None:
    together, apart = (make_plan(read(overrides=[f"pruning.across_arms={answer}"])) for answer in ("true", "false"))
    # Apart, the first trials of three arms continue without comparison.
    assert together.rungs[-1].expected.mean < apart.rungs[-1].expected.mean
    assert any("against each other" in note for note in together.notes)


def test_confirmation_is_never_pruned() -> None:
    without, with_confirm = (make_plan(read(overrides=[f"confirm={given}"])) for given in ("none", "{top: 3}"))
    assert with_confirm.epochs and without.epochs
    assert with_confirm.epochs.mean - without.epochs.mean == pytest.approx(3 * 3 * 12, rel=0.1)
    assert with_confirm.most_epochs - without.most_epochs == 3 * 3 * 12


def test_a_plan_says_that_tpe_gets_no_trial() -> None:
    plan = make_plan(read(overrides=["search.startup_trials=9"]))
    assert [(arm.startup, arm.proposed) for arm in plan.arms] == [(8, 0)] * 3
    assert "TPE proposes nothing: search.startup_trials (9) takes all of budget.trials_per_arm (8)" in shown(plan)


def test_a_plan_says_where_nothing_is_searched() -> None:
    plan = make_plan(read(WITHOUT_COMPARE, overrides=["params={size: 24x64}"]))
    assert [(arm.startup, arm.proposed) for arm in plan.arms] == [(0, 0)]
    assert "where nothing is searched (all), trials differ by their seeds only" in shown(plan)


def test_what_is_shown_names_arms_domains_skipped_cells_and_time() -> None:
    skip = ("budget:", "skip: [{loss: vae, norm: wide}]\nbudget:")
    text = shown(make_plan(read(COMPARE, skip, overrides=["params.size={choice: [24x64, 48x128]}"])))
    assert "test: 5 arms, 40 trials" in text
    assert "loss=l2, norm=wide" in text
    assert "size choice ['24x64', '48x128']" in text
    assert "lr loguniform [0.0001, 0.003]" in text
    assert "skipped: loss=vae, norm=wide (skip: loss=vae, norm=wide)" in text
    assert "the sweep stops after 2 h (budget.hours)" in text


def test_a_preset_is_planned_as_it_would_run() -> None:
    plan = make_plan(read(with_presets(), preset="big"))
    assert plan.most_epochs == 3 * (8 + 2) * 60


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "nothing is tested, since there is no confirm stage"),
        (["confirm={top: 2, seeds: 2}", "baseline={}"], "nothing is tested, since there is no baseline"),
        (["confirm={top: 2, seeds: 2}"], "unknown, since the spread of score is unknown before the sweep"),
    ],
)
def test_a_plan_says_what_could_be_detected(overrides: list[str], said: str) -> None:
    assert f"detectable: {said}" in shown(make_plan(read(overrides=overrides)), width=400)


def test_a_plan_of_one_arm_says_that_there_is_nothing_to_test_it_against() -> None:
    plan = make_plan(losses(["compare={}", "baseline={}", "confirm={top: 3, seeds: 1}"]))
    assert plan.detectable == "detectable: nothing is tested, since there is one arm"


def test_renderings_of_a_single_arm_are_tested_against_the_one_that_orders_trials() -> None:
    plan = make_plan(read_search_space(Path(__file__).parents[2] / "search_spaces" / "phase_passthrough.yaml"))
    assert plan.detectable == "detectable: unknown, since the spread of mel lsd db is unknown before the sweep"


def test_a_plan_says_that_a_trainable_which_judges_nothing_is_tested_by_nothing(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, budget={"seeds": 3, "max_epochs": 1}, pruning="none", params={"x": 0.5}, search=None)
    assert not sweep.declaration.can_render() and not sweep.declaration.can_evaluate()
    said = "Noop has no evaluate(): no trial is evaluated on the test split"
    assert any(said in note for note in make_plan(sweep).notes)


def test_more_trainings_detect_smaller_differences() -> None:
    none, few, many = (
        shown(make_plan(losses([f"confirm={{top: {top}, seeds: {seeds}}}"])), width=400)
        for top, seeds in ((1, 1), (3, 1), (5, 5))
    )
    assert "detectable: nothing with 1 configuration × 1 seed an arm" in none
    few, many = (text.split("detectable: a difference of ")[1][:4] for text in (few, many))
    assert 0.03 < float(many) < float(few) < 0.6


@pytest.mark.parametrize(
    ("override", "cure"),
    [("confirm={top: 1, seeds: 2}", "confirm.seeds: 3"), ("confirm={top: 2, seeds: 3}", "confirm.top: 3")],
)
def test_a_plan_of_too_few_trainings_for_a_test_says_how_many_it_takes(override: str, cure: str) -> None:
    said = shown(make_plan(losses([override])), width=400)
    assert re.search(f"detectable: nothing with .* an arm: a test needs three of them; use {cure}", said)


@pytest.mark.parametrize(
    ("overrides", "contrasts"),
    [
        ([], "2 contrasts"),
        # A factor without a baseline is not tested, and there is no baseline arm then to depart from.
        (["compare.clip_statistics=[predicted, own]"], "2 contrasts"),
        (["compare.latent_dim=[64, 128]", "baseline={loss: l2, latent_dim: 128.0}"], "6 contrasts"),
        (["evaluate={phase: [original, griffin_lim, zero]}", "objective.at={phase: zero}"], "4 contrasts"),
        (["evaluate={phase: [original, griffin_lim, zero]}"], "2 contrasts"),
    ],
)
def test_a_plan_counts_what_the_report_will_test(overrides: list[str], contrasts: str) -> None:
    given = ["confirm={top: 3, seeds: 1}", *overrides]
    assert f", {contrasts}," in shown(make_plan(losses(given)), width=400)
