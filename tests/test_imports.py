"""Who may import whom, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("orchestrator", "trainables", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

TO_REPORTS = ("cli", "cli_results", "reporting", "detectable")
"""Where the orchestrator hands a command over to the pages, or asks their statistics what a sweep could find."""

LAYERS = (
    {"cli"},
    {"cli_results"},
    {"sweep", "try_out", "plan", "json_schema", "ui"},
    {"console", "follower", "cluster", "search", "worker", "tracking"},
    {"agenda", "pruning", "evaluate", "summary", "views"},
    {"studies", "trial_run", "home", "provenance"},
    {"ledger", "guard", "checkpoint", "media", "search_space", "trial_spec"},
    {"loader", "log", "domains"},
    {"errors"},
)
"""Some of the orchestrator's rooms from top to bottom: none imports one above it."""


def imports_of(path: Path, *, at_run_time: bool = True) -> set[str]:
    """The dotted names that a module imports anywhere, those for type checking only left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if at_run_time and isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for child in block.body
        for node in ast.walk(child)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages_of(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    imported = packages_of(path)
    if package != "orchestrator":
        # Importances are Optuna's, and of a sweep that may have run elsewhere.
        own = {"optuna"} if path.stem == "importance" else set()
        assert not imported & ({"orchestrator", "ray", "optuna"} | set(PACKAGES) - {package}) - own
    if package == "trainables":
        assert "mlflow" not in imported
    if package == "orchestrator":
        # A promoted model's code runs where trainables are its only neighbours.
        assert path.stem in ("loader", "served") or "trainables" not in imported
        assert path.stem in TO_REPORTS or {name for name in imports_of(path) if name.startswith("reports.")} <= {
            "reports.vocabulary",
            *(name for name in imports_of(path) if name.startswith("reports.vocabulary.")),
        }


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_arrows_run_down(level: int) -> None:
    above = {f"orchestrator.{name}" for names in LAYERS[:level] for name in names}
    for name in LAYERS[level]:
        path = ROOT / "orchestrator" / f"{name}.py"
        assert not imports_of(path) & above, name


def test_the_driver_never_imports_mlflow() -> None:
    allowed = {"tracking", "runs", "store", "views", "ui", "promote", "served"}
    users = {path.stem for path in MODULES if path.parts[-2] == "orchestrator" and "mlflow" in packages_of(path)}
    assert users <= allowed


@pytest.mark.parametrize(
    "arguments", [["--help"], *([verb, "--help"] for verb in ("sweep", "ui", "resume", "report", "listen", "generate"))]
)
def test_help_imports_neither_torch_nor_ray(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom orchestrator.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('heavy:', sorted({'torch', 'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout


def test_a_trial_whose_corpus_and_judge_are_cached_imports_nothing_that_made_them() -> None:
    """Every worker imports the trainable before its first epoch: these three would take it six seconds."""
    code = (
        "import sys, trainables.autoencoder\n"
        "print('heavy:', sorted({'torchvision', 'scipy', 'matplotlib', 'librosa', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
