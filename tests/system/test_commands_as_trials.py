"""Scripts in any language are searched, pruned, killed and resumed like trainables."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator.commands.check import check
from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger
from tests.support.spaces import write_space
from tests.system.test_sweep import orchestrate, wait_for_rows

SCRIPT = """
state=$1; rate=$2; epochs=$3
if [ -f "$state" ]; then read -r epoch loss < "$state"; else epoch=0; loss=1; fi
while [ "$epoch" -lt "$epochs" ]; do
  sleep 0.3
  epoch=$((epoch + 1))
  loss=$(awk -v loss="$loss" -v rate="$rate" 'BEGIN { printf "%.12f", loss * (1 - rate) }')
  printf '%s %s\\n' "$epoch" "$loss" > "$state.tmp" && mv "$state.tmp" "$state"
  echo "after epoch $epoch the loss is $loss"
done
"""
EPOCHS = 5


def write_shell_space(folder: Path) -> Path:
    (folder / "train.sh").write_text(SCRIPT)
    return write_space(
        folder / "tiny.yaml",
        trainable={
            "command": "sh train.sh {checkpoint} {rate} {max_epochs}",
            "metrics": {"val/loss": r"the loss is (\S+)"},
        },
        objective={"metric": "val/loss", "mode": "min"},
        compare=None,
        params={"rate": {"uniform": [0.1, 0.9]}},
        budget={"trials_per_arm": 4, "max_epochs": EPOCHS},
        pruning={"grace_epochs": 2, "reduction_factor": 2},
    )


@pytest.mark.long
def test_a_shell_script_is_pruned_and_goes_on_exactly_after_a_kill(tmp_path: Path, home: Path) -> None:
    space = write_shell_space(tmp_path)
    driver = orchestrate("sweep", space, "--home", home)
    wait_for_rows(home / "tiny", 3)
    children = psutil.Process(driver.pid).children(recursive=True)
    scripts = [child for child in children if child.name() == "sh"]
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    output, _ = orchestrate("sweep", space, "--home", home).communicate(timeout=300)
    assert not any(script.is_running() and script.status() != psutil.STATUS_ZOMBIE for script in scripts)
    ledger = Ledger(home / "tiny", read_only=True)
    assert {trial.outcome for trial in ledger.trials.values()} == {"completed", "pruned"}, output
    for trial in ledger.trials.values():
        losses = [row["metrics"]["val/loss"] for row in ledger.read_rows(trial)]
        rate = float(trial.params["rate"])
        assert losses == pytest.approx([(1 - rate) ** epoch for epoch in range(1, trial.epochs + 1)], abs=1e-9)
    assert max(trial.epochs for trial in ledger.trials.values()) == EPOCHS


@pytest.mark.long
def test_the_example_of_a_script_holds_all_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    lines: list[str] = []
    check(Path(__file__).parents[2] / "docs" / "examples" / "script.yaml", tmp_path, (), None, lines.append)
    assert lines[-1].endswith("all 7 promises hold"), lines


def test_a_script_that_ends_early_completes_its_trial_and_one_whose_pattern_never_matches_fails(
    tmp_path: Path, home: Path
) -> None:
    changes = {
        "objective": {"metric": "val/loss", "mode": "min"},
        "compare": {"text": ["val_loss", "loss"]},
        "params": {},
        "budget": {"seeds": 1, "max_epochs": 9},
        "pruning": "none",
        "trainable": {
            "command": ["sh", "-c", 'for loss in 3 2; do echo "$1=$loss"; done', "sh", "{text}"],
            "metrics": {"val/loss": r"val_loss=(\S+)"},
        },
    }
    space = write_space(tmp_path / "tiny.yaml", **changes)
    for _ in range(2):
        run_sweep(read_search_space(space), home, Screen())
        early, wrong = Ledger(home / "tiny", read_only=True).trials.values()
        assert (early.outcome, early.epochs, early.reason) == ("completed", 2, "sh ended by itself after 2 epochs")
        assert wrong.outcome == "failed"
        assert "none of its 2 lines matches the pattern of val/loss; its last line: loss=2" in wrong.reason
        assert early.attempts == wrong.attempts == 1
