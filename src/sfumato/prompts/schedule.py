"""Texts that change from step to step: `[a:b:7]`, `[a:b:0.5]`, `[a:7]`, `[a::7]` and `[a|b]` (A1111 wiki, "Features").

The grammar, of which `tests/prompts/test_schedule.py` holds an independent reading:

    text       = (bracketed | "[" | "]" | "(" | ")" | ":" | characters)*
    inner      = (bracketed | characters)*
    bracketed  = "(" inner [":" inner] ")"  |  "[" inner "]"                    left as they are, for the emphasis
               | "[" [inner ":"] inner ":" number "]"                           scheduled
               | "[" inner ("|" [inner])+ "]"                                   alternating
    characters = any but \\ [ ] ( ) : |  or an escape, a backslash and the character after it

Text outside of it (a `|` that does not alternate, a backslash before nothing) is taken as it stands, whole. The number
is a step without a dot, and a fraction of the steps with one: `1` is step 1, `1.0` all of them.

The result is a flat program, not a tree, and brackets are matched in one pass: nesting costs neither stack nor time.
"""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"(?:[^\\\[\]():|]|\\.)+|[\[\]():|]|\\")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")


@dataclass(frozen=True)
class When:
    """The number of a schedule: a step, or a fraction of all steps."""

    number: float
    fraction: bool

    def step(self, steps: int) -> int:
        """The last of `steps` steps, counted from 1, before the change."""
        value = self.number * steps if self.fraction else self.number
        return int(min(max(value, 0), steps))


@dataclass(frozen=True)
class Switch:
    """Go on at one of `branches`: the first until `when` and then the second; without `when`, at each in turn."""

    when: When | None
    branches: tuple[int, ...]


@dataclass(frozen=True)
class Skip:
    """Go on at `target`."""

    target: int


Op = str | Switch | Skip


@dataclass(frozen=True)
class Script:
    """A text for each step, as a program: text is said, the others are followed."""

    ops: tuple[Op, ...]

    def changes(self, steps: int) -> list[int]:
        """The last steps of equal text, ascending, counted from 1; the last is `steps`."""
        ends = {steps}
        for op in self.ops:
            if isinstance(op, Switch):
                if op.when is None:
                    return list(range(1, steps + 1))
                ends.add(op.when.step(steps))
        return sorted(ends - {0})

    def text(self, step: int, steps: int) -> str:
        """The text of `step`, counted from 1."""
        said: list[str] = []
        place = 0
        while place < len(self.ops):
            op = self.ops[place]
            place += 1
            if isinstance(op, str):
                said.append(op)
            elif isinstance(op, Skip):
                place = op.target
            elif op.when is None:
                place = op.branches[(step - 1) % len(op.branches)]
            else:
                place = op.branches[0 if step <= op.when.step(steps) else 1]
        return "".join(said)


@dataclass
class _Bracket:
    """An open bracket: where it and its colons and bars stand in the program."""

    kind: str
    place: int
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)


def read_script(text: str) -> Script:
    """The program of any text.

    A bracket stands in the program as text, and becomes a switch if it closes as one. Whatever is not of the grammar
    can stand only at the outermost level, so there all open brackets turn out to be text.
    """
    ops: list[Op] = []
    stack: list[_Bracket] = []
    for token in _TOKEN.findall(text):
        place = len(ops)
        ops.append(token)
        if token == "\\":
            return Script((text,))
        if token in ("[", "("):
            stack.append(_Bracket(token, place))
        elif token == ":" and stack:
            stack[-1].colons.append(place)
        elif token == "|":
            if not stack or stack[-1].kind == "(":
                return Script((text,))
            stack[-1].bars.append(place)
        elif token in ("]", ")"):
            if stack and _close(ops, stack[-1], token, place):
                stack.pop()
                continue
            if any(bracket.bars for bracket in stack):
                return Script((text,))
            stack.clear()
    if any(bracket.bars for bracket in stack):
        return Script((text,))
    return Script(tuple(ops))


def _close(ops: list[Op], bracket: _Bracket, token: str, end: int) -> bool:
    """Whether the bracket is one of the grammar; if a switch, it is written into the program."""
    if bracket.kind == "(":
        return token == ")" and len(bracket.colons) <= 1
    if token == ")" or (bracket.bars and bracket.colons):
        return False
    begin = bracket.place + 1
    if bracket.bars:
        ops[bracket.place] = Switch(None, (begin, *(bar + 1 for bar in bracket.bars)))
    elif bracket.colons:
        last = bracket.colons[-1]
        number = ops[last + 1]
        if len(bracket.colons) > 2 or last + 2 != end or not isinstance(number, str):
            return False
        found = _NUMBER.fullmatch(number)
        if found is None:
            return False
        when = When(float(found[1]), "." in found[1])
        branches = (begin, bracket.colons[0] + 1) if len(bracket.colons) == 2 else (end + 1, begin)
        ops[bracket.place] = Switch(when, branches)
    else:
        return True
    for separator in (*bracket.bars, *bracket.colons):
        ops[separator] = Skip(end + 1)
    ops[end] = Skip(end + 1)
    return True
