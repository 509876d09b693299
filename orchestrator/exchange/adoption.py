"""Go on with a sweep whose home is lost: an empty home gets what the store has of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from orchestrator.errors import UserError
from orchestrator.exchange.shared import LIST, fetch_shared
from orchestrator.exchange.snapshots import fetch, find_base, list_writers
from orchestrator.exchange.sweep_files import FILES, list_drivers, name_driver
from orchestrator.exchange.trial_files import FETCHED, is_of_training
from orchestrator.exchange.writers import Writer, driver_prefix, trial_prefix
from orchestrator.plugins.corpora import is_split_record, merge_split_record
from orchestrator.state import event_lines
from orchestrator.state.events.base import Event
from orchestrator.state.home import SEARCH_SPACE, lock_sweep, was_run
from orchestrator.state.paths import SWEEP_LOG, trial_folder
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Trial
from orchestrator.storage import durable, json_lines
from orchestrator.storage.address import make_absolute
from orchestrator.storage.objects import ObjectStore

PATIENCE_S = 30.0
"""How long the store is waited for at a time."""
AT_ONCE = 8
"""Trials that are fetched at the same time."""


def adopt_sweep(home: Path, name: str, uri: str, say: Callable[[str], None]) -> None:
    """Fetch a sweep from its store into a home, if the home does not have it.

    The sweep's log comes last, so that the home has the sweep only once it has all of it.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        uri: the address of the store.
        say: prints a line.

    Raises:
        UserError: the store has no such sweep, the home has it with another store, another command takes it over or
            drives it, or the home has other splits of its recordings.
        StoreError: the store could not be read.
    """
    uri, folder = make_absolute(uri), home / name
    if not was_run(folder):
        sweep = _find_sweep(ObjectStore(uri, say, PATIENCE_S), name)
        with lock_sweep(folder):
            # Another command may have taken it over meanwhile.
            if not was_run(folder):
                say(f"{name}: is taken over from {uri}. Its driver elsewhere must not run any more.")
                sweep.fetch(home, say)
                return
    own_uri = find_uri((folder / SEARCH_SPACE).read_text())
    if own_uri != uri:
        raise UserError(
            f"--storage {uri}: {name} in {home} was run with storage: {own_uri or 'none'}; resume it without --storage"
        )


def find_uri(search_space: str) -> str | None:
    """Return the address of the store in the text of a sweep's search space; None if it has none."""
    uri = YAML(typ="safe", pure=True).load(search_space).get("storage")
    return None if uri in (None, "none") else str(uri)


@dataclass(frozen=True)
class StoredSweep:
    """What a store has of a sweep.

    Attributes:
        store: the store.
        name: the name of the sweep.
        drivers: the homes that have driven it, the last one last.
        prefix: that of the last one that has sent the sweep's log.
        files: what it has sent, by name.
        events: those of the log.
    """

    store: ObjectStore
    name: str
    drivers: Sequence[str]
    prefix: str
    files: Mapping[str, bytes]
    events: Sequence[Event]

    def fetch(self, home: Path, say: Callable[[str], None]) -> None:
        """Fetch the sweep into a home in which it is locked, and say what the store has lost of it.

        Raises:
            UserError: the home has other splits of its recordings.
            StoreError: the store could not be read, or has lost something that trials share.
        """
        folder = home / self.name
        if self.store.size(f"{self.prefix}/{LIST}") is not None:
            put_in_place = functools.partial(_put_in_place, home)
            fetch_shared(self.store, f"{self.prefix}/{LIST}", home, put_in_place=put_in_place)
        driver = name_driver(folder, self.store.uri, list(self.drivers))
        state = SweepState(folder)
        for event in self.events:
            event.apply(state)
        trials = list(state.trials.values())
        with ThreadPoolExecutor(AT_ONCE) as executor:
            lost_by_trial = executor.map(functools.partial(_fetch_trial, self.store, folder, driver), trials)
            for trial, lost in zip(trials, lost_by_trial, strict=True):
                if lost:
                    names = ", ".join(sorted(lost))
                    say(f"{self.name}/{trial.number}: the store has lost {names}; the sweep goes on without.")
        for file in sorted(self.files, key=lambda file: file == SWEEP_LOG):
            durable.write_whole(folder / file, self.files[file].decode())


def _find_sweep(store: ObjectStore, name: str) -> StoredSweep:
    """Return what a store has of a sweep.

    Raises:
        UserError: it has no such sweep, none that was started, or a log that can't be read.
    """
    drivers = list_drivers(store, name)
    if not drivers:
        others = [other for other in store.list_prefixes() if list_drivers(store, other)]
        raise UserError(f"--storage {store.uri}: has no sweep {name!r}; available: {', '.join(others) or 'none'}")
    prefixes = [driver_prefix(name, driver) for driver in reversed(drivers)]
    # A driver that died at once has not sent its log.
    prefix = next((prefix for prefix in prefixes if store.size(f"{prefix}/{SWEEP_LOG}")), None)
    if prefix is None:
        raise UserError(
            f"--storage {store.uri}: no trial of {name} was ever started; run its search space under another --name"
        )
    files = {file: content for file in FILES if (content := store.read(f"{prefix}/{file}")) is not None}
    if SEARCH_SPACE not in files:
        raise UserError(f"--storage {store.uri}: has lost {prefix}/{SEARCH_SPACE}; put it back there")
    stored_uri = find_uri(files[SEARCH_SPACE].decode())
    if stored_uri != store.uri:
        raise UserError(
            f"--storage {store.uri}: the search space of {name} there has storage: {stored_uri}; give that one"
        )
    place = f"{store.uri}: {prefix}/{SWEEP_LOG}"
    events = event_lines.parse_all(json_lines.parse_lines(files[SWEEP_LOG], place), place)
    return StoredSweep(store, name, drivers, prefix, files, events)


def _put_in_place(home: Path, arrived: Path, path: Path) -> None:
    """Put a file that trials share into the home: the home keeps the splits that it has recorded.

    Raises:
        UserError: the home has other splits of the same recordings.
    """
    if not is_split_record(path.relative_to(home).as_posix()):
        arrived.replace(path)
        return
    try:
        merge_split_record(home, arrived.read_bytes())
    except UserError as error:
        raise UserError(f"{error}. Take the sweep over into a new home: --home NEW_FOLDER") from error


def _fetch_trial(store: ObjectStore, folder: Path, driver: str, trial: Trial) -> set[str]:
    """Fetch a trial's folder, with its checkpoints if it has ended; return what the store has lost."""
    prefix, target = trial_prefix(folder.name, trial.number), trial_folder(folder, trial.number)
    writers = list_writers(store, prefix)
    base = find_base(store, prefix, writers, Writer(driver, trial.attempts + 1), trial.id)
    if base is None:
        return {"all of its files"} if trial.decided_epochs else set()
    has_ended = trial.outcome is not None
    results = [fetch(store, f"{prefix}/{base}", target, lambda name: has_ended or not is_of_training(name), {})]
    for writer in writers:
        if writer.evaluation and writer.follows(base):
            results.append(fetch(store, f"{prefix}/{writer}", target, lambda name: True, {}))
    if has_ended:
        durable.write_whole(target / FETCHED, json.dumps({"attempt": trial.attempts}))
    return {name for fetched in results if fetched is not None for name in fetched.lost}
