"""YAML 1.2 as a tree of nodes that have their place in the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.messages import KeyPath, Mistake, Mistakes, Place, join_path, quote_value, suggest_file
from orchestrator.search_space.yaml.expansion import NotBounded, check_size

CORE_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
MERGE_TAG = "tag:yaml.org,2002:merge"
TEXT_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "merge", "value")}
"""Tags that are read as text: YAML 1.2 has neither dates nor merge keys, although ruamel resolves them."""


@dataclass
class Node:
    """A value and its place in the file.

    Attributes:
        value: a scalar, or a mapping or list of nodes.
        place: the place where the value begins.
        key_place: the place where its key begins, if it is in a mapping.
    """

    value: Any
    place: Place
    key_place: Place | None = None

    def to_plain(self) -> Any:
        """Return the value as plain mappings, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.to_plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.to_plain() for child in self.value]
        return self.value

    def mark(self, preset: str) -> None:
        """Mark this node and all nodes below it as those of a preset."""
        self.place = replace(self.place, preset=preset)
        if self.key_place is not None:
            self.key_place = replace(self.key_place, preset=preset)
        if isinstance(self.value, dict | list):
            for child in self.value.values() if isinstance(self.value, dict) else self.value:
                child.mark(preset)

    def child(self, key: str | int) -> Node | None:
        """Return the node at a key of a mapping or an index of a list; None if there is none."""
        if isinstance(self.value, dict):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]  # type: ignore[no-any-return]
        return None

    def trace(self, path: KeyPath) -> KeyPath:
        """Return the keys of a path that exist in this tree; pydantic's paths also have tags of unions."""
        return tuple(key for key, _ in self._walk(path))

    def find(self, path: KeyPath) -> Node:
        """Return the node at the end of `trace(path)`."""
        return [self, *(child for _, child in self._walk(path))][-1]

    def _walk(self, path: KeyPath) -> Iterator[tuple[str | int, Node]]:
        """Yield the keys of a path that exist, with their nodes; other keys are skipped."""
        node = self
        for key in path:
            child = node.child(key)
            if child is not None:
                node = child
                yield key, child


