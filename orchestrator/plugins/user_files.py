"""Files of one's own: looked at before they are run, tried in a process of their own, then imported."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from orchestrator.errors import UserError
from orchestrator.messages import suggest_file
from orchestrator.plugins.user_imports import helper_files, may_define_trainable

IMPORT_LIMIT_S = 60.0
"""To import torch, torchvision and librosa takes some ten seconds on two busy cores."""
WANTED = (
    "a class such as `class MyNet(Trainable)` with Config, METRICS, step, state_dict and load_state_dict is wanted "
    "(Trainable is in trainables.trainable)"
)
GUARD = 'put what a script does under `if __name__ == "__main__":`'
CHILD = """
import json, os, sys
from pathlib import Path
result, sys.path[:], paths = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
from orchestrator.errors import UserError
from orchestrator.plugins.user_files import import_outside
try:
    for path in paths:
        import_outside(Path(path))
    said = ""
except UserError as error:
    said = str(error)
result.write_text(json.dumps(said))
sys.stderr.flush()
os._exit(0)
"""
"""Imports files in their order; it leaves at once, since their threads could keep it."""


def check_file(path: Path, before: Sequence[Path], *, defines_trainable: bool) -> None:
    """Check that a file can be imported, by trying it in a process of its own, and that it may have a trainable.

    Args:
        path: what a search space names.
        before: files that are imported before it, whose components it may use.
        defines_trainable: whether it is its trainable, not a component.

    Raises:
        UserError: there is no such file, it defines no trainable, or its import fails, ends the process or hangs.
    """
    check_exists(path)
    try:
        if defines_trainable and not may_define_trainable(path):
            raise UserError(f"{path}: defines no trainable, so it was not run; {WANTED}; {GUARD}")
    except (SyntaxError, ValueError) as error:
        raise _refusal(error, path) from error
    mark = _mark([*before, path])
    if mark.exists():
        return
    _try_import(path, before)
    with contextlib.suppress(OSError):
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch()


def check_exists(path: Path) -> None:
    """Check that there is a file.

    Raises:
        UserError: there is none; the message has the nearest beside it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file{suggest_file(path)}")


def import_outside(path: Path) -> ModuleType:
    """Import a file under a name that no other file has, once a process, as if it was run without arguments.

    Raises:
        UserError: it can't be imported, or wants to end the process.
    """
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    # Behind all others, so that a file can import its neighbours and can't shadow what is installed.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _arguments(str(path)):
            loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _refusal(error, path) from error
        raise
    return module


@contextlib.contextmanager
def _arguments(*arguments: str) -> Iterator[None]:
    """Replace the arguments of this process: those of `orchestrate` are no business of a file's."""
    before, sys.argv = sys.argv, [*arguments]
    try:
        yield
    finally:
        sys.argv = before


def _mark(paths: Sequence[Path]) -> Path:
    """Return the file that remembers that this code could be imported by this Python: trying it takes seconds."""
    contents = hashlib.sha256(f"{sys.executable} {sys.version}".encode())
    for path in paths:
        for name, file in {path.name: path, **helper_files(path)}.items():
            contents.update(f"\0{name}\0".encode() + file.read_bytes())
    return Path(tempfile.gettempdir()) / f"orchestrate-{os.getuid()}" / "imported" / contents.hexdigest()[:32]


def _try_import(path: Path, before: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder) / "result", Path(folder) / "log"
        paths = [str(file) for file in (*before, path)]
        command = [sys.executable, "-c", CHILD, str(result), json.dumps(sys.path), *paths]
        environment: Mapping[str, str] = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        try:
            code = process.wait(IMPORT_LIMIT_S)
        except subprocess.TimeoutExpired:
            limit = f"{IMPORT_LIMIT_S:g} s"
            raise UserError(
                f"{path}: its import was stopped after {limit}; only definitions are wanted; {GUARD}"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not result.exists():
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            raise UserError(f"{path}: its import ended the process {how}{_last_line(log)}; {GUARD}")
        if said := json.loads(result.read_text()):
            raise UserError(f"{said}{_last_line(log)}" if "SystemExit" in said else said)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f" (it printed: {lines[-1].strip()[:200]})" if lines else ""


def _refusal(error: BaseException, path: Path) -> UserError:
    what = " ".join(f"{type(error).__name__}: {error}".split())
    line = _line_of(error, path)
    if isinstance(error, SystemExit):
        return UserError(f"{line}: can't be imported: it ends the process ({what}); {GUARD}")
    return UserError(f"{line}: can't be imported: {what}")


def _line_of(error: BaseException, path: Path) -> str:
    """Return the place of the last line of a file that led to an error."""
    if isinstance(error, SyntaxError) and error.filename in (str(path), str(path.resolve())):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
