"""The graph of a ComfyUI prompt: nodes, links, and the values and texts behind links, each of which ends soon, whatever
the graph is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

_OUTPUTS = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveAnimatedPNG")
_HOLDERS = ("value", "Value", "int", "float", "number", "string", "text", "")
"""Inputs of nodes that do nothing but hold a value."""
_TEXTS = ("populated_text", "text", "string", "value", "prompt", "text_0", "")
_PIECE = re.compile(r"(?:string|text)_?(?:[a-z]|[0-9]{1,2})")
_MARKS = ("delimiter", "separator")
_WRITERS = ("model", "max_length", "max_tokens", "max_new_tokens")
"""Inputs of nodes that write a text by a model of language; what they hold is no prompt."""
_MOST_CHARACTERS = 2**17
_DEEPEST = 100  # nesting of joined texts
_MOST_HOPS = 16  # from a link to its value


@dataclass(frozen=True)
class Node:
    """A node of the graph."""

    name: str
    kind: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Text:
    """What is known of a text.

    Attributes:
        words: None where nothing is.
        missing: kinds of nodes that made a part of it, which nobody stored.
    """

    words: str | None
    missing: tuple[str, ...] = ()


@dataclass
class Graph:
    """Nodes by name.

    Attributes:
        used: names of nodes whose values have been read.
    """

    nodes: Mapping[str, Node]
    used: set[str] = field(default_factory=set)
    _texts: dict[str, Text] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """All that is a node in a JSON object."""
        return cls(
            {
                name: Node(name, node["class_type"], node["inputs"])
                for name, node in data.items()
                if isinstance(node, dict)
                and isinstance(node.get("class_type"), str)
                and isinstance(node.get("inputs"), dict)
            }
        )

    def linked(self, value: object) -> Node | None:
        """Where a link leads; None for a value, and for a link into the void."""
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
            return self.nodes.get(str(value[0])) if not isinstance(value[0], int) or abs(value[0]) < 10**9 else None
        return None

    def walk(
        self, start: Sequence[Node], inputs: Sequence[str] | None = None, *, ends: Sequence[str] = ()
    ) -> Iterator[Node]:
        """Breadth first against the links, each node once.

        Args:
            inputs: names of those that are followed; None for all.
            ends: kinds of nodes that are not gone behind.
        """
        queue = list(start)
        seen = {node.name for node in queue}
        for node in queue:
            yield node
            if node.kind in ends:
                continue
            for name, value in node.inputs.items():
                following = self.linked(value) if inputs is None or name in inputs else None
                if following is not None and following.name not in seen:
                    seen.add(following.name)
                    queue.append(following)

    def reached(self) -> list[Node]:
        """Nodes that the saved picture depends on, nearest first; all of them when nothing saves."""
        outputs = [node for node in self.nodes.values() if node.kind in _OUTPUTS]
        if not outputs:
            linked = {following.name for node in self.nodes.values() for following in self._following(node)}
            pictures = [node for node in self.nodes.values() if {"image", "images"} & set(node.inputs)]
            outputs = [node for node in pictures if node.name not in linked]
            self.used.update(node.name for node in outputs)
        return list(self.walk(outputs)) if outputs else list(self.nodes.values())

    def first(self, node: Node, names: Sequence[str]) -> object:
        """The value of the first of these inputs that a node has, through links."""
        name = next((name for name in names if name in node.inputs), None)
        return None if name is None else self.value(node.inputs[name], names)

    def value(self, value: object, names: Sequence[str]) -> object:
        """A value, or the one in the node that its link leads to, through a few of them.

        Args:
            names: inputs that hold it in nodes of more than one; those that do nothing but hold a value have others.
        """
        seen: set[str] = set()
        while (node := self.linked(value)) is not None and node.name not in seen and len(seen) < _MOST_HOPS:
            seen.add(node.name)
            held = next((name for name in (*names, *_HOLDERS) if name in node.inputs), None)
            value = None if held is None else node.inputs[held]
        self.used.update(seen)
        return None if isinstance(value, list) else value

    def text(self, value: object, option: str, depth: int = 0) -> Text:
        """A text, or what can be known of that which a link leads to: through nodes that hold, join or choose texts.

        Args:
            option: ``positive`` or ``negative``, as nodes for prompts call them.
        """
        node = self.linked(value)
        if node is None:
            return Text(value if isinstance(value, str) else None)
        if node.name not in self._texts:
            self._texts[node.name] = Text(None, (node.kind,))  # for cycles
            self._texts[node.name] = self._made(node, option, depth) if depth < _DEEPEST else Text(None, (node.kind,))
        return self._texts[node.name]

    def _made(self, node: Node, option: str, depth: int) -> Text:
        inputs = node.inputs
        chosen = _chosen(inputs)
        pieces = sorted((name for name in inputs if _PIECE.fullmatch(name)), key=lambda name: (len(name), name))
        mark = next((inputs[name] for name in _MARKS if isinstance(inputs.get(name), str)), None)
        if inputs.get("action") == "append":  # StringFunction
            mark = ", " if inputs.get("tidy_tags") == "yes" else ""
        name = next((name for name in (*_TEXTS, option) if name in inputs), None)
        if chosen is not None:
            found = self.text(inputs.get(chosen), option, depth + 1)
        elif mark is not None and pieces:
            texts = [self.text(inputs[piece], option, depth + 1) for piece in pieces]
            known = [text.words for text in texts if text.words or (text.words == "" and "action" not in inputs)]
            missing = tuple(dict.fromkeys(kind for text in texts for kind in text.missing))
            if sum(map(len, known)) + len(mark) * len(known) > _MOST_CHARACTERS:
                return Text(None, (node.kind,))
            found = Text(mark.join(known) if known else None, missing)
        elif name is None or set(_WRITERS) & set(inputs) or (name != "populated_text" and self._is_made(node, option)):
            return Text(None, (node.kind,))
        else:
            found = self.text(inputs[name], option, depth + 1)
            if not set(inputs) <= {*_TEXTS, option}:  # it may do more than hold a text
                return found
        self.used.add(node.name)
        return found

    def _is_made(self, node: Node, option: str) -> bool:
        """Whether a text depends on more than texts: a picture, a model."""
        return any(
            self.linked(value) is not None for name, value in node.inputs.items() if name not in (*_TEXTS, option)
        )

    def _following(self, node: Node) -> Iterator[Node]:
        return (following for value in node.inputs.values() if (following := self.linked(value)) is not None)


def _chosen(inputs: Mapping[str, Any]) -> str | None:
    """The input that a switch passes on; None if the node is none."""
    if {"on_true", "on_false"} <= set(inputs) and isinstance(inputs.get("switch"), bool):
        return "on_true" if inputs["switch"] else "on_false"
    select = inputs.get("select")
    return f"input{select}" if type(select) is int and 0 <= select < 100 and f"input{select}" in inputs else None
