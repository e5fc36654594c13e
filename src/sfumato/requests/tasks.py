"""A class a task. Its docstring's first line is the help of its command; `task` names command, method and function.

A new task is a class here, a row of `REQUESTS`, and ``tasks/<task>.py`` with a function of the task's name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from sfumato.errors import RequestError, UnknownNameError
from sfumato.requests.base import Request, Shown, read_object
from sfumato.requests.fields import Picture
from sfumato.requests.painting import Edit, Painting
from sfumato.validation import brief


class Txt2Img(Painting):
    """Paint pictures from a text and print the paths of their files."""

    task: Literal["txt2img"] = "txt2img"


class Img2Img(Edit):
    """Paint a picture anew from another and a text: noise is added, as much as strength says, and taken away."""

    task: Literal["img2img"] = "img2img"


class Inpaint(Edit):
    """Paint inside of a mask; every pixel outside of it stays."""

    task: Literal["inpaint"] = "inpaint"
    mask: Annotated[Picture | None, Shown("FILE", "Mask hash")] = Field(
        None, description="white where to paint; left out, the transparent part of IMAGE"
    )
    blur: Annotated[int, Shown("PIXELS", "Mask blur", always=True)] = Field(
        4, ge=0, le=256, description="how far the mask's edge is feathered"
    )
    grow: Annotated[int, Shown("PIXELS", "Mask grow")] = Field(
        0, ge=-512, le=512, description="how far the mask is grown, or shrunk below 0, before"
    )
    invert: Annotated[bool, Shown("", "Mask inverted")] = Field(False, description="paint outside of the mask instead")
    fill: Annotated[Literal["original", "noise", "blur", "zeros"], Shown("F", "Masked content")] = Field(
        "original", description="what the masked part begins from"
    )


REQUESTS: Mapping[str, type[Request]] = MappingProxyType({kind.TASK: kind for kind in (Txt2Img, Img2Img, Inpaint)})
"""All tasks: by name, the class of its request."""


def parse_request(text: str | bytes) -> Request:
    """The request of any task that `Request.to_json` wrote; without a task it is txt2img's.

    Raises:
        RequestError: for text that is no request.
    """
    options = read_object(text)
    task = options.get("task", Txt2Img.TASK)
    if not isinstance(task, str):
        raise RequestError(f"task {brief(task)} must be one of {', '.join(REQUESTS)}")
    if task not in REQUESTS:
        raise UnknownNameError("task", task[:64], REQUESTS)
    return REQUESTS[task].build(**options)
