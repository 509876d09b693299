"""The pages of docs/ agree with the code: references, search spaces, commands, metrics, links, and the built site."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from ruamel.yaml import YAML
from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.cli import app
from orchestrator.plugins import loader
from orchestrator.search_space.reader import read_search_space

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs"
PAGES = sorted(FOLDER.glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md"]
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?P<code>[^`\n]+)`")
COMMAND = re.compile(r"\borchestrate +(?P<verb>[a-z][a-z-]*)(?P<rest>[^\n]*)")
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?:#[^)\s]*)?\)")
REST_OF_A_FILE = {
    "trainable": "autoencoder",
    "corpus": {"name": "demo"},
    "objective": {"metric": "val/judge_probability", "mode": "max"},
    "compare": {"loss": ["l1", "l2", "vae"]},
    "budget": {"trials_per_arm": 8, "max_epochs": 12},
}
"""What a block leaves out that shows a part of a search space."""
VERBS = get_command(app).commands


def blocks(page: Path, language: str) -> Iterator[str]:
    """Yield the code blocks of a page that are in a language."""
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match["language"] == language:
            yield match["code"]


def named_file(code: str, suffix: str) -> str | None:
    """Return the file that the first line of a block names, such as `# curve.py`."""
    match = re.match(rf"# ([\w./]+{re.escape(suffix)})\n", code)
    return match[1] if match else None


def search_spaces() -> list[Any]:
    """Return every block of YAML in the pages that shows a search space, with its page."""
    return [
        pytest.param(page, code, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, "yaml"), 1)
    ]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the verb and the rest of each command in the code of a page."""
    code = [match["code"] for match in FENCE.finditer(text)]
    code += [match["code"] for match in INLINE.finditer(FENCE.sub("", text))]
    for part in code:
        for match in COMMAND.finditer(part):
            yield match["verb"], match["rest"].partition(" # ")[0]


def test_there_are_search_spaces_to_read() -> None:
    assert len(search_spaces()) >= 10


def test_the_reference_pages_are_up_to_date() -> None:
    # In a process of its own: other tests register losses and corpora.
    program = "import json; from docs.generate_reference import make_pages; print(json.dumps(make_pages()))"
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    for name, text in json.loads(made.stdout).items():
        written = (FOLDER / name).read_text(encoding="utf-8")
        assert written == text, "run: python -m docs.generate_reference"


@pytest.mark.parametrize(("page", "code"), search_spaces())
def test_a_search_space_in_a_page_is_read(page: Path, code: str, tmp_path: Path) -> None:
    for other in PAGES:
        for module in blocks(other, "python"):
            if name := named_file(module, ".py"):
                (tmp_path / name).write_text(module)
    (tmp_path / "flat_sounds").mkdir()
    (tmp_path / "yamnet.tflite").touch()
    content = YAML(typ="safe", pure=True).load(code)
    whole = content if "trainable" in content else REST_OF_A_FILE | content
    path = tmp_path / "space.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(whole, file)
    assert read_search_space(path).arms


@pytest.mark.parametrize("page", [page for page in TEXTS if any(blocks(page, "python"))], ids=lambda page: page.stem)
def test_what_a_page_imports_exists(page: Path) -> None:
    nodes = [node for code in blocks(page, "python") for node in ast.walk(ast.parse(code))]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    for node in imports:
        if str(node.module).startswith(("trainables.", "reports.", "orchestrator.")):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], node.module


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_commands_in_a_page_exist(page: Path) -> None:
    for verb, rest in commands(page.read_text(encoding="utf-8")):
        assert verb in VERBS, f"{page.name}: orchestrate {verb}"
        command = VERBS[verb]
        if isinstance(command, TyperGroup):
            command = command.commands[rest.split()[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        unknown = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest)) - known - {"--help"}
        assert not unknown, f"{page.name}: orchestrate {verb}{rest}"


def test_every_verb_has_a_section() -> None:
    headings = re.findall(r"^## ([\w-]+)$", (FOLDER / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(VERBS)


def test_every_metric_is_explained() -> None:
    text = (FOLDER / "judge_and_metrics.md").read_text(encoding="utf-8")
    metrics = {metric for name in loader.find_trainables() for metric in loader.load_trainable(name, Path()).METRICS}
    # Those of pairs have a prefix for each direction.
    pairs = re.compile(r"val/(image_to_sound|sound_to_image|generated_to_image)_")
    missing = {metric for metric in metrics if f"`{pairs.sub('…_', metric)}`" not in text}
    assert not missing


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_relative_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(text) if ":" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert sorted(re.findall(r": (\w+\.md)$", text, re.MULTILINE)) == [page.name for page in PAGES]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    assert config.strict
    build(config)
    for page in PAGES:
        html = (tmp_path / "site" / f"{page.stem}.html").read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"(https?:[^\"]*)\"", html)
        assert [address for address in fetched if "canonical" not in address] == [], page.name


def test_the_files_on_the_path_of_a_value_have_the_symbols_that_the_page_names() -> None:
    text = (FOLDER / "architecture.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## One value, from YAML to the report")
    rows = re.findall(r"^\| `([\w/]+\.py)` \| ([^|]+) \|", section.partition("\n## ")[0], re.MULTILINE)
    for path, symbols in rows:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        defined |= {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        assert set(re.findall(r"`(\w+)`", symbols)) <= defined, path
    files = [path.rpartition("/")[2] for path, _ in rows]
    # The sentence below the table says these two numbers.
    assert (files.index("arms.py") + 1, files.index("trainable.py") + 1) == (7, 14)
    assert "Seven files lead to an arm and fourteen to the optimizer." in section


def test_what_scaling_calls_recorded_is_in_the_benchmarks() -> None:
    rows = [line.split(" | ") for line in (FOLDER / "scaling.md").read_text().splitlines() if line.count(" | ") == 4]
    numbers = [number for row in rows for number in re.findall(r"`([\d.]+)[^`]*`", row[1])]
    assert len(numbers) > 10
    recorded = re.findall(r"[\d.]*\d", (FOLDER / "benchmarks.md").read_text().replace(",", ""))
    assert set(numbers) <= set(recorded)
