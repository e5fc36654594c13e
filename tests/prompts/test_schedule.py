"""Schedules against an independent reading of the same grammar by a general parser, which is slow and recursive."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark, Tree
from lark.exceptions import LarkError

from sfumato.prompts.schedule import read_script

# The grammar as A1111's documentation and tests imply it; the module's docstring has it in words.
GRAMMAR = Lark(
    r"""
    start: (inner | STRAY)*
    inner: (round | plainsquare | scheduled | alternate | TEXT)*
    round: "(" inner ")" | "(" inner ":" inner ")"
    plainsquare: "[" inner "]"
    scheduled.2: "[" [inner ":"] inner ":" NUMBER "]"
    alternate.2: "[" inner ("|" alternative)+ "]"
    alternative: inner?
    STRAY: /[][():]/
    TEXT: /([^\\\[\]():|]|\\.)+/
    NUMBER: /\s*[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?\s*/
    """,
    parser="earley",
    keep_all_tokens=True,
    maybe_placeholders=True,
)


def said(tree: object, step: int, steps: int) -> str:
    if tree is None:
        return ""
    if not isinstance(tree, Tree):
        return str(tree)
    if tree.data == "scheduled":
        *parts, number, _ = tree.children
        inner = [part for part in parts if isinstance(part, Tree)]
        before, after = (None, inner[0]) if len(inner) == 1 else inner
        value = float(str(number)) * (steps if "." in str(number) else 1)
        return said(before if step <= int(min(steps, value)) else after, step, steps)
    if tree.data == "alternate":
        inner = [part for part in tree.children if isinstance(part, Tree)]
        return said(inner[(step - 1) % len(inner)], step, steps)
    return "".join(said(child, step, steps) for child in tree.children)


PIECES = st.sampled_from(["a", "b ", "[", "]", "[", "]", "(", ")", ":", ":", "|", "2", ".5", " 1 ", "\\[", "\\", "\n"])


@settings(max_examples=120, deadline=None)
@given(st.lists(PIECES, max_size=11).map("".join))
def test_agrees_with_a_general_parser(text: str) -> None:
    steps = 4
    try:
        tree = GRAMMAR.parse(text)
        expected = [said(tree, step, steps) for step in range(1, steps + 1)]
    except LarkError:
        expected = [text] * steps
    script = read_script(text)
    assert [script.text(step, steps) for step in range(1, steps + 1)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3 ]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [{b|d{:.5] c", [(10, "a [{b|d{:.5] c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[a|(b:1.1)]", [(i, "a" if i % 2 else "(b:1.1)") for i in range(1, 11)]),
        ("[fe|]male", [(i, "female" if i % 2 else "male") for i in range(1, 11)]),
        ("[fe|||]male", [(i, "female" if i % 4 == 1 else "male") for i in range(1, 11)]),
        ("[a:b:1]", [(1, "a"), (10, "b")]),
        ("[a:b:1.0]", [(10, "a")]),
        ("[a::.5]", [(5, "a"), (10, "")]),
        ("[a:b:1e1]", [(10, "a")]),
        ("[a:b:-1]", [(10, "b")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:1e999]", [(10, "a")]),
    ],
)
def test_documented_examples(text: str, expected: list[tuple[int, str]]) -> None:
    """The examples in A1111's documentation of its schedules, and numbers at their limits."""
    script = read_script(text)
    assert [(end, script.text(end, 10)) for end in script.changes(10)] == expected


@pytest.mark.parametrize("text", ["[" * 10_000, "[a|" * 10_000 + "]" * 10_000, "(" * 10_000 + "[a:b:2]"])
def test_depth_costs_no_stack(text: str) -> None:
    script = read_script(text)
    assert isinstance(script.text(2, 4), str)
    assert re.search("a|b|\\[", script.text(1, 4))
