"""Which expert of a model paints what a request asks for."""

from pathlib import Path

from sfumato.prompts import parse, timeline
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import lexicon_of
from sfumato.requests import Painting


def expert_for(model: Path, request: Painting) -> str:
    """The name of the expert; "" where the model itself paints it: it has none for that, or the request is held by
    networks that were made for the model itself. (So are adapters, which whoever applies them knows of.)

    Raises:
        RequestError: a prompt that cannot be read.
        CheckpointError: the model's lexicon cannot be read.
    """
    lexicon = lexicon_of(model)
    if lexicon is None or not lexicon.experts or request.controls or request.like_model:
        return ""
    prompt = parse(request.prompt, request.prompt_syntax)
    return interpret(timeline(prompt, 1)[0].readings[0].text, lexicon).expert
