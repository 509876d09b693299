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
            f"sweep {sweep}: the judge was {before.get('judge') or 'none'} and is now {prepared.judge or 'none'}, "
            "because the corpus or the version of orchestrate has changed; new values could not be compared with the "
            "old ones: start another sweep with --name"
        )
    earlier = before.get("judges", {})
    for name, score in prepared.judges.items():
        say(words.describe_judge(name, score))
        if name in earlier and earlier[name]["id"] != score["id"]:
            raise UserError(
                f"sweep {sweep}: judge {name} was {earlier[name]['id']} and is now {score['id']}, because its weights, "
                "settings or code have changed; new values could not be compared with the old ones: start another "
                "sweep with --name"
            )
