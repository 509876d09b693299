"""What the README shows of a network of one's own does what it says."""

from pathlib import Path

import pytest

from orchestrator.cli import main

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_net.yaml"


def test_the_example_of_ones_own_network_trains(
    monkeypatch: pytest.MonkeyPatch, tiny_corpus: Path, tiny_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "corpus.name=folder", "--set", f"corpus.root={tiny_corpus}", "--home", str(tiny_home)]
    monkeypatch.setattr("sys.argv", ["orchestrate", "try", str(EXAMPLE), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "val/accuracy" in capsys.readouterr().out
