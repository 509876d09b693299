"""The size of a YAML file after its aliases are expanded: a few hundred bytes can expand to billions of values."""

from __future__ import annotations

from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

MAX_VALUES = 100_000
"""The most values that are read; the largest shipped search space has about 300."""
CHARACTERS_A_VALUE = 100
"""A longer text counts as several values, because an alias repeats all of it."""


class NotBounded(ValueError):
    """A file that would be too large after its aliases are expanded.

    Attributes:
        node: the node that contains itself, or the root of the file.
    """

    def __init__(self, node: Node, message: str) -> None:
        """Keep the node."""
        super().__init__(message)
        self.node = node


def check_size(root: Node | None) -> None:
    """Check the size of a YAML file after its aliases are expanded.

    Args:
        root: the root of a graph in which aliases share nodes; None for an empty file.

    Raises:
        NotBounded: a node contains itself, or there are more than `MAX_VALUES` values.
        RecursionError: the file is nested too deeply.
    """
    if root is not None and (size := _tree_size(root, {}, set())) > MAX_VALUES:
        raise NotBounded(
            root, f"holds {size:,} values once its aliases (*name) are expanded; at most {MAX_VALUES:,} are read"
        )


def _tree_size(node: Node, sizes: dict[int, int], open_nodes: set[int]) -> int:
    """Return the number of values below a node, where an alias counts as often as it is used.

    Args:
        node: the node.
        sizes: the sizes of the nodes that were counted before, by `id`, so that each node is visited once.
        open_nodes: the `id`s of the ancestors of the node; a node among its own ancestors contains itself.
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
