"""The addresses of `notify:`, with the secrets that the environment has, as apprise opens them."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.search_space.section import VARIABLE, Notice

if TYPE_CHECKING:
    from apprise import Apprise


def check_addresses(notices: Sequence[Notice], file: Path) -> None:
    """Check that every address can be opened; nothing is sent.

    Args:
        notices: the section `notify` of a search space.
        file: the search space, for the message.

    Raises:
        UserError: apprise is not installed, a variable is not set, or apprise does not know an address.
    """
    for index, notice in enumerate(notices):
        try:
            open_address(notice.url)
        except UserError as error:
            raise UserError(f"{file}: notify.{index}.url: {error}") from None


def open_address(url: str) -> Apprise:
    """Return an address that can be sent to. No message has the value of a variable.

    Args:
        url: the address, in which `${env:NAME}` stands for a variable.

    Raises:
        UserError: apprise is not installed, a variable is not set, or apprise does not know the address.
    """
    try:
        import apprise
    except ImportError:
        raise UserError("needs the package apprise; install it: pip install apprise") from None
    # Its messages have addresses in them.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    for name in VARIABLE.findall(url):
        if not os.environ.get(name):
            raise UserError(f"the variable {name} is not set; export {name}=… before the sweep is started")
    resolved = VARIABLE.sub(lambda match: os.environ[match[1]], url)
    opened = apprise.Apprise(asset=apprise.AppriseAsset(app_id="orchestrate", async_mode=False))
    # `add` alone would take a text with spaces for several addresses.
    address = apprise.Apprise.instantiate(resolved, asset=opened.asset)
    if not isinstance(address, apprise.NotifyBase):
        raise UserError(_explain(url))
    opened.add(address)
    return opened


def _explain(url: str) -> str:
    """Return why apprise does not open an address, whose scheme it may know."""
    from apprise.manager_plugins import NotificationManager

    scheme, _, _ = url.partition("://")
    schemes = [str(name) for name in NotificationManager().schemas()]
    if VARIABLE.search(scheme):
        return f"{url}: its variable has no address that apprise knows; it lists them: https://appriseit.com/services"
    if scheme.lower() in schemes:
        return f"{url}: apprise needs more than this for {scheme}://; see https://appriseit.com/services"
    close = difflib.get_close_matches(scheme.lower(), schemes, n=1)
    hint = f"did you mean {close[0]}://?" if close else "see https://appriseit.com/services"
    return f"{url}: apprise does not know {scheme}://; {hint}"
