"""What people are told about the prompts of a request, before and after painting."""

from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.prompts import parse
from sfumato.prompts.grammar import uncommented
from sfumato.prompts.remarks import remarks
from sfumato.requests import Painting

IDLE = "the negative prompt does nothing at guidance 1; raise --guidance, where the model allows it"


def require_words(request: Painting) -> None:
    """Refuse a prompt that says nothing.

    Raises:
        RequestError: it is empty, or all a comment.
    """
    if not request.says_what:
        raise RequestError('the prompt is empty; say what to paint (in Python, prompt="" paints without a prompt)')
    written = request.prompt.strip()
    if written and request.prompt_syntax == "a1111" and not uncommented(written).strip():
        raise RequestError("all of the prompt is a comment, from # to the end of the line; try --prompt-syntax plain")


def before(request: Painting, *, template: bool) -> None:
    """What works otherwise than it looks; the prompt of a template is drawn first, and not looked at."""
    for text, negative in ((request.prompt, False), (request.negative, True)):
        if negative or not template:
            for remark in remarks(text, request.prompt_syntax, negative=negative):
                note(remark)
    if negative_is_idle(request):
        note(IDLE)


def after(request: Painting, exact: Painting) -> None:
    """The same of what the model chose."""
    if negative_is_idle(exact) and not negative_is_idle(request):
        note(IDLE)


def negative_is_idle(request: Painting) -> bool:
    """Whether there is a negative prompt and guidance is off. CFG++ has other scales, and parts joined by AND stand off
    from the negative always.
    """
    off = request.guidance == 1 and request.guidance_method != "cfgpp"
    return off and bool(request.negative.strip()) and len(parse(request.prompt, request.prompt_syntax).parts) == 1
