"""Files of one's own: what a script does when it is named as a trainable, and which neighbours count as code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.driver.provenance import code_fingerprint
from orchestrator.errors import UserError
from orchestrator.plugins import loader, user_files
from orchestrator.plugins.user_imports import helper_files, may_define_trainable
from tests.plugins.test_loader import TRAINABLE, written
from tests.support.net_space import go_to_net, mistakes, read


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        loader.check_trainable(str(path), Path())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def marks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is remembered which files could be imported."""
    folder = tmp_path_factory.mktemp("marks")
    monkeypatch.setattr(user_files.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def only_own_neighbours(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of another test is looked into, and no module of one is still there."""
    root = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.startswith(root)])
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(root):
            monkeypatch.delitem(sys.modules, name)


SCRIPT = """
import argparse
from pathlib import Path
import torch.nn as nn

class Net(nn.Module): ...

Path(__file__ + ".ran").touch()
argparse.ArgumentParser().parse_args()
"""


def test_a_script_without_a_trainable_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to_net(tmp_path, monkeypatch)
    path = written(tmp_path / "train.py", SCRIPT)
    (line,) = mistakes(("./net.py", "./train.py"))
    assert line.startswith(f"space.yaml:2:12: trainable: {path}: defines no trainable, so it was not run; a class such")
    assert line.endswith(
        'a script is run as it is by trainable: {command: "python train.py --lr {lr}"}, see docs/own_trainables.md'
    )
    assert not (tmp_path / "train.py.ran").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import argparse\nargparse.ArgumentParser().parse_args(['plan'])",
            "(it printed: train.py: error: unrecognized",
        ),
        ("import sys\nsys.exit(3)", "can't be imported: it ends the process (SystemExit: 3); put what a script does"),
        ("import os\nos._exit(0)", "its import ended the process with exit code 0; put what a script does"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "its import ended the process by SIGSEGV;"),
        ("raise ValueError('two\\nlines')", "train.py:11: can't be imported: ValueError: two lines"),
        ("import time\nwhile True: time.sleep(1)", "its import was stopped after 2 s; only definitions are wanted;"),
    ],
)
def test_what_a_script_does_at_its_import_does_not_happen_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(user_files, "IMPORT_LIMIT_S", 2.0 if "while" in text else 60.0)
    started = time.monotonic()
    assert said in refusal(written(tmp_path / "train.py", TRAINABLE + text))
    assert time.monotonic() - started < 30


def test_a_component_that_ends_the_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to_net(tmp_path, monkeypatch)
    written(tmp_path / "quits.py", "raise SystemExit(0)")
    (line,) = mistakes(("budget:", "components: [./quits.py]\nbudget:"))
    assert line.startswith(f"space.yaml:11:14: components.0: {tmp_path / 'quits.py'}:1: can't be imported: it ends the")


def test_a_component_may_use_what_an_earlier_one_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to_net(tmp_path, monkeypatch)
    written(tmp_path / "first_part.py", "import pathlib\npathlib.registered_first = True")
    written(tmp_path / "second_part.py", "import pathlib\nassert pathlib.registered_first")
    edit = ("budget:", "components: [./first_part.py, ./second_part.py]\nbudget:")
    assert read(edit).trainable.__name__ == "Net"


def test_a_file_does_not_see_the_arguments_of_orchestrate(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.py", TRAINABLE + "import sys\nassert sys.argv == [__file__]")
    before = list(sys.argv)
    loader.check_trainable(str(path), Path())
    loader.load_trainable(str(path), Path())
    assert sys.argv == before


def test_code_that_could_be_imported_is_not_tried_again(tmp_path: Path, marks: Path) -> None:
    log = "\nwith open(__file__ + '.log', 'a') as log: log.write('x')"
    path = written(tmp_path / "mine.py", TRAINABLE + "import near" + log)
    written(tmp_path / "near.py", "")
    for text in ("", "", "WIDTH = 3"):
        written(tmp_path / "near.py", text)
        loader.check_trainable(str(path), Path())
    assert (tmp_path / "mine.py.log").read_text() == "xx"


@pytest.mark.parametrize(
    ("head", "base", "is_one"),
    [
        ("from trainables.trainable import Trainable", "Trainable", True),
        ("from trainables.trainable import Trainable as Base", "Base", True),
        ("from trainables import trainable", "trainable.Trainable", True),
        ("import trainables.trainable as t", "t.Trainable", True),
        ("from trainables.autoencoder.trainable import Autoencoder", "Autoencoder", True),
        ("import trainables.autoencoder.trainable as a", "a.Autoencoder", True),
        ("import trainables.autoencoder.trainable", "trainables.autoencoder.trainable.Autoencoder", True),
        ("from near import Base", "Base", True),
        ("from near import *", "Base", True),
        ("import near", "near.Base", True),
        ("import near as n", "n.Base", True),
        ("from near import Plain", "Plain", False),
        ("import near", "near.Plain", False),
        ("from trainables.trainable import TrialConfig", "TrialConfig", False),
        ("from tests.support.odd import Odd", "Odd", True),
        ("import torch.nn as nn", "nn.Module", False),
        ("from torch import nn", "nn.Module", False),
    ],
)
def test_a_trainable_is_known_by_its_base(tmp_path: Path, head: str, base: str, is_one: bool) -> None:
    written(tmp_path / "near.py", TRAINABLE.replace("Mine", "Base") + "class Plain: ...")
    path = written(tmp_path / "mine.py", f"{head}\nclass Mine({base}):\n    class Config: ...")
    assert may_define_trainable(path) is is_one


def fingerprint(path: Path) -> str:
    trainable = loader.load_trainable(str(path), Path())
    return code_fingerprint(loader.source_files(trainable, []), loader.imported_files(trainable, []))


@pytest.mark.parametrize("changed", ["my_helper.py", "parts/net.py", "parts/__init__.py", "parts/late.py", "named.py"])
def test_a_helper_beside_a_trainable_is_part_of_its_code(tmp_path: Path, changed: str) -> None:
    (tmp_path / "parts").mkdir()
    late = "\n    def late(self):\n        from parts import late\n        importlib.import_module('named')"
    path = written(tmp_path / "mine.py", "import importlib, my_helper\n" + TRAINABLE.replace("Mine", "Helped") + late)
    written(tmp_path / "my_helper.py", "from parts.net import WIDTH")
    written(tmp_path / "parts" / "net.py", "WIDTH = 3")
    for name in ("parts/__init__.py", "parts/late.py", "named.py", "stranger.py"):
        written(tmp_path / name, "")
    before = fingerprint(path)
    written(tmp_path / "stranger.py", "WIDTH = 5")
    assert fingerprint(path) == before, "nobody imports it"
    written(tmp_path / changed, "WIDTH = 4")
    assert fingerprint(path) != before


def test_helpers_are_told_apart_by_their_paths_below_the_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
        written(tmp_path / name / "mine.py", f"import {name}.helper")
        written(tmp_path / name / name / "helper.py", "from . import more\nfrom .more import X")
        written(tmp_path / name / name / "more.py", "X = 1")
    assert [*helper_files(tmp_path / "a" / "mine.py")] == ["a/helper.py", "a/more.py"]
    assert [*helper_files(tmp_path / "b" / "mine.py")] == ["b/helper.py", "b/more.py"]


@pytest.mark.parametrize("name", loader.find_trainables())
def test_the_code_of_a_shipped_trainable_has_no_neighbours(name: str) -> None:
    assert loader.imported_files(loader.load_trainable(name, Path()), []) == []


def test_a_space_with_a_trainable_of_ones_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to_net(tmp_path, monkeypatch)
    assert read().trainable.__name__ == "Net"


def test_a_file_that_changes_within_the_same_second_is_imported_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    program = "import sys; from pathlib import Path; from orchestrator.plugins.user_files import import_outside; "
    program += "print(import_outside(Path(sys.argv[1])).STEP)"
    said = []
    for step in (1, 2):
        path.write_text(f"STEP = {step}\n")
        os.utime(path, (10**9, 10**9))
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-c", program, str(path)]
        said.append(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert said == ["1\n", "2\n"]
