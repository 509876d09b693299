"""Import of a user's own files: each is parsed first, then imported in a child process, then in this one."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
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
from types import CodeType, ModuleType

from orchestrator.errors import UserError
from orchestrator.messages import suggest_file
from orchestrator.plugins.user_imports import helper_files, may_define_trainable

IMPORT_LIMIT_S = 60.0
"""The time limit of an import; importing torch, torchvision and librosa takes about 10 s on two busy cores."""
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
    message = ""
except UserError as error:
    message = str(error)
result.write_text(json.dumps(message))
sys.stderr.flush()
os._exit(0)
"""
"""The program of the child process. It ends with `os._exit`, because threads of the files could keep it alive."""


class _FreshLoader(SourceFileLoader):
    """A loader that compiles a file each time.

    Python takes a compiled file for up to date if the time in whole seconds and the size are the same. A trial would
    then run other code than that whose hash it records.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the source as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


def check_file(path: Path, before: Sequence[Path], *, defines_trainable: bool) -> None:
    """Check that a user's file can be imported, in a child process.

    Args:
        path: the file that a search space names.
        before: files that are imported before it, whose components it may use.
        defines_trainable: whether the file has to define a trainable; other files are components.

    Raises:
        UserError: there is no such file, it defines no trainable, or its import fails, ends the process or hangs.
    """
    check_exists(path)
    try:
        if defines_trainable and not may_define_trainable(path):
            as_it_is = f'trainable: {{command: "python {path.name} --lr {{lr}}"}}'
            raise UserError(
                f"{path}: defines no trainable, so it was not run; {WANTED}; a script is run as it is by {as_it_is}, "
                "see docs/own_trainables.md"
            )
    except (SyntaxError, ValueError) as error:
        raise _refusal(error, path) from error
    marker = _import_marker([*before, path])
    if marker.exists():
        return
    _try_import(path, before)
    with contextlib.suppress(OSError):
        marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker.touch()


def check_exists(path: Path) -> None:
    """Check that a file exists.

    Raises:
        UserError: it does not exist; the message has the file with the most similar name in its folder.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file{suggest_file(path)}")


def import_outside(path: Path) -> ModuleType:
    """Import a file under a unique name of a module, with an empty command line in `sys.argv`.

    A second import in the same process returns the same module.

    Raises:
        UserError: the file can't be imported, or its import calls `sys.exit`.
    """
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    # At the end, so that the file can import files in its folder, but these can't shadow installed packages.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _replace_arguments(str(path)):
            loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _refusal(error, path) from error
        raise
    return module


@contextlib.contextmanager
def _replace_arguments(*arguments: str) -> Iterator[None]:
    """Replace `sys.argv` in the block, so that a file does not see the arguments of `orchestrate`."""
    before, sys.argv = sys.argv, [*arguments]
    try:
        yield
    finally:
        sys.argv = before


def _import_marker(paths: Sequence[Path]) -> Path:
    """Return the path of the marker of a successful import; it depends on the code and on this Python.

    If the file exists, the import in a child process is skipped, which takes seconds.
    """
    contents = hashlib.sha256(f"{sys.executable} {sys.version}".encode())
    for path in paths:
        for name, file in {path.name: path, **helper_files(path)}.items():
            contents.update(f"\0{name}\0".encode() + file.read_bytes())
    return Path(tempfile.gettempdir()) / f"orchestrate-{os.getuid()}" / "imported" / contents.hexdigest()[:32]


def _try_import(path: Path, before: Sequence[Path]) -> None:
    """Import files in a child process.

    Raises:
        UserError: the import fails, ends the process, or takes longer than `IMPORT_LIMIT_S`.
    """
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
        if message := json.loads(result.read_text()):
            raise UserError(f"{message}{_last_line(log)}" if "SystemExit" in message else message)


def _last_line(log: Path) -> str:
    """Return the last line of a child process's output as a part of a message; "" if it printed nothing."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f" (it printed: {lines[-1].strip()[:200]})" if lines else ""


def _refusal(error: BaseException, path: Path) -> UserError:
    """Return the error for the user about an exception that ended the import of a file."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    line = _line_of(error, path)
    if isinstance(error, SystemExit):
        return UserError(f"{line}: can't be imported: it ends the process ({what}); {GUARD}")
    return UserError(f"{line}: can't be imported: {what}")


def _line_of(error: BaseException, path: Path) -> str:
    """Return the file with the number of its innermost line in an error's traceback: `net.py:12`."""
    if isinstance(error, SyntaxError) and error.filename in (str(path), str(path.resolve())):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def describe_trainables(trainables: Sequence[type]) -> str:
    """Return which trainables a file defines that should define exactly one, and what to do.

    Args:
        trainables: the trainables that have all methods, or else those that lack some.
    """
    if not trainables:
        return "none; write one in this file, because imported classes do not count"
    if not any(map(inspect.isabstract, trainables)):
        names = ", ".join(trainable.__name__ for trainable in trainables)
        return f"{names}; move all but one to other files, and import them from there"
    incomplete = []
    for trainable in trainables:
        methods = ", ".join(sorted(getattr(trainable, "__abstractmethods__", ())))
        incomplete.append(f"{trainable.__name__} without {methods}")
    return f"{'; '.join(incomplete)}; write the methods"
