"""How much a YAML file holds once its aliases are expanded: a few hundred bytes can stand for billions of values."""

from __future__ import annotations

from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

MAX_VALUES = 100_000
"""The largest search space that is shipped has some 300."""
CHARACTERS_A_VALUE = 100
"""A text that is longer counts as several values, since an alias repeats all of it."""


class NotBounded(ValueError):
    """A file that would be too large once its aliases are expanded; `node` is where that is seen."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.node = node


def check_size(root: Node | None) -> None:
    """Check that what YAML composed, a graph in which aliases share nodes, makes a tree of bounded size.

    Raises:
        NotBounded: it makes an endless tree, or one with more than `MAX_VALUES` values.
        RecursionError: it is nested too deeply.
    """
    if root is not None and (size := _tree_size(root, {}, set())) > MAX_VALUES:
        raise NotBounded(
            root, f"holds {size:,} values once its aliases (*name) are expanded; at most {MAX_VALUES:,} are read"
        )


def _tree_size(node: Node, sizes: dict[int, int], open_nodes: set[int]) -> int:
    """Count the values below a node, an alias as often as it is used.

    Args:
        node: where to begin.
        sizes: of the nodes that are counted already, by their identity: each is visited once.
        open_nodes: the nodes that lead here; one that comes again contains itself.
    """
    identity = id(node)
    if identity in open_nodes:
        raise NotBounded(node, f"&{node.anchor} contains itself (*{node.anchor}); write out what is meant")
    if identity not in sizes:
        open_nodes.add(identity)
        sizes[identity] = 1 + sum(_tree_size(child, sizes, open_nodes) for child in _children(node))
        if isinstance(node, ScalarNode):
            sizes[identity] += len(node.value) // CHARACTERS_A_VALUE
        open_nodes.remove(identity)
    return sizes[identity]


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, CollectionNode) else []