def read(path: Path, mistakes: Mistakes) -> Node:
    """Read a YAML file whose top level is a mapping. Of a key that occurs twice the first one counts.

    Raises:
        UserError: the file can't be read, or is not YAML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file{suggest_file(path)}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a YAML file; name a file in it") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text, so it can't be read as YAML; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    root = parse(text, Place(str(path), 1, 1, path.parent.resolve()), mistakes)
    if root.value is None:
        raise SearchSpaceError([f"{path}: is empty; it needs at least trainable, objective and budget"])
    if not isinstance(root.value, dict):
        kind = "a list" if isinstance(root.value, list) else quote_value(root.value)
        raise SearchSpaceError([f"{root.place}: needs keys at the top level (trainable: …), got {kind}"])
    return root


def parse(text: str, place: Place, mistakes: Mistakes) -> Node:
    """Return YAML as nodes, and add keys that occur twice and values that can't be read to `mistakes`.

    The text begins at `place`. If that has the line 0, all nodes get this place.

    Raises:
        SearchSpaceError: the text is not YAML, or is too large after its aliases are expanded.
    """
    yaml = YAML(typ="safe", pure=True)
    builder = _Builder(yaml, place, mistakes)
    try:
        composed = yaml.compose(text)
        check_size(composed)
        return builder.build(composed)
    except NotBounded as error:
        raise SearchSpaceError([f"{builder.place_of(error.node)}: not usable: {error}"]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = replace(place, line=mark.line + 1, column=mark.column + 1) if mark and place.line else place
        raise SearchSpaceError([f"{where}: not YAML: {error.problem or error.context}"]) from None
    except YAMLError as error:
        raise SearchSpaceError([f"{place.source}: not YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise SearchSpaceError([f"{place.source}: not usable: nested too deeply"]) from None


def build(data: Any, place: Place, path: KeyPath = ()) -> Node:
    """Return plain data as nodes; the place of each is named by its path, such as `Sweep(): budget.max_epochs`.

    Args:
        data: a scalar, or a mapping or list.
        place: the place of the whole.
        path: where in the whole the data is.
    """
    here = replace(place, source=f"{place.source}: {join_path(path)}") if path else place
    value = data
    if isinstance(data, Mapping):
        value = {key: build(entry, place, (*path, key)) for key, entry in data.items()}
    elif isinstance(data, list):
        value = [build(entry, place, (*path, index)) for index, entry in enumerate(data)]
    return Node(value, here, here if path and isinstance(path[-1], str) else None)


class _Builder:
    """The conversion of ruamel's nodes into ours; see `parse` for the arguments."""

    def __init__(self, yaml: YAML, place: Place, mistakes: Mistakes) -> None:
        self.yaml = yaml
        self.start = place
        self.mistakes = mistakes

    def build(self, node: YamlNode | None, path: KeyPath = ()) -> Node:
        """Return our form of a node of ruamel's that is at `path`."""
        if node is None:
            return Node(None, self.start)
        place = self.place_of(node)
        match node:
            case MappingNode():
                return Node(self._mapping(node, path), place)
            case SequenceNode():
                return Node([self.build(item, (*path, index)) for index, item in enumerate(node.value)], place)
            case _:
                return Node(self._scalar(node, place, path), place)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Node]:
        children: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self.place_of(key_node)
            if not isinstance(key_node, ScalarNode):
                message = "a key must be text, not a list or a mapping"
                self.mistakes.entries.add(Mistake(place, join_path(path), message))
                continue
            if str(key_node.tag) == MERGE_TAG:
                message = "YAML 1.2 has no merge keys (<<); write out what is meant, or use presets"
                self.mistakes.entries.add(Mistake(place, join_path(path), message))
                continue
            # The text of a key counts, even if it looks like a number or a bool.
            key = str(key_node.value)
            if key in children:
                first = children[key].key_place
                message = f"{key!r} is written twice here; first at {first}"
                self.mistakes.entries.add(Mistake(place, join_path((*path, key)), message))
                continue
            children[key] = self.build(value_node, (*path, key))
            children[key].key_place = place
            if value_node.start_mark.index == value_node.end_mark.index:
                # ruamel places a value that is not there at the next token, which may be lines below.
                children[key].place = place
        return children

    def _scalar(self, node: YamlNode, place: Place, path: KeyPath) -> Any:
        tag = str(node.tag)
        if tag in TEXT_TAGS:
            return str(node.value)
        try:
            if tag in CORE_TAGS:
                return self.yaml.constructor.construct_object(node)
            message = f"tags such as {tag} mean nothing here"
        except ValueError:
            message = f"{quote_value(node.value)} can't be read as {tag.rpartition(':')[2]}"
        self.mistakes.entries.add(Mistake(place, join_path(path), message))
        return str(node.value)

    def place_of(self, node: YamlNode) -> Place:
        """Return the place where a node of ruamel's begins."""
        if not self.start.line:
            return self.start
        return replace(self.start, line=node.start_mark.line + 1, column=node.start_mark.column + 1)


def merge(base: Node, over: Node, replaces: Callable[[KeyPath, Node], bool], path: KeyPath = ()) -> None:
    """Merge a mapping into another one recursively. Other values replace those of the first one.

    Args:
        base: the mapping that is changed.
        over: the mapping that is merged into it.
        replaces: returns whether a mapping at a path replaces the other one instead of being merged.
        path: the path of both mappings.
    """
    for key, child in over.value.items():
        old = base.value.get(key)
        below = (*path, key)
        if old and isinstance(old.value, dict) and isinstance(child.value, dict) and not replaces(below, child):
            merge(old, child, replaces, below)
        else:
            base.value[key] = child


def put(root: Node, path: Sequence[str], value: Node) -> None:
    """Set the value at a path, and make mappings that are missing on the way.

    Raises:
        ValueError: the path leads through a scalar, or beyond the end of a list.
    """
    node = root
    for depth, part in enumerate(path[:-1], 1):
        key = _key_in(node, part, path[: depth - 1])
        child = node.child(key)
        if child is None or child.value in (None, "none"):
            child = node.value[key] = Node({}, value.place, value.place)
        elif not isinstance(child.value, dict | list):
            taken = quote_value(child.value)
            raise ValueError(f"{join_path((*path[:depth],))} is {taken}, so nothing can be set in it")
        node = child
    node.value[_key_in(node, path[-1], path[:-1])] = value


def _key_in(node: Node, part: str, path: Sequence[str]) -> str | int:
    """Return a part of a path as a key of the node at `path`: an index if the node is a list."""
    if not isinstance(node.value, list):
        return part
    if not part.isdecimal() or int(part) >= len(node.value):
        raise ValueError(f"{join_path((*path,))} is a list with indices 0 to {len(node.value) - 1}, got {part!r}")
    return int(part)


def write(data: Mapping[str, Any]) -> str:
    """Return data as YAML, with each innermost mapping or list on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 120
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(dict(data), stream)
    return stream.getvalue()
