"""What a sweep says of its judges before the first trial, and when it refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.plugins.loader import Prepared


def present_judges(sweep: str, prepared: Prepared, ledger: Ledger, say: Callable[[str], None]) -> None:
    """Say what each added judge recognizes of real clips.

    Args:
        sweep: the name of the sweep.
        prepared: the judge, and what the added ones recognize.
        ledger: the state of the sweep before this start.
        say: prints a line.

    Raises:
        UserError: trials of the sweep were judged by another judge, or by another one of the same name.
    """
    before = ledger.started if ledger.trials else {}
    if before and before.get("judge") != prepared.judge:
        raise UserError(
            f"sweep {sweep} was judged by {before.get('judge')}, the judge is now {prepared.judge} (the corpus or "
            "orchestrate is another one): their values can't be compared; start another sweep with --name"
        )
    earlier = before.get("judges", {})
    for name, score in prepared.judges.items():
        say(words.describe_judge(name, score))
        if name in earlier and earlier[name]["id"] != score["id"]:
            raise UserError(
                f"sweep {sweep} was judged by {earlier[name]['id']}, the judge is now {score['id']} (its weights, "
                "settings or code are others): their values can't be compared; start another sweep with --name"
            )
