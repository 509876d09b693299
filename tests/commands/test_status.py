"""`status`, `why` and `stop`: what they tell of a sweep's folder, while it is driven and after."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.status import collect_status, show_status
from orchestrator.commands.watch import watch
from orchestrator.commands.why import explain
from orchestrator.errors import UserError
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.overview.status_tables import MOST_TRIALS
from orchestrator.steering.stop import stop
from orchestrator.worker.postmortem import ATTEMPT, MACHINE
from tests.support.sweep_folder import SweepFolder

ARMS = {"loss=vae": {"trials": 8, "epochs": 12}, "loss=l1": {"trials": 2, "epochs": 12}}
ENDINGS = (
    ("pruned", "none", "rung 1 of its arm asked for more"),
    ("failed", "oom", "OutOfMemoryError: CUDA out of memory"),
    ("failed", "error", "ValueError: a shape (net.py:7)"),
    ("failed", "timeout", "no epoch within limits.minutes_per_epoch (5)"),
    ("failed", "node", "its process was killed (signal 9)"),
    ("diverged", "nonfinite", "epoch 4: train/loss became nan (smallest σ 1e-06, gradient norm 1e+06)"),
)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """Trial 1 completed, 2 to 7 ended otherwise, 8 stopped by hand, 9 in hand, 10 never begun."""
    folder = SweepFolder(tmp_path)
    folder.start(arms=ARMS)
    folder.whole_trial(1, "l1", epochs=3)
    for number, (outcome, cause, reason) in enumerate(ENDINGS, 2):
        folder.ask(number)
        folder.report(number, 1, judge_probability=0.1 * number)
        folder.end(number, outcome, cause, reason, epochs=1)
    folder.ask(8)
    folder.event("held", trial=8, reason="stopped by hand")
    folder.ask(9)
    folder.report(9, 1, judge_probability=0.95)
    return folder


def shown(home: Path, name: str | None, *, as_json: bool = False) -> str:
    console = Console(width=150, record=True, file=open("/dev/null", "w"))
    show_status(home, name, as_json=as_json, console=console)
    return console.export_text()


def states(folder: SweepFolder) -> dict[int, str]:
    return {trial["trial"]: trial["state"] for trial in collect_status(read_snapshot(folder.home, "vae"))["trials"]}


def test_each_trial_has_its_state_while_the_sweep_runs(folder: SweepFolder) -> None:
    folder.ask(10)
    folder.event("died", trial=10, epochs=0, cause="node", reason="killed")
    with folder.driven():
        assert list(states(folder).values()) == [
            "completed",
            *(ending[0] for ending in ENDINGS),
            "stopped",
            "running",
            "waiting",
        ]
        data = collect_status(read_snapshot(folder.home, "vae"))
    assert data["state"] == "running"
    vae, l1 = (next(arm for arm in data["arms"] if arm["arm"] == name) for name in ARMS)
    assert (vae["trials"], vae["max_epochs"], vae["best_trial"], vae["best"]) == (8, 12, 9, 0.95)
    assert vae["states"] == {"pruned": 1, "failed": 4, "diverged": 1, "stopped": 1, "running": 1, "waiting": 1}
    assert (l1["epochs"], l1["best_trial"]) == (3, 1)


@pytest.mark.parametrize(
    ("closed", "state", "reason"),
    [
        (None, "interrupted", "its driver died and gave no reason"),
        (("interrupted", "Stopped by SIGTERM."), "interrupted", "Stopped by SIGTERM."),
        (("failed", "no judge"), "failed", "no judge"),
        (("finished", ""), "finished", ""),
    ],
)
def test_a_sweep_that_nobody_drives_says_how_it_ended(
    folder: SweepFolder, closed: tuple[str, str] | None, state: str, reason: str
) -> None:
    if closed:
        folder.close(*closed)
    data = collect_status(read_snapshot(folder.home, "vae"))
    assert (data["state"], data["reason"], data["driver"]) == (state, reason, None)
    assert states(folder)[9] == "interrupted"


def test_a_line_for_each_sweep_and_tables_for_one(folder: SweepFolder) -> None:
    other = SweepFolder(folder.home, "night")
    other.start(arms={"loss=l1": {"trials": 1, "epochs": 2}})
    other.whole_trial(1, "l1")
    other.close()
    assert [line.split()[:5] for line in shown(folder.home, None).splitlines()[1:]] == [
        ["vae", "interrupted", "7", "of", "10"],
        ["night", "finished", "1", "of", "1"],
    ]
    text = shown(folder.home, "vae")
    assert text.startswith("vae: interrupted: its driver died and gave no reason")
    assert "ValueError: a shape (net.py:7)" in text and "MLflow: not everything is there; resume sends it." in text


def test_a_narrow_terminal_shows_the_whole_names_of_arms(folder: SweepFolder) -> None:
    console = Console(width=40, record=True, file=open("/dev/null", "w"))
    show_status(folder.home, "vae", as_json=False, console=console)
    assert re.findall(r"\blo[^ ]*…", console.export_text()) == []


def test_of_very_many_trials_those_are_shown_that_run_are_best_or_broke(sweep: SweepFolder) -> None:
    sweep.start(arms={"loss=vae": {"compared": {"loss": "vae"}, "searched": {}, "trials": 300, "epochs": 2}})
    for number in range(1, 301):
        sweep.ask(number)
        sweep.report(number, 1, judge_probability=0.9 if number == 150 else 0.5)
        if number == 7:
            sweep.end(number, "failed", "error", "it broke")
        elif number != 3:
            sweep.end(number)
    console = Console(record=True, width=120)
    show_status(sweep.home, "vae", as_json=False, console=console)
    shown = console.export_text()
    numbers = [int(line.split()[0]) for line in shown.splitlines() if " loss=vae " in line]
    assert numbers == sorted(numbers) and len(numbers) == MOST_TRIALS
    assert {3, 7, 150, 300} <= set(numbers) and "240 more trials; --all shows them." in shown
    show_status(sweep.home, "vae", as_json=False, console=console, shows_all=True)
    assert "more trials" not in console.export_text()


def test_an_mlflow_that_does_not_answer_is_said(folder: SweepFolder) -> None:
    status = {"backlog": 31, "unreachable_since": 1_795_000_000_000, "tracking_uri": "http://there", "error": "refused"}
    (folder.path / "tracking.json").write_text(json.dumps(status))
    assert "31 lines wait." in shown(folder.home, "vae") and "MLflow unreachable since" in shown(folder.home, "vae")
    assert any("MLflow unreachable since" in line for line in explain(folder.home, "vae/1"))


def test_as_json_it_is_whole_and_plain(folder: SweepFolder) -> None:
    found: dict[str, Any] = json.loads(shown(folder.home, "vae", as_json=True))
    assert found["sweep"] == "vae" and len(found["trials"]) == 9
    assert found["trials"][2]["cause"] == "oom"
    assert [each["sweep"] for each in json.loads(shown(folder.home, None, as_json=True))] == ["vae"]


@pytest.mark.parametrize(
    ("number", "sentence", "advice"),
    [
        (1, "Trial 1 (loss=l1) completed", "To train it for longer: orchestrate resume vae --epochs +10 --arm loss=l1"),
        (2, "Trial 2 (loss=vae) pruned: rung 1 of its arm asked for more.", "That is an ordinary end"),
        (
            3,
            "Trial 3 (loss=vae) failed after 1 epoch: out of memory with latent_dim 128 (OutOfMemoryError: CUDA out of "
            "memory).",
            "--retry-failed --only oom --set resources.gpu=1",
        ),
        (4, "Trial 4 (loss=vae) failed after 1 epoch: ValueError: a shape (net.py:7).", "Once the code is mended:"),
        (
            5,
            "too slow, no epoch within limits.minutes_per_epoch (5).",
            "--only timeout --set limits.minutes_per_epoch=MINUTES",
        ),
        (6, "its process was killed (signal 9).", "--retry-failed --only node"),
        (7, "diverged at epoch 4: train/loss became nan (smallest σ 1e-06, gradient norm 1e+06).", "--only nonfinite"),
        (
            9,
            "Trial 9 (loss=vae) interrupted after 1 epoch: its driver died and gave no reason",
            "To continue it: orchestrate",
        ),
    ],
)
def test_why_says_it_in_a_sentence_and_what_helps(
    folder: SweepFolder, number: int, sentence: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATE_HOME", str(folder.home))
    lines = list(explain(folder.home, f"vae/{number}"))
    assert sentence in lines[0]
    assert advice in lines[-1]
    assert any(line.startswith("Parameters: loss=") and line.endswith(f"seed={100 + number}") for line in lines)


def test_why_names_what_broke_off_an_attempt_until_the_trial_is_retried(sweep: SweepFolder) -> None:
    sweep.start(arms=ARMS)
    sweep.ask(1)
    sweep.event("displaced", trial=1, epochs=0, reason="its process was told to end (SIGTERM)")
    told = "An attempt at it was broken off: its process was told to end (SIGTERM)."
    assert told in list(explain(sweep.home, "vae/1"))
    sweep.event("retried", trial=1, reason="again")
    assert told not in list(explain(sweep.home, "vae/1"))


def test_a_machine_with_a_fault_is_named_by_status_and_by_the_trials_that_ran_there_until_the_next_start(
    sweep: SweepFolder,
) -> None:
    sweep.start(arms=ARMS)
    for number, machine in ((1, "a1"), (2, "b2")):
        sweep.ask(number)
        sweep.trial(number).mkdir(parents=True)
        (sweep.trial(number) / "log.txt").write_text(f"{ATTEMPT} 1, now, process 7\n{MACHINE} {machine}, node-7\n")
    text = "node-7 gets no more trials: trials 2, 3, 4 failed there one after the other."
    sweep.event("suspected", machine="b2", fault="left out", text=text)
    assert text in shown(sweep.home, "vae")
    assert text in list(explain(sweep.home, "vae/2")) and text not in list(explain(sweep.home, "vae/1"))
    # The next driver tries the machine again.
    sweep.start(arms=ARMS)
    assert text not in shown(sweep.home, "vae") and text not in list(explain(sweep.home, "vae/2"))


def test_why_asks_for_no_retry_of_a_trial_that_crashed_twice_alike(sweep: SweepFolder) -> None:
    sweep.start(arms=ARMS)
    for number, reason in (
        (1, "its process crashed (Segmentation fault; the stack is in its log)"),
        (2, "killed (signal 9)"),
    ):
        sweep.ask(number)
        for _ in range(2):
            sweep.event("died", trial=number, epochs=0, cause="node", reason=reason)
        sweep.end(number, "failed", "node", f"2 times at epoch 1: {reason}", epochs=0)
    crashed, killed = (list(explain(sweep.home, f"vae/{number}"))[-1] for number in (1, 2))
    assert crashed.startswith("It is not the only death of this kind: another try may end alike. Once the cause")
    assert "the machine may lack memory" in killed and "--only node" in killed and "resources.cpu=CORES" in killed


def test_why_names_the_number_that_is_beyond_those_of_completed_trials(sweep: SweepFolder) -> None:
    sweep.start(arms=ARMS)
    for number, lr in ((1, 1e-4), (2, 3e-4), (3, 1e-2)):
        sweep.ask(number, lr=lr)
        sweep.report(number, 1)
        sweep.end(number, *(("completed",) if number < 3 else ("diverged", "nonfinite", "epoch 2: train/loss is nan")))
    *_, advice = explain(sweep.home, "vae/3")
    assert advice.startswith(
        "Its lr 0.01 is above that of every completed trial of its arm (0.0001 to 0.0003): a narrow"
    )


def test_why_gives_a_processor_no_graphics_card(sweep: SweepFolder) -> None:
    sweep.start(arms=ARMS)
    sweep.ask(1)
    sweep.end(1, "failed", "oom", "the machine had no memory left, and the kernel killed its process", epochs=0)
    *_, advice = explain(sweep.home, "vae/1")
    assert "--set resources.cpu=CORES" in advice and "gpu" not in advice and "a smaller latent_dim" in advice


def test_why_tells_siblings_that_failed_alike_and_the_end_of_the_log(folder: SweepFolder) -> None:
    for number, place in ((11, "a"), (12, "b"), (13, "a")):
        folder.ask(number)
        folder.event("ended", trial=number, outcome="failed", cause="error", reason="KeyError", epochs=0, alike=place)
    log = folder.trial(13) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("--- attempt 1, then\nold\n--- attempt 2, now\n" + "".join(f"line {n}\n" for n in range(20)))
    lines = list(explain(folder.home, "vae/13"))
    assert "Trials that ended alike: 11" in lines
    assert "  line 19" in lines and "  line 8" in lines and not any("line 7" in line or "old" in line for line in lines)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("vae/99", "vae has no trial 99; it has 1 to 9"),
        ("vae", "give a sweep and the number of a trial, such as vae/7"),
        ("12", "give a sweep and the number of a trial, such as vae/12"),
        ("vea/1", "no sweep 'vea'. Did you mean 'vae'?"),
        ("vae/x", "give a sweep and the number"),
    ],
)
def test_a_trial_that_is_not_there_is_said_with_those_that_are(folder: SweepFolder, given: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        list(explain(folder.home, given))
    assert message in str(caught.value)


@pytest.mark.parametrize("arguments", [["status"], ["status", "vae", "--json"], ["why", "vae/1"], ["stop", "vae"]])
def test_looking_needs_neither_torch_nor_ray(folder: SweepFolder, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom orchestrator.cli import main\n"
        "try: main()\nexcept SystemExit as end: print('exit:', end.code)\n"
        "print('heavy:', sorted({'torch', 'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *arguments, "--home", str(folder.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    assert f"exit: {2 if arguments[0] == 'stop' else 0}" in done.stdout


def test_a_sweep_that_cannot_be_read_hides_no_other(folder: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    broken = folder.home / "broken"
    broken.mkdir()
    (broken / "sweep.jsonl").write_text("no line of ours\n{}\n")
    assert "vae" in shown(folder.home, None)
    assert "broken/sweep.jsonl:1: not a line that was written here" in capsys.readouterr().err


def test_an_arm_with_little_left_to_gain_is_named_until_it_is_granted_more(folder: SweepFolder) -> None:
    bound = {"arm": "loss=vae", "regret": 0.00123, "limit": 0.002}
    folder.event("bounded", trials=20, **bound | {"regret": 0.0123})
    assert "no more trials" not in shown(folder.home, folder.name)
    folder.event("bounded", trials=21, **bound)
    left = "by a model of 21 trials, val/judge_probability can still improve by at most 0.0012"
    assert f"loss=vae gets no more trials: {left}." in " ".join(shown(folder.home, folder.name).split())
    state = json.loads(shown(folder.home, folder.name, as_json=True))
    assert {arm["arm"]: arm["early_end"] for arm in state["arms"]} == {"loss=vae": left, "loss=l1": None}
    reason = f"Its arm gets no more trials (budget.stop_when): {left}."
    assert reason not in explain(folder.home, "vae/1") and reason in explain(folder.home, "vae/2")
    folder.event("granted", arm="loss=vae", trials=99)
    assert "no more trials" not in shown(folder.home, folder.name)


def test_an_arm_of_mixed_code_is_marked(folder: SweepFolder) -> None:
    folder.event("attempt", trial=9, attempt=2, code="0ther")
    text = shown(folder.home, "vae")
    assert "loss=vae *" in text and "loss=l1 *" not in text and "* Its trials ran on different code." in text


def test_a_driver_that_has_not_said_where_it_runs_is_not_stopped(folder: SweepFolder) -> None:
    with folder.driven(), pytest.raises(UserError, match="has not written yet where it runs"):
        stop(folder.home, "vae", print)


def read_screen(descriptor: int) -> str:
    """Read what a program has written to a terminal since the last call; empty if it has ended."""
    try:
        return os.read(descriptor, 1 << 16).decode()
    except OSError:
        return ""


def start_watching(home: Path, *names: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start `status --watch` in a terminal; return the process, and the descriptor of what it writes to."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    command = [sys.executable, "-m", "orchestrator", "status", *names, "--watch", "--home", str(home)]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    return process, ours


def test_watch_draws_until_the_sweep_ends_and_the_last_table_stays(folder: SweepFolder) -> None:
    with folder.driven():
        process, ours = start_watching(folder.home, "vae")
        shown = ""
        while "0.9876" not in shown:
            if "vae: running" in shown and "0.95" in shown:
                folder.report(9, 2, judge_probability=0.9876)
            shown += read_screen(ours)
        folder.end(9)
        folder.close()
    last = ""
    while part := read_screen(ours):
        last += part
    assert process.wait() == 0
    assert "vae: finished" in last and "9  loss=vae  completed" in last
    os.close(ours)


def test_watch_ends_with_ctrl_c_and_needs_a_terminal(folder: SweepFolder) -> None:
    with folder.driven():
        process, ours = start_watching(folder.home)
        shown = ""
        while "of 10" not in shown:
            shown += read_screen(ours)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        os.close(ours)
    with pytest.raises(UserError, match="--watch: needs a terminal"):
        watch(folder.home, "vae", Console(file=io.StringIO()))
    with pytest.raises(UserError, match="--watch: not with --json; leave one of them out"):
        CliRunner().invoke(app, ["status", "--watch", "--json"], catch_exceptions=False)
