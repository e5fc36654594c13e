"""sfumato: a complete Stable Diffusion system, CPU first.

>>> import sfumato
>>> sfumato.Studio().txt2img("a red apple, white background", seed=1).images[0]

Importing the package is cheap: what is named here is imported when it is first touched, and the engine with `Studio`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfumato.errors import (
        CheckpointError,
        DivergedError,
        OutputError,
        RequestError,
        SfumatoError,
        TrainingError,
        UnknownNameError,
    )
    from sfumato.requests import (
        REQUESTS,
        Between,
        Classify,
        Colorize,
        Control,
        Denoise,
        Depth2Img,
        Detail,
        Enhance,
        Follow,
        Img2Img,
        Inpaint,
        Lora,
        Match,
        Outpaint,
        Portrait,
        Recognise,
        Replace,
        Request,
        Scene,
        Source,
        Sprite,
        TextEdit,
        Txt2Img,
        Upscale,
        parse_request,
    )
    from sfumato.results import Progress, Report, Result
    from sfumato.service.client import Client
    from sfumato.studio import Studio

    __version__: str

_HOMES = {
    "sfumato.service.client": ("Client",),
    "sfumato.studio": ("Studio",),
    "sfumato.results": ("Progress", "Report", "Result"),
    "sfumato.requests": (
        "REQUESTS",
        "Control",
        "Depth2Img",
        "Detail",
        "Between",
        "Colorize",
        "Match",
        "Portrait",
        "Scene",
        "Classify",
        "Denoise",
        "Enhance",
        "Follow",
        "Img2Img",
        "Inpaint",
        "Lora",
        "Outpaint",
        "Recognise",
        "Replace",
        "Request",
        "Source",
        "TextEdit",
        "Sprite",
        "Txt2Img",
        "Upscale",
        "parse_request",
    ),
    "sfumato.errors": (
        "CheckpointError",
        "DivergedError",
        "OutputError",
        "RequestError",
        "SfumatoError",
        "TrainingError",
        "UnknownNameError",
    ),
}

__all__ = [
    "REQUESTS",
    "Between",
    "CheckpointError",
    "Classify",
    "Client",
    "Colorize",
    "Control",
    "Denoise",
    "Depth2Img",
    "Detail",
    "DivergedError",
    "Enhance",
    "Follow",
    "Img2Img",
    "Inpaint",
    "Lora",
    "Match",
    "Outpaint",
    "OutputError",
    "Portrait",
    "Progress",
    "Recognise",
    "Replace",
    "Report",
    "Request",
    "RequestError",
    "Result",
    "Scene",
    "SfumatoError",
    "Source",
    "Sprite",
    "Studio",
    "TextEdit",
    "TrainingError",
    "Txt2Img",
    "UnknownNameError",
    "Upscale",
    "__version__",
    "parse_request",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("sfumato")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
