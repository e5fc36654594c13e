"""Pictures of other tools as requests of ours, with what could not be carried over said in words.

    texts       a file's texts, parsed: which are JSON objects, which are infotexts
    infotexts   AUTOMATIC1111's web UI and what writes alike: Forge, SD.Next, Civitai, ...
    comfyui     ComfyUI's graphs
    novelai     NovelAI, with its weights in our syntax
    invokeai    InvokeAI 2; later ones are forms
    forms       tools that write a flat object: InvokeAI, SwarmUI, Fooocus, diffusers, kohya, ...

A reader is chosen by what a text is, in whatever carrier it comes. Values that break a rule of the request are left out
and said, so that what comes back is always a request that can be changed and run; prompts can be read even so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sfumato.errors import RequestError
from sfumato.metadata.carriers import REQUEST, Carried
from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.readers import comfyui, forms, infotexts, invokeai, novelai
from sfumato.metadata.readers.texts import Texts
from sfumato.requests import Request, Txt2Img, parse_request

Reader = Callable[[Texts, Gathering[Txt2Img]], bool]
"""Gathers what the texts say, and whether they are of its tool."""

READERS: tuple[tuple[str, Reader], ...] = (
    ("A1111", infotexts.read),
    ("ComfyUI", comfyui.read),
    ("NovelAI", novelai.read),
    ("InvokeAI", invokeai.read),
    *((form.source, form.read) for form in forms.FORMS),
)
"""Tools by name, the surest first."""


@dataclass(frozen=True)
class Restored:
    """What a picture says of how it was made.

    Attributes:
        request: what could be restored; what is not stored is None, and the model's to choose.
        source: the tool: ``sfumato``, or one of `READERS`.
        unrestored: in words, what has no counterpart here or breaks a rule.
        exact: the request is the one that ran.
        beyond: prompts that break a rule of the request, by the names of its fields.
    """

    request: Request
    source: str
    unrestored: tuple[str, ...] = ()
    exact: bool = False
    beyond: Mapping[str, str] = field(default_factory=dict)


def restore(carried: Carried) -> Restored:
    """What a file's texts say of how it was made.

    Raises:
        RequestError: they hold no settings of a tool that we know.
    """
    trouble: list[str] = []
    if REQUEST in carried.texts:
        try:
            return Restored(own_request(carried.texts[REQUEST]), "sfumato", exact=True)
        except RequestError as error:
            trouble.append(f"the exact request: {error}")
    texts = Texts.of(carried.texts)
    for source, reader in READERS:
        found = Gathering(Txt2Img)
        if reader(texts, found):
            request = found.request()
            return Restored(request, source, (*trouble, *found.lost), beyond=found.beyond)
    if trouble:
        raise RequestError(trouble[0])
    tools = list(dict.fromkeys(source for source, _ in READERS))
    longest = max(carried.texts, key=lambda name: len(carried.texts[name]), default=None)
    there = "" if longest is None else f"; its text {brief(longest)} is: {brief(carried.texts[longest])}"
    raise RequestError(f"it carries no settings of sfumato, {', '.join(tools[:-1])} or {tools[-1]}{there}")


def own_request(text: str) -> Request:
    """The request that sfumato stored in a picture.

    Raises:
        RequestError: it is none, or one of which no picture comes.
    """
    request = parse_request(text)
    if not request.pictures:
        raise RequestError(f"the request is one of {request.task}, of which no picture comes")
    return request
