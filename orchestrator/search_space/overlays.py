"""Changes of a search space before it is checked: a preset, `--set` options, and absolute paths."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.messages import KeyPath, Mistake, Mistakes, Place, join_path
from orchestrator.plugins import loader
from orchestrator.search_space.yaml import tree as yaml_tree
from orchestrator.search_space.yaml.tree import Node


def take_presets(root: Node, mistakes: Mistakes) -> dict[str, Node]:
    """Remove `presets` from a file, and return its presets by name.

    Each node of a preset is marked with the preset's name.

    Raises:
        SearchSpaceError: a preset is not a mapping.
    """
    presets = root.value.pop("presets", Node({}, root.place))
    nodes: dict[tuple[str, ...], Node] = {("presets",): presets}
    if isinstance(presets.value, dict):
        nodes = {("presets", name): node for name, node in presets.value.items()}
    for path, node in nodes.items():
        if not isinstance(node.value, dict):
            message = "needs a mapping {key: value, …} of what the preset changes"
            mistakes.entries.add(Mistake(node.place, join_path(path), message))
    mistakes.raise_if_any()
    for path, node in nodes.items():
        node.mark(path[-1])
    return {path[-1]: node for path, node in nodes.items()}


def apply_preset(root: Node, preset: Node) -> None:
    """Merge a preset over a file."""
    yaml_tree.merge(root, preset, _replaces)


def _replaces(path: KeyPath, over: Node) -> bool:
    """Return whether a mapping of a preset replaces the one of the file, instead of being merged into it.

    Parameters, comparisons, and a corpus with a name are replaced as a whole.
    """
    return (len(path) == 2 and path[0] in ("params", "compare")) or (path == ("corpus",) and "name" in over.value)


def apply_option(root: Node, option: str, mistakes: Mistakes) -> list[str]:
    """Apply an option `--set key.path=value`.

    Args:
        root: the search space, which is changed.
        option: the text after `--set`.
        mistakes: receives what is wrong with the option.

    Returns:
        A message for each setting that was removed with it.

    Raises:
        SearchSpaceError: the value is not YAML.
    """
    key, equals, text = option.partition("=")
    place = Place(f"--set {option}", 0, 0, Path.cwd())
    if not equals or not key:
        mistakes.entries.add(Mistake(place, "", "needs key=value, such as budget.max_epochs=60"))
        return []
    value = replace(yaml_tree.parse(text, place, mistakes), key_place=place)
    try:
        yaml_tree.put(root, key.split("."), value)
    except ValueError as error:
        mistakes.entries.add(Mistake(place, "", str(error)))
        return []
    return _drop_stale(root) if key == "corpus.name" else []


def _drop_stale(root: Node) -> list[str]:
    """Drop the settings of the file's corpus that the corpus of an option does not have; return a message for each.

    Settings that come from an option are kept, so that they are refused as unknown.
    """
    corpus = root.find(("corpus",)).to_plain()
    if not isinstance(corpus["name"], str):
        return []
    try:
        fields = loader.corpus_model(corpus).model_fields
    except UserError:
        # `reader` reports an unknown name of a corpus.
        return []
    settings = root.find(("corpus",)).value
    stale = [key for key, setting in settings.items() if key not in fields and setting.place.line]
    for key in stale:
        del settings[key]
    return [f"corpus: {key} is dropped, {corpus['name']} has none" for key in stale]


def make_paths_absolute(root: Node) -> None:
    """Make paths absolute: they are relative to where they were written, and workers run in another folder."""
    components = root.find(("components",)).value
    indices = range(len(components)) if isinstance(components, list) else ()
    paths: list[KeyPath] = [
        ("trainable",),
        ("corpus", "root"),
        ("storage",),
        ("search", "sampler"),
        *(("components", index) for index in indices),
    ]
    names: list[KeyPath] = [("trainable",), ("search", "sampler")]
    judges = root.find(("judges",)).value
    for index in range(len(judges)) if isinstance(judges, list) else ():
        names += [("judges", index), ("judges", index, "name")]
        paths += [("judges", index), *(("judges", index, key) for key in ("name", "weights", "classes"))]
    trainable = root.child("trainable")
    if trainable is not None and isinstance(trainable.value, dict):
        # A command is run in the folder of its file, also when the sweep is resumed from its copy.
        trainable.value.setdefault("folder", Node(".", trainable.place))
        paths.append(("trainable", "folder"))
    for path in paths:
        node = root.find(path)
        if root.trace(path) != path or not isinstance(node.value, str):
            continue
        is_address = path == ("storage",) and ("://" in node.value or node.value in ("", "none"))
        if not is_address and (path not in names or loader.is_file(node.value)):
            node.value = os.path.abspath(node.place.folder / os.path.expanduser(node.value))
