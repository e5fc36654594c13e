"""Portraits: a prompt is made of attributes that the model knows, and a character's follow from its name."""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.prompts.builder import character, traits_of, worded
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.requests import Portrait
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve, takes_latents_alone


def portrait(applied: Applied, request: Portrait, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. The exact one has the whole prompt and the seed, and no attributes.

    Raises:
        UnknownNameError: an attribute or a value that the model does not know.
        RequestError: the model does not say what it knows; as `resolve` and `prepare`.
    """
    takes_latents_alone(applied.model, "portrait")
    exact = resolve(applied.model, built(request, applied.model.name, Vocabulary.read(applied.base.path)))
    size = exact.settled.size
    yield from paint(prepare(applied, exact, size, load=load), Canvas(size))


def built(request: Portrait, name: str, vocabulary: Vocabulary | None) -> Portrait:
    """The request with its attributes in the prompt. Raises as `portrait`."""
    if not request.traits and request.character is None:
        return request
    if vocabulary is None:
        raise RequestError(f"{name} does not say which attributes it knows; use txt2img and write the prompt")
    traits: dict[str, str] = {}
    seed = request.seed
    if request.character is not None:
        traits, own = character(vocabulary, request.kind, request.character)
        seed = own if seed is None else seed
    traits |= traits_of(vocabulary, request.kind, request.traits, name)
    prompt = ", ".join(part for part in (worded(vocabulary, request.kind, traits), request.prompt) if part)
    return request.changed(prompt=prompt, traits=(), character=None, seed=seed)
