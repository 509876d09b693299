"""Go on with a sweep whose home is lost: an empty home gets what the store has of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ruamel.yaml import YAML

from orchestrator.errors import UserError
from orchestrator.exchange.exchange import FETCHED, is_of_training
from orchestrator.exchange.shared import LIST, fetch_shared
from orchestrator.exchange.snapshots import fetch, find_base, list_writers
from orchestrator.exchange.sweep_files import FILES, list_drivers, name_driver
from orchestrator.exchange.writers import Writer, driver_prefix, trial_prefix
from orchestrator.state import event_lines
from orchestrator.state.home import SEARCH_SPACE, was_run
from orchestrator.state.paths import SWEEP_LOG, trial_folder
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Trial
from orchestrator.storage import durable
from orchestrator.storage.address import make_absolute
from orchestrator.storage.objects import ObjectStore
from reports import vocabulary as words

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
        UserError: the store has no such sweep, or the home has it with another store.
        StoreError: the store could not be read.
    """
    uri = make_absolute(uri)
    if was_run(home / name):
        own_uri = find_uri((home / name / SEARCH_SPACE).read_text())
        if own_uri != uri:
            raise UserError(
                f"--storage {uri}: {name} in {home} was run with storage: {own_uri or 'none'}; resume it without "
                "--storage"
            )
        return
    store = ObjectStore(uri, say, PATIENCE_S)
    drivers = list_drivers(store, name)
    if not drivers:
        others = sorted({key.partition("/")[0] for key in store.list("") if "/drivers/" in key})
        raise UserError(f"--storage {uri}: has no sweep {name!r}; available: {', '.join(others) or 'none'}")
    prefixes = [driver_prefix(name, driver) for driver in reversed(drivers)]
    # A driver that died at once has not sent its log.
    prefix = next((prefix for prefix in prefixes if store.size(f"{prefix}/{SWEEP_LOG}")), None)
    if prefix is None:
        raise UserError(
            f"--storage {uri}: no trial of {name} was ever started; run its search space under another --name"
        )
    folder = home / name
    files = {file: content for file in FILES if (content := store.read(f"{prefix}/{file}")) is not None}
    stored_uri = find_uri(files[SEARCH_SPACE].decode())
    if stored_uri != uri:
        raise UserError(f"--storage {uri}: the search space of {name} there has storage: {stored_uri}; give that one")
    say(f"{name}: is taken over from {uri}. Its driver elsewhere must not run any more.")
    durable.make_folder(folder)
    if store.size(f"{prefix}/{LIST}") is not None:
        fetch_shared(store, f"{prefix}/{LIST}", home)
    writer = name_driver(folder, uri, drivers)
    state = SweepState(folder)
    for event in event_lines.parse_all([json.loads(line) for line in files[SWEEP_LOG].splitlines()], folder):
        event.apply(state)
    with ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(functools.partial(_fetch_trial, store, folder, writer), state.trials.values()))
    for file in sorted(files, key=lambda file: file == SWEEP_LOG):
        durable.write_whole(folder / file, files[file].decode())


def find_uri(search_space: str) -> str | None:
    """Return the address of the store in the text of a sweep's search space; None if it has none."""
    uri = YAML(typ="safe", pure=True).load(search_space).get("storage")
    return None if uri in (None, "none") else str(uri)


def _fetch_trial(store: ObjectStore, folder: Path, driver: str, trial: Trial) -> None:
    """Fetch a trial's folder, with its checkpoints if it has ended and keeps them."""
    prefix, target = trial_prefix(folder.name, trial.number), trial_folder(folder, trial.number)
    writers = list_writers(store, prefix)
    base = find_base(store, prefix, writers, Writer(driver, trial.attempts + 1), trial.id)
    if base is None:
        return
    has_ended = trial.outcome not in (None, words.OUTCOME_PRUNED)
    fetch(store, f"{prefix}/{base}", target, lambda name: has_ended or not is_of_training(name), {})
    for writer in writers:
        if writer.evaluation and writer.follows(base):
            fetch(store, f"{prefix}/{writer}", target, lambda name: True, {})
    if trial.outcome is not None:
        durable.write_whole(target / FETCHED, json.dumps({"attempt": trial.attempts}))
