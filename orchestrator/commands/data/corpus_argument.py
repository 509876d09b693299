"""The corpus that a command about data names: that of a search space, or one by its name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from orchestrator.errors import UserError
from orchestrator.messages import describe, join_path, suggest_option
from orchestrator.plugins.loader import check_corpus, corpus_model
from orchestrator.search_space.reader import read_search_space

SEARCH_SPACES = (".yaml", ".yml")


def read_corpus(argument: str, root: Path | None, overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return the settings of a corpus, checked.

    Args:
        argument: the path of a search space, or the name of a corpus.
        root: the folder or file of the corpus, if it is given apart.
        overrides: `key=value` pairs that replace values of the search space, or are settings of the named corpus.

    Raises:
        UserError: there is no such corpus, or its settings are wrong.
    """
    if Path(argument).suffix in SEARCH_SPACES:
        settings = read_search_space(Path(argument), overrides=[*overrides, *root_override(root)]).space.corpus
        if not settings:
            raise UserError(f"{argument}: has no corpus; name a search space that has one, or a corpus such as demo")
        settings = dict(settings)
    else:
        settings = {"name": argument, **dict(map(_parse_override, overrides))}
        if root is not None:
            settings["root"] = str(root.resolve())
    model = corpus_model(settings)
    try:
        model(**settings)
    except ValidationError as error:
        reasons = "; ".join(_describe(detail, model.model_fields) for detail in error.errors())
        raise UserError(f"corpus {settings['name']}: {reasons}") from None
    check_corpus(settings)
    return settings


def root_override(root: Path | None) -> list[str]:
    """Return the override of a search space that `--root` means."""
    if root is None:
        return []
    # Quoted, since the text of an override is YAML, in which ` #` begins a comment.
    return [f"corpus.root={json.dumps(str(root), ensure_ascii=False)}"]


def _describe(detail: Any, settings: Collection[str]) -> str:
    key = join_path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {key!r}{suggest_option(key, settings)}; it has: {', '.join(settings)}"
    if detail["type"] == "missing":
        return f"needs {key}; give it with {'--root DIR' if key == 'root' else f'--set {key}=VALUE'}"
    return f"{key}: {describe(detail)}" if key else describe(detail)


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override}: a setting of the corpus is needed, such as --set validation_fold=3")
    try:
        return key.removeprefix("corpus."), YAML(typ="safe").load(text)
    except YAMLError:
        return key.removeprefix("corpus."), text
