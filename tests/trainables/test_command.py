"""A command as a trainable: what it prints becomes metrics, and it goes on exactly after a kill."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from trainables.command.output import MAX_LINE_BYTES, Output, Parser
from trainables.command.script import CommandTrainable, make_trainable
from trainables.errors import InputError
from trainables.trainable import TrainingOver

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COUNTING = """
import json, os, sys, time
checkpoint, epochs, wait_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
numbered = "numbered" in sys.argv
epoch, total = json.load(open(checkpoint)) if os.path.exists(checkpoint) else (0, 1.0)
print("starts after", epoch)
while epoch < epochs:
    epoch, total = epoch + 1, total * 1.1 + epoch
    if "keeps" in sys.argv and epoch % 2 == 1:
        with open(checkpoint + ".tmp", "w") as file:
            json.dump([epoch, total], file)
        os.replace(checkpoint + ".tmp", checkpoint)
    print(json.dumps({"val/loss": total} | ({"epoch": epoch} if numbered else {})))
    time.sleep(wait_s)
"""
"""A training that saves every second epoch if it `keeps` any, and says the number of each if they are `numbered`."""
EXPECTED = [1.1, 2.21, 4.431, 7.8741, 12.66151]


@contextmanager
def running(folder: Path, command: object, *, epochs: int = 5, **changes: Any) -> Iterator[CommandTrainable]:
    fields = {"command": command, "objective": "val/loss", "mode": "min", "folder": str(folder), "grace_s": 2.0}
    trainable_class = make_trainable(fields | changes)
    config = trainable_class.Config(lr=0.25, name="a b;c")
    trainable = trainable_class(config, None, device="cpu", seed=3)
    trainable.place(folder / "trial", epochs)
    try:
        yield trainable
    finally:
        trainable.close()


def python(folder: Path, code: str, *arguments: str) -> list[str]:
    (folder / "train.py").write_text(code)
    return [sys.executable, "train.py", *arguments]


@pytest.mark.parametrize("flags", [("keeps",), ("numbered",), ("keeps", "numbered"), ()], ids=" ".join)
def test_epochs_after_a_kill_are_those_of_an_undisturbed_run(tmp_path: Path, flags: tuple[str, ...]) -> None:
    command = python(tmp_path, COUNTING, "{checkpoint}", "{max_epochs}", "0.1", *flags)
    losses, state = [], None
    for num_steps in (2, 1, 2):
        with running(tmp_path, command) as trainable:
            if state is not None:
                trainable.load_state_dict(state)
            losses += [trainable.step()["val/loss"] for _ in range(num_steps)]
            state = json.loads(json.dumps(trainable.state_dict()))
            assert trainable._keeper is not None
            trainable._keeper.send_signal(signal.SIGKILL)
    assert losses == pytest.approx(EXPECTED)


def test_a_lightning_script_that_was_ended_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    fields = YAML(typ="safe", pure=True).load(EXAMPLES / "lightning_script.yaml")["trainable"]
    trainable_class = make_trainable({**fields, "objective": "val/loss", "mode": "min", "folder": str(EXAMPLES)})
    losses, state = [], None
    before = set(psutil.Process().children(recursive=True))
    # The first one is ended, as by pruning, with an epoch left; the second one trains its last epoch once more.
    for num_steps in (3, 1):
        trainable = trainable_class(trainable_class.Config(lr=0.01, width=4), None, device="cpu", seed=3)
        trainable.place(tmp_path / "trial", 4)
        if state is not None:
            trainable.load_state_dict(state)
        for _ in range(num_steps):
            losses.append(trainable.step()["val/loss"])
            if len(losses) == 2:
                state = json.loads(json.dumps(trainable.state_dict()))
        trainable.close()
        assert not set(psutil.Process().children(recursive=True)) - before
    assert losses[3] == losses[2] != losses[1]


def test_a_command_that_prints_faster_than_it_is_read_loses_no_epoch(tmp_path: Path) -> None:
    command = python(tmp_path, COUNTING, "{checkpoint}", "{max_epochs}", "0", "keeps")
    losses: list[float] = []
    state: dict[str, Any] = {}
    for _ in range(5):
        with running(tmp_path, command) as trainable:
            if state:
                trainable.load_state_dict(state)
            losses.append(trainable.step()["val/loss"])
            state = trainable.state_dict()
    assert losses == pytest.approx(EXPECTED)


def test_a_checkpoint_that_a_kill_left_half_written_is_replaced_by_its_copy(tmp_path: Path) -> None:
    command = python(tmp_path, COUNTING, "{checkpoint}", "{max_epochs}", "0.1", "keeps")
    with running(tmp_path, command) as trainable:
        first = trainable.step()["val/loss"]
        state = trainable.state_dict()
    (tmp_path / "trial" / "checkpoint").write_text("[1, 1.")
    with running(tmp_path, command) as trainable:
        trainable.load_state_dict(state)
        assert [first, trainable.step()["val/loss"]] == pytest.approx(EXPECTED[:2])


def test_a_trial_that_starts_over_finds_nothing_of_the_attempt_before(tmp_path: Path) -> None:
    command = python(tmp_path, COUNTING, "{checkpoint}", "{max_epochs}", "0", "keeps")
    for _ in range(2):
        with running(tmp_path, command) as trainable:
            assert trainable.step()["val/loss"] == pytest.approx(EXPECTED[0])


def test_parameters_arrive_as_words_variables_and_a_file_and_never_as_code(tmp_path: Path) -> None:
    shell = (
        'echo "{\\"val/loss\\": $ORCHESTRATE_PARAM_LR, \\"train/seed\\": $ORCHESTRATE_SEED}"; '
        'cat "$ORCHESTRATE_PARAMS_FILE"; echo "name=$ORCHESTRATE_PARAM_NAME"; pwd'
    )
    with running(tmp_path, shell, shell=True) as trainable:
        assert trainable.step() == {"val/loss": 0.25, "train/seed": 3}
        with pytest.raises(TrainingOver):
            trainable.step()
    output = (tmp_path / "trial" / "output.log").read_text()
    assert '"lr": 0.25' in output and "name=a b;c" in output and str(tmp_path) in output
    words = ["sh", "-c", 'echo "val_loss=$1 of [$2] {{lr}}"', "sh", "{lr}", "{name}"]
    with running(tmp_path, words, metrics={"val/loss": r"val_loss=(\S+)"}) as trainable:
        assert trainable.step() == {"val/loss": 0.25}
    assert "of [a b;c] {lr}" in (tmp_path / "trial" / "output.log").read_text()


def test_metrics_are_read_from_a_file_that_the_command_writes(tmp_path: Path) -> None:
    code = "import sys; print('{\"val/loss\": 7}'); open(sys.argv[1], 'w').write('{\"val/loss\": 5}')"
    command = python(tmp_path, code, "{folder}/metrics.jsonl")
    with running(tmp_path, command, output="{folder}/metrics.jsonl") as trainable:
        assert trainable.step() == {"val/loss": 5}


def test_a_command_is_paused_between_steps_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '600'])\n"
        "print(child.pid); print('{\"val/loss\": 1}'); time.sleep(600)"
    )
    with running(tmp_path, python(tmp_path, code)) as trainable:
        trainable.step()
        sleep = psutil.Process(int((tmp_path / "trial" / "output.log").read_text().split()[0]))
        wait_until(lambda: sleep.status() == psutil.STATUS_STOPPED)
    wait_until(lambda: not sleep.is_running() or sleep.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.timeout(120)
def test_a_shell_that_starts_program_after_program_can_be_paused(tmp_path: Path) -> None:
    """It waits for each program to begin, and could not halt where that program was halted first."""
    code = "while :; do /bin/true; /bin/true; echo '{\"val/loss\": 1}'; done"
    with running(tmp_path, ["sh", "-c", code], epochs=100) as trainable:
        for _ in range(60):
            assert trainable.step() == {"val/loss": 1}


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid()); print('{\"val/loss\": 1}'); time.sleep(600)"
    )
    with running(tmp_path, python(tmp_path, code), grace_s=0.2) as trainable:
        trainable.step()
        process = psutil.Process(int((tmp_path / "trial" / "output.log").read_text().split()[0]))
    assert not process.is_running()


def test_a_command_may_end_by_itself_after_its_last_epoch(tmp_path: Path) -> None:
    code = "import time; print('{\"val/loss\": 1}'); time.sleep(0.3); open('final', 'w').close()"
    with running(tmp_path, python(tmp_path, code), epochs=1) as trainable:
        trainable.step()
    assert (tmp_path / "final").exists()


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("print('loss 3')", InputError, r"train.py ended, and none of its 1 lines .*val/loss; its last line: loss 3"),
        ("raise SystemExit('no data')", InputError, "train.py ended with exit code 1; its last line: no data"),
        ("raise MemoryError", MemoryError, "train.py ended with exit code 1; its last line: MemoryError"),
        ("import os; os.kill(os.getpid(), 9)", MemoryError, "exit code 137; it printed nothing"),
        (
            'print(\'{"val/loss": 1, "epoch": 1}\'); print(\'{"val/loss": 1, "epoch": 3}\')',
            InputError,
            "printed epoch 3 after epoch 1",
        ),
    ],
)
def test_a_command_that_fails_says_how(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, error: type[Exception], message: str
) -> None:
    with running(tmp_path, python(tmp_path, code)) as trainable, pytest.raises(error, match=message):
        for _ in range(2):
            trainable.step()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": "pyhton train.py"}, "no program 'pyhton' on the path"),
        ({"command": "./missing.sh"}, r"no program './missing.sh'"),
        ({"command": ""}, "is empty"),
        ({"command": "python 'train.py"}, "can't be split into words .*check its quotes"),
        ({"command": "echo {lr}", "shell": True}, r"no value is written into the text, got \{lr\}.*PARAM_LR"),
        ({"command": "sh x", "metrics": {"val/acc": "(.)"}}, "no pattern for the objective val/loss, got: val/acc"),
    ],
)
def test_a_command_that_can_not_run_is_refused_before_a_trial(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    fields = {"objective": "val/loss", "mode": "min", "folder": str(tmp_path)}
    with pytest.raises(InputError, match=message):
        make_trainable(fields | changes)


def test_output_without_newlines_takes_no_memory_and_a_progress_bar_is_lines(tmp_path: Path) -> None:
    path, parser = tmp_path / "log", Parser("val/loss", {"val/loss": r"loss=(\S+)"})
    output = Output(path, parser)
    assert not list(output.rows())
    with path.open("wb", buffering=0) as file:
        file.write(b"x" * (5 * MAX_LINE_BYTES))
        assert not list(output.rows()) and len(output._part) == MAX_LINE_BYTES
        file.write(b"\r 10% loss=3\r 20% loss=nonsense\rloss=4,")
        assert str(list(output.rows())) == "[{'val/loss': 3.0}, {'val/loss': nan}]"
        assert list(output.rows(ended=True)) == [{"val/loss": 4}]


def test_a_file_of_metrics_that_is_written_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, parser = tmp_path / "metrics", Parser("val/loss", {"val/loss": r"loss=(\S+)"})
    path.write_text("loss=1\nloss=2\nloss=3\n")
    # Shorter than before, and longer by the time somebody looks.
    for again in (("1.5",), ("1.5", "2", "3", "4")):
        output = Output(path, parser)
        path.write_text("".join(f"loss={value}\n" for value in again))
        assert [row["val/loss"] for row in output.rows()] == [float(value) for value in again]
        with path.open("a") as file:
            file.write("loss=9\n")
        assert list(output.rows()) == [{"val/loss": 9}]


def test_two_attempts_never_run_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), os.remove('running'), sys.exit()))\n"
        "open('running', 'x').close(); print('{\"val/loss\": 1}'); time.sleep(600)"
    )
    with running(tmp_path, python(tmp_path, code), grace_s=20.0) as first:
        first.step()
        assert first._keeper is not None and first._keeper.stdin is not None
        # As if its worker had died: the pipe closes, and nobody waits.
        first._keeper.stdin.close()
        with running(tmp_path, python(tmp_path, code), grace_s=20.0) as second:
            assert second.step() == {"val/loss": 1}


def wait_until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
