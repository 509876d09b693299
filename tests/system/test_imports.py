"""Who may import whom, read from the sources."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sweep_folder import SweepFolder

ROOT = Path(__file__).parents[2]
PACKAGES = ("orchestrator", "trainables", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in MODULES}
"""Of every module, its dotted name."""

TO_REPORTS = (
    "orchestrator.cli",
    "orchestrator.cli.results",
    "orchestrator.commands.report",
    "orchestrator.commands.planning.detectable",
    "orchestrator.tracking.clip_rows",
    "orchestrator.tracking.clip_drawings",
    "orchestrator.tracking.sounds_page",
)
"""Where the orchestrator hands a command over to the pages, asks their statistics what a sweep could find, or makes
sounds as loud as the pages do."""

FLOORS = {
    "orchestrator": (
        *("__main__", "cli", "steering", "api", "commands", "models", "driver", "machines", "overview", "policy"),
        *("notices", "tracking", "worker", "exchange", "state", "search_space", "plugins", "messages", "command_line"),
        *("driver_child", "processor", "storage", "terminal"),
        "errors",
    ),
    "trainables": (
        *("testing", "image_to_sound", "sound_to_image", "autoencoder", "classifier", "command"),
        *("components.assessment", "components.judges", "components.flow", "components.networks"),
        *("components.losses", "components.representation", "components.pictures", "components.training"),
        *(
            "trainable",
            "components.generation",
            "corpora",
            "components.audio",
            "components.shapes",
            "support",
            "errors",
        ),
    ),
    "reports": ("page", "listening", "runs", "statistics", "vocabulary", "atomic_file", "errors"),
}
"""The packages, and the modules beside them, from top to bottom: each imports only what stands after it."""
MOST_MODULES = 21
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 62


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
        doors = {
            f"orchestrator.plugins.{name}"
            for name in ("loader", "additions", "corpora", "contracts", "exported_models", "randomness", "surveys")
        }
        # A sync is written once, below all that uses it.
        doors |= {"orchestrator.models.pyfunc", "orchestrator.storage.durable"}
        assert NAMES[path] in doors or "trainables" not in imported
        assert NAMES[path] in TO_REPORTS or {name for name in imports_of(path) if name.startswith("reports.")} <= {
            "reports.vocabulary",
            *(name for name in imports_of(path) if name.startswith("reports.vocabulary.")),
        }


def floor_of(module: str) -> tuple[str, int]:
    """The top-level package that a module is in, and how far from the top its own package stands there."""
    package, _, rest = module.partition(".")
    parts = rest.split(".")
    name = ".".join(parts[:2]) if parts[0] == "components" and len(parts) > 1 else parts[0]
    return package, FLOORS[package].index(name)


def own_imports(path: Path) -> set[str]:
    """The modules of this project that a module imports, when it runs or for its types only."""
    return imports_of(path, at_run_time=False) & set(NAMES.values())


FLOORLESS = {*PACKAGES, "trainables.components"}


@pytest.mark.parametrize("path", [path for path in MODULES if NAMES[path] not in FLOORLESS], ids=NAMES.get)
def test_every_module_has_a_floor_and_imports_none_above_it(path: Path) -> None:
    package, floor = floor_of(NAMES[path])
    for name in own_imports(path) - FLOORLESS:
        other, below = floor_of(name)
        assert other != package or below >= floor, name


def test_no_two_modules_import_each_other_by_whatever_way() -> None:
    """Imports inside functions and those for types only count, too."""
    graph = {NAMES[path]: own_imports(path) - {NAMES[path], *PACKAGES} for path in MODULES}
    # Raises a CycleError that names the modules.
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) >= len(MODULES) - len(PACKAGES)


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda path: str(path))
def test_a_folder_can_be_seen_at_a_glance(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_can_be_read_at_once(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name


def test_the_driver_never_imports_mlflow() -> None:
    users = {name for path, name in NAMES.items() if "mlflow" in packages_of(path)}
    tracking = {f"orchestrator.tracking.{name}" for name in ("__main__", "client", "links", "run", "ui")}
    models = {"orchestrator.models.registry", "orchestrator.models.pyfunc"}
    assert {name for name in users if name.startswith("orchestrator.")} <= tracking | models


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


HEAVY = {"torch", "ray", "mlflow", "optuna", "pandas", "numpy", "scipy", "matplotlib", "librosa", "av", "PIL"}
"""Imports that each take longer than all that a command does without them."""
SPACES = sorted(str(path) for path in (ROOT / "search_spaces").glob("*.yaml") if not path.with_suffix(".py").exists())
"""Those of shipped trainables: one of one's own imports torch."""


def modules_after(code: str, *arguments: str) -> set[str]:
    """The top-level modules that a child process has imported at its end; what it prints is ignored."""
    reported = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", reported, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


RUN = "from orchestrator.cli import main\ntry: main()\nexcept SystemExit as end: assert not end.code, end.code"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a sweep with one trial that has ended."""
    sweep = SweepFolder(tmp_path_factory.mktemp("home"))
    sweep.start(arms={"loss=l1": {"trials": 1, "epochs": 3}})
    sweep.whole_trial(1, "l1", epochs=3)
    return sweep.home


@pytest.mark.parametrize(
    "command", ["plan search_spaces/vae.yaml", "schema", "status", "status vae", "status --json vae", "why vae/1"]
)
def test_a_command_that_only_reads_imports_nothing_slow(command: str, recorded: Path) -> None:
    home = ["--home", str(recorded)] if command != "schema" else []
    assert not modules_after(RUN, *command.split(), *home) & HEAVY


def test_no_search_space_of_ours_needs_torch_to_be_planned() -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from orchestrator.commands.planning.plan import make_plan\n"
        "from orchestrator.search_space.reader import read_search_space\n"
        "for path in sys.argv[1:]: make_plan(read_search_space(Path(path)))"
    )
    assert not modules_after(code, *SPACES) & (HEAVY - {"numpy", "scipy"}) and SPACES


def test_a_sweep_is_read_without_the_models_of_search_spaces() -> None:
    """The command line's own library has pydantic anyway; building the models took as long as all the rest."""
    code = "import orchestrator.commands.status, orchestrator.commands.why"
    assert "pydantic" not in modules_after(code)


def test_pruning_imports_scipy_only_for_its_test() -> None:
    # Ray and Optuna come with the other rules.
    assert "scipy" not in modules_after("import orchestrator.policy.stopping_rules")


def test_a_trial_whose_corpus_and_judge_are_cached_imports_nothing_that_made_them() -> None:
    """Every worker imports the trainable before its first epoch: these three would take it six seconds."""
    code = (
        "import sys, trainables.autoencoder.trainable\n"
        "print('heavy:', sorted({'torchvision', 'scipy', 'matplotlib', 'librosa', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
