"""The driver opens the store of its sweep: it checks that it can use it, and that no other home drives the sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from orchestrator.command_line import format_command
from orchestrator.errors import UserError
from orchestrator.exchange.driver_side import Exchange, ReadLogs
from orchestrator.exchange.shared import OBJECTS
from orchestrator.exchange.sweep_files import list_drivers, name_driver, read_driver, token_key
from orchestrator.exchange.writers import generation
from orchestrator.storage.objects import ObjectStore, StoreError

if TYPE_CHECKING:
    from orchestrator.state.ledger import Ledger

CHECK_PATIENCE_S = 10.0
"""How long a check waits for the store."""


def open_exchange(ledger: Ledger, uri: str, say: Callable[[str], None], read_logs: ReadLogs) -> Exchange:
    """Return the driver's side of the exchange of files.

    Args:
        ledger: the state of the sweep.
        uri: the address of the store.
        say: prints a line.
        read_logs: reads the logs of trials on the machines of the cluster.

    Raises:
        UserError: another home has driven a sweep of this name in the store, or has taken this one over.
        StoreError: the store can't be used.
    """
    folder = ledger.folder
    if folder.name.lower() == OBJECTS:
        raise UserError(
            f"storage {uri}: {OBJECTS}/ belongs to all sweeps of a store, so that no sweep of that name can use one; "
            "run its search space under another --name"
        )
    store = ObjectStore(uri, say, CHECK_PATIENCE_S)
    store.check(f"{folder.name}/checks/{uuid4().hex}")
    driver, drivers = read_driver(folder, uri), list_drivers(store, folder.name)
    if driver is None:
        if drivers:
            raise UserError(
                f"storage {uri}: another home already runs a sweep {folder.name} there; continue that one with "
                f"orchestrate resume {folder.name} --storage {uri} --home NEW_FOLDER, or choose another name with "
                "--name"
            )
        driver = name_driver(folder, uri, [])
    elif drivers and generation(drivers[-1]) > generation(driver):
        command = format_command("resume", folder.name, "--storage", uri, "--home", "NEW_FOLDER")
        raise UserError(
            f"storage {uri}: another home has taken {folder.name} over from this one ({drivers[-1]} there, {driver} "
            "here), and has its newest trials; go on in that home or, if it is lost, take the sweep over again: "
            f"{command}"
        )
    return Exchange(ledger, uri, driver, say, read_logs)


def describe_access(uri: str, sweep: str, token: str) -> str:
    """Return why this machine can't use the store as the driver does; "" if it can.

    Args:
        uri: the address of the store.
        sweep: the sweep.
        token: what the driver has written to the store.
    """
    store = ObjectStore(uri, print, CHECK_PATIENCE_S)
    try:
        text = store.read(token_key(sweep))
        if text is None or text.decode() != token:
            return f"the store {uri} is another one there: it does not have what the driver has just written"
        store.check(f"{sweep}/checks/{uuid4().hex}")
    except StoreError as error:
        return str(error)
    return ""
