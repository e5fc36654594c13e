"""From a prompt as written to data: networks, parts joined by AND, and for each part what it says at which step.

A1111's order is kept: comments, networks, AND, schedules, emphasis. So a network cannot be scheduled and an AND cannot
stand inside of brackets. Negative prompts have neither networks nor AND, as there. One thing is stricter: the weight
after a colon (`a cat :1.2 AND a dog`) is read only where there is an AND, as the wiki has it. The program itself also
reads it off a lone prompt, and paints "a poster, 16:9" with nine times the guidance.
"""

import re
from dataclasses import dataclass

from sfumato.choices import Syntax
from sfumato.errors import RequestError, UnknownNameError
from sfumato.prompts import compel, emphasis
from sfumato.prompts.blocks import BlockWeights, is_blocks, read_blocks
from sfumato.prompts.reading import Emphasis, Reading, brief, check_weight, literal
from sfumato.prompts.schedule import Script, read_script

_COMMENT = re.compile(r"#[^\n]*")
_NETWORK = re.compile(r"<(\w+):([^>]+)>")
_AND = re.compile(r"\bAND\b")
_TAIL = re.compile(r"\s*([+-]?(?:\d+\.?|\d*\.\d+))\s*", re.ASCII)
_KINDS = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}
_OPTIONS = {"te": "te", "unet": "unet", "dyn": "dyn", "lbw": "lbw", "w": "lbw"}
_EMPHASIS: dict[Syntax, Emphasis] = {
    "a1111": "original",
    "comfy": "comfy",
    "compel": "compel",
    "novelai": "original",
    "plain": "ignore",
}


@dataclass(frozen=True)
class Network:
    """An adapter that a prompt asks for, with its weights in the text encoder and in the denoiser."""

    kind: str
    name: str
    text_weight: float = 1.0
    weight: float = 1.0
    rank: int | None = None
    """Rank to which it is cut, where it can be (A1111's `dyn`)."""
    blocks: BlockWeights = ()


@dataclass(frozen=True)
class Part:
    """A condition, and its weight among those joined by AND."""

    source: Script | Reading
    weight: float = 1.0


@dataclass(frozen=True)
class Prompt:
    """A prompt, understood. `emphasis` is how its syntax has weights act, unless model or user say otherwise."""

    syntax: Syntax
    parts: tuple[Part, ...]
    networks: tuple[Network, ...] = ()
    emphasis: Emphasis = "original"


def parse(text: str, syntax: Syntax = "a1111", *, negative: bool = False) -> Prompt:
    """Understand `text`, whatever it holds, in time linear in its length.

    Raises:
        RequestError: a network without a name, of an unknown kind or with a weight that is no number; a compel
            function that is not supported; a weight out of range. (In `a1111`, whose words are weighed step by step,
            that last is raised by `timeline`.)
    """
    mode = _EMPHASIS[syntax]
    match syntax:
        case "plain":
            return Prompt(syntax, (Part(literal(text)),), emphasis=mode)
        case "comfy":
            return Prompt(syntax, (Part(emphasis.comfy(text)),), emphasis=mode)
        case "compel":
            return Prompt(syntax, (Part(compel.read(text)),), emphasis=mode)
        case "novelai":
            return Prompt(syntax, (Part(emphasis.novelai(text)),), emphasis=mode)
        case "a1111":
            text = uncommented(text)
            if negative:
                return Prompt(syntax, (Part(read_script(text)),), emphasis=mode)
            networks = tuple(_network(found[1], found[2]) for found in _NETWORK.finditer(text))
            return Prompt(syntax, _parts(_NETWORK.sub("", text)), networks, mode)


def names_network(text: str, syntax: Syntax) -> bool:
    """Whether `parse` would find a network in a prompt, or something that is written like one."""
    return syntax == "a1111" and _NETWORK.search(uncommented(text)) is not None


def uncommented(text: str) -> str:
    """The text without A1111's comments, which go from # to the end of a line."""
    return _COMMENT.sub("", text)


def _parts(text: str) -> tuple[Part, ...]:
    texts = _AND.split(text)
    if len(texts) == 1:
        return (Part(read_script(text)),)
    parts = []
    for part in texts:
        words, colon, tail = part.rpartition(":")
        found = _TAIL.fullmatch(tail) if colon else None
        weight = 1.0 if found is None else check_weight(float(found[1]), words.strip())
        parts.append(Part(read_script((part if found is None else words).rstrip()), weight))
    return tuple(parts)


def _network(kind: str, text: str) -> Network:
    written = brief(f"<{kind}:{text}>")
    if kind not in _KINDS:
        raise UnknownNameError("kind of network", kind[:64], _KINDS)
    name, *arguments = text.split(":")
    if not name.strip():
        raise RequestError(f"{written} names no network; write <lora:name:1>")
    unnamed = [a for a in arguments if "=" not in a and not is_blocks(a)]
    named = [a.partition("=")[::2] if "=" in a else ("lbw", a) for a in arguments if a not in unnamed]
    if len(unnamed) > 3:
        raise RequestError(f"{written} has over three numbers; write <lora:name:TEXT:UNET:RANK>")
    values = dict(zip(("te", "unet", "dyn")[: len(unnamed)], unnamed, strict=True))
    for key, value in named:
        if key not in _OPTIONS:
            raise RequestError(f"{written} has the option {brief(key)}; it must be te, unet, dyn or lbw; leave it out")
        values[_OPTIONS[key]] = value
    text_weight = _value(values.get("te", "1"), written)
    weight = _value(values["unet"], written) if "unet" in values else text_weight
    rank = _value(values["dyn"], written) if "dyn" in values else None
    if rank is not None and (rank < 1 or rank != int(rank)):
        raise RequestError(f"{written} has the rank {rank:g}; it must be a whole number above 0")
    blocks = read_blocks(values["lbw"], written) if "lbw" in values else ()
    return Network(_KINDS[kind], name.strip(), text_weight, weight, None if rank is None else int(rank), blocks)


def _value(text: str, written: str) -> float:
    try:
        return check_weight(float(text), written)
    except ValueError:
        raise RequestError(f"{written} has {brief(text)} for a number; write for example <lora:name:0.8>") from None
