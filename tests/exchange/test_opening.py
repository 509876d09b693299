"""A driver opens the store of its sweep: which homes may drive on."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.exchange.adoption import adopt_sweep
from orchestrator.exchange.driver_side import Exchange
from orchestrator.exchange.opening import open_exchange
from orchestrator.state.ledger import Ledger
from tests.exchange.test_driver_side import Rig


def open_again(uri: str, folder: Path) -> Exchange:
    return open_exchange(Ledger(folder), uri, print, lambda *each: "")


def test_a_home_that_comes_back_does_not_drive_on_against_the_one_that_has_taken_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.begin()
    with rig.exchange.run(lambda: False):
        pass
    assert open_again(rig.uri, rig.home / "tiny").driver == rig.exchange.driver
    adopt_sweep(tmp_path / "second", "tiny", rig.uri, print)
    second = open_again(rig.uri, tmp_path / "second" / "tiny")
    with second.run(lambda: False):
        pass
    with pytest.raises(UserError, match=rf"another home has taken tiny over .*{second.driver} there") as error:
        open_again(rig.uri, rig.home / "tiny")
    # The command of the message takes it back.
    assert str(error.value).endswith(f"orchestrate resume tiny --storage {rig.uri} --home NEW_FOLDER")
    adopt_sweep(tmp_path / "third", "tiny", rig.uri, print)
    third = open_again(rig.uri, tmp_path / "third" / "tiny")
    with third.run(lambda: False):
        pass
    assert third.driver.startswith("0003-")
    assert open_again(rig.uri, tmp_path / "third" / "tiny").driver == third.driver


def test_a_sweep_of_an_earlier_version_does_not_write_among_what_all_sweeps_share(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "other" / "Shared").mkdir(parents=True)
    with pytest.raises(UserError, match="shared/ belongs to all sweeps of a store"):
        open_again(rig.uri, tmp_path / "other" / "Shared")
    assert not rig.store.list("Shared")
