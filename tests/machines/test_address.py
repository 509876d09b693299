"""Which addresses a sweep takes, and what is said about the others."""

from __future__ import annotations

import pytest

from orchestrator.errors import UserError
from orchestrator.machines.address import VARIABLE, cluster_address, use_address


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        (None, None, None),
        (None, "10.0.0.7:6379", "10.0.0.7:6379"),
        (None, "local", None),
        ("local", "10.0.0.7:6379", None),
        ("auto", None, "auto"),
        ("head:6379", "10.0.0.7:6379", "head:6379"),
    ],
)
def test_the_option_comes_before_the_variable(
    monkeypatch: pytest.MonkeyPatch, option: str | None, variable: str | None, expected: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    use_address(option)
    assert cluster_address() == expected


@pytest.mark.parametrize("address", ["head", "head:", "head:0", "head:70000", ":6379", "tcp://head:6379"])
def test_what_is_no_address_is_refused_with_those_that_are(address: str) -> None:
    with pytest.raises(UserError, match=r"is not an address of a Ray cluster; give HOST:PORT .* auto .* local"):
        use_address(address)


def test_ray_client_is_refused_and_told_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    message = r"ray://head:10001: .* end with this connection; .*--detach --address http://head:8265.*--address auto"
    with pytest.raises(UserError, match=message):
        use_address("ray://head:10001")
    # The variable says the same.
    monkeypatch.setenv(VARIABLE, "ray://head:10001")
    with pytest.raises(UserError, match=message):
        use_address(None)


def test_a_dashboard_takes_only_drivers_that_are_sent_to_it() -> None:
    with pytest.raises(
        UserError, match=r"http://head:8265: this is the URL of a dashboard, which only accepts jobs; add --detach"
    ):
        use_address("http://head:8265")
    use_address("http://head:8265", detached=True)
    assert cluster_address() == "http://head:8265"
