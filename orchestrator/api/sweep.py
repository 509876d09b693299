"""A sweep from Python: the same search space, plan and run as on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from orchestrator.api.driver_process import run_driver
from orchestrator.api.plain import to_plain
from orchestrator.plugins.loader import check_corpus
from orchestrator.search_space.reader import read_mapping, read_search_space
from orchestrator.state.home import find_home, open_home
from orchestrator.storage import durable

if TYPE_CHECKING:
    from orchestrator.api.results import Results
    from orchestrator.commands.planning.contents import Plan

FILE = "python.yaml"
"""In a sweep's folder: the search space of a sweep that was described in Python."""


class Sweep:
    """A checked search space that can be planned and run.

    Attributes:
        name: the name of the sweep and of its folder.
        home: the folder of all sweeps.
        arms: the names of its arms.
        text: the search space as YAML, complete and with absolute paths.
    """

    def __init__(self, *, name: str, home: Path | str | None = None, **space: Any) -> None:
        """Check a search space that is given in Python; nothing is written or started.

        Args:
            name: the name of the sweep.
            home: the folder of all sweeps; by default `ORCHESTRATE_HOME`, else `runs` in the current folder.
            **space: the sections of a search space by their names in YAML, such as `budget={"max_epochs": 12, …}`.
                `trainable` may be a class that is defined in a file. Relative paths start at the current folder.

        Raises:
            SearchSpaceError: the search space has mistakes; it has one line for each.
        """
        self._use(home, file=None, arguments=[])
        self._sweep = read_mapping({"name": name, **to_plain(space)}, Path.cwd())

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        *,
        preset: str | None = None,
        changes: Mapping[str, Any] | None = None,
        name: str | None = None,
        home: Path | str | None = None,
    ) -> Self:
        """Read a search space from a YAML file and check it; nothing is written or started.

        Args:
            path: the file.
            preset: the name of one of its presets.
            changes: values that replace those of the file, such as `{"budget.max_epochs": 60}`.
            name: the name of the sweep, instead of the file's.
            home: the folder of all sweeps; by default `ORCHESTRATE_HOME`, else `runs` in the current folder.

        Raises:
            UserError: the file can't be read.
            SearchSpaceError: it has mistakes; the error has one line for each.
        """
        overrides = [f"{key}={json.dumps(value)}" for key, value in to_plain(dict(changes or {})).items()]
        arguments = [argument for override in overrides for argument in ("--set", override)]
        arguments += ["--preset", preset] if preset is not None else []
        arguments += ["--name", name] if name is not None else []
        sweep = cls.__new__(cls)
        sweep._use(home, file=Path(path).resolve(), arguments=arguments)
        sweep._sweep = read_search_space(Path(path), preset=preset, overrides=overrides, name=name)
        return sweep

    def _use(self, home: Path | str | None, *, file: Path | None, arguments: list[str]) -> None:
        """Keep where the sweep runs and, if it has a file, that and the arguments of its command."""
        self.home = find_home(None if home is None else Path(home))
        self._file = file
        self._arguments = arguments

    @property
    def name(self) -> str:
        """The name of the sweep and of its folder in the home."""
        return self._sweep.name

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms, in the order of the search space."""
        return tuple(arm.name for arm in self._sweep.arms)

    @property
    def text(self) -> str:
        """The search space as YAML, with preset and changes applied, and with absolute paths."""
        return self._sweep.text

    def __repr__(self) -> str:
        return f"<Sweep {self.name!r}: {len(self.arms)} arms, in {self.home}>"

    def plan(self) -> Plan:
        """Return what the sweep would run, as `orchestrate plan` prints it; `print` shows it as a table.

        Raises:
            UserError: the corpus can't be used.
        """
        from orchestrator.commands.planning.plan import make_plan

        check_corpus(self._sweep.space.corpus)
        return make_plan(self._sweep)

    def run(self) -> Results:
        """Run the sweep to its end, or resume it, and return its results; a finished sweep stays as it is.

        It runs `orchestrate sweep` in a process of its own, whose output is printed here. So a crash of Ray ends no
        session of Python. An interrupt (Ctrl-C, or "interrupt the kernel") stops the sweep cleanly, and the next call
        resumes it.

        Raises:
            UserError: the home, the corpus, the resources or the name can't be used.
            SweepStopped: the sweep stopped before its end; the next call resumes it.
        """
        from orchestrator.api.results import load

        file, arguments = self._file, self._arguments
        open_home(self.home)
        if file is None:
            file = self.home / self.name / FILE
            durable.make_folder(file.parent)
            durable.write_whole(file, self.text)
        run_driver(["sweep", str(file), *arguments, "--home", str(self.home)])
        return load(self.name, self.home)
