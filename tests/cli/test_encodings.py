"""Terminals and locales with another encoding than UTF-8."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.command_line import use_utf8


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", b"?? 0.9 ?0.1 caf?"), ("utf-8", "── 0.9 ±0.1 caf\\udce9".encode())]
)
def test_what_a_terminal_cannot_show_ends_no_command(
    encoding: str, printed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding))
    use_utf8()
    print("── 0.9 ±0.1", os.fsdecode(b"caf\xe9"), flush=True)
    assert shown.getvalue().rstrip() == printed


def test_files_are_read_as_utf8_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "größe.yaml").write_text("- größe\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "orchestrator", "plan", "größe.yaml", "--home", str(tmp_path / "home")]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr.decode()) == (
        2,
        "größe.yaml:1:1: needs keys at the top level (trainable: …), got a list\n",
    )
