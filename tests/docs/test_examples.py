"""The files in docs/examples do what the README says of them."""

from __future__ import annotations

import html
import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from orchestrator import load
from orchestrator.cli import main
from orchestrator.commands.check import check
from orchestrator.commands.compare import compare
from orchestrator.commands.planning.plan import make_plan
from orchestrator.commands.report import write_reports
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.models.champion import load_best
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MY_NET = EXAMPLES / "my_net.yaml"
TWO_MOONS = EXAMPLES / "two_moons.yaml"
DIGITS = EXAMPLES.parents[1] / "search_spaces" / "digits.yaml"
AUDIO = re.compile(r"\b(audio|sounds?|clips?|judges?|spectrograms?|recordings?|listen\w*|hear\w*)\b", re.IGNORECASE)
"""Words that a sweep without sound has no use for."""
NOTEBOOK = EXAMPLES / "read_results.ipynb"
MOST_CELLS = 10
SMALL = ("budget.seeds=2", "budget.max_epochs=10", "compare.activation=[linear, relu]")


def read_cells(kind: str) -> list[dict[str, Any]]:
    """Return the cells of the notebook of one kind, `code` or `markdown`."""
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def moons_home(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the example without sound was run, smaller than its file says."""
    home = tmp_path_factory.mktemp("moons_home")
    (home / "mlflow.db").write_bytes(empty_database.read_bytes())
    run_sweep(read_search_space(TWO_MOONS, overrides=SMALL), home, Screen())
    return home


def test_the_example_of_ones_own_network_trains(
    monkeypatch: pytest.MonkeyPatch, tiny_corpus: Path, tiny_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "corpus.name=folder", "--set", f"corpus.root={tiny_corpus}", "--home", str(tiny_home)]
    monkeypatch.setattr("sys.argv", ["orchestrate", "try", str(MY_NET), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "val/accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("file", [TWO_MOONS, TWO_MOONS.with_suffix(".py"), DIGITS], ids=lambda path: path.name)
def test_a_trainable_without_a_corpus_holds_all_promises_and_no_corpus_is_made(file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    check(file, tmp_path, (), None, said.append)
    assert said[-1] == f"{file}: all 7 promises hold"
    assert list(tmp_path.iterdir()) == []


def test_the_file_without_a_corpus_plans_what_its_head_says() -> None:
    sweep = read_search_space(TWO_MOONS)
    assert sweep.space.corpus is None
    assert len(make_plan(sweep).arms) == 3


def test_the_example_without_a_corpus_trains_and_the_test_split_judges_it(moons_home: Path) -> None:
    champion = load_best("two_moons", moons_home)
    test_rows = champion.evaluate("test")
    assert test_rows is not None
    assert test_rows["accuracy"].mean() > 0.7
    assert champion.config.activation in ("linear", "relu")
    # It judges and renders nothing: its trials were evaluated all the same, before anybody asked.
    trials = Ledger(moons_home / "two_moons", read_only=True).trials.values()
    assert all(trial.test for trial in trials)
    assert test_rows["accuracy"].mean() in [trial.test["test/accuracy"] for trial in trials]
    first = next(iter(trials))
    assert load_best("two_moons", moons_home, first.number).config.activation == first.params["activation"]


def test_tables_and_the_report_of_a_sweep_without_sound_have_no_word_of_audio(moons_home: Path) -> None:
    stream = io.StringIO()
    compare(moons_home, "two_moons", [], "table", Console(file=stream, width=100))
    assert "accuracy" in stream.getvalue() and not AUDIO.search(stream.getvalue())
    write_reports(moons_home, ["two_moons"], None, "html", lambda line: None)
    page = (moons_home / "reports" / "two_moons.html").read_text()
    visible = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))
    assert "accuracy" in visible
    assert not AUDIO.findall(html.unescape(visible))


def test_digits_searches_with_a_gp_below_a_limit_of_weights() -> None:
    sweep = read_search_space(DIGITS)
    plan = make_plan(sweep)
    assert [(arm.trials, arm.sampler, arm.confirm) for arm in plan.arms] == [(9, "GP", 3)] * 3
    assert list(sweep.space.objective.constraints) == ["val/kiloparams"]


def test_the_best_trial_of_an_unknown_sweep_is_one_message(moons_home: Path) -> None:
    with pytest.raises(UserError, match="two_moons"):
        load_best("two_moon", moons_home)
    with pytest.raises(UserError, match="two_moons has no trial 99"):
        load_best("two_moons", moons_home, 99)


def test_the_best_trial_takes_the_arguments_of_load_in_its_order(moons_home: Path) -> None:
    by_keywords = load_best(home=moons_home, name="two_moons")
    assert by_keywords.config == load_best("two_moons", moons_home).config == load_best(home=moons_home).config
    names = [list(inspect.signature(function).parameters)[:2] for function in (load, load_best)]
    assert names[0] == names[1]
    with pytest.raises(UserError, match=r"the sweep comes first, then the home: load_best\('vae', home\)"):
        load_best(str(moons_home), "two_moons")


def test_the_notebook_is_short_and_has_no_outputs() -> None:
    cells = read_cells("code")
    assert len(cells) + len(read_cells("markdown")) <= MOST_CELLS
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_the_notebook_runs_on_the_sweep_that_it_names(moons_home: Path, tmp_path: Path) -> None:
    cells = ["".join(cell["source"]) for cell in read_cells("code")]
    # What Jupyter would show of a cell, its last expression, is evaluated too, and the pictures are kept.
    runner = "\n".join(
        [
            "import json, sys",
            "import matplotlib.pyplot as plt",
            "plt.show = lambda: plt.savefig('curves.png')",
            "namespace = {}",
            "for cell in json.load(sys.stdin):",
            "    exec(compile(cell, 'cell', 'exec'), namespace)",
            "namespace['results'].best.join(namespace['results'].trials['activation'], on='trial').to_csv('best.csv')",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", runner],
        input=json.dumps(cells),
        cwd=tmp_path,
        env={
            **os.environ,
            "ORCHESTRATE_HOME": str(moons_home),
            "MPLBACKEND": "Agg",
            "PYTHONPATH": str(EXAMPLES.parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("two_moons: 4 trials, finished, max val/accuracy\n")
    assert set(pd.read_csv(tmp_path / "best.csv")["activation"]) == {"linear", "relu"}
    assert (tmp_path / "curves.png").stat().st_size > 1000
