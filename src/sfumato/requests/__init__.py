"""What can be asked for: one frozen model a task, the same for Python, command line, service and metadata.

    base.py      Request: strictness, errors of ours, JSON; Shown: how a field looks outside Python
    fields.py    kinds of values: prompts, sizes, LoRAs, pictures that a request begins from
    painting.py  Painting: what all requests for pictures have; Edit: what begins from one; Masked: of a part
    processing.py  Processing: what begins from pictures, and is not painted from a prompt
    tasks.py     a class a task, and REQUESTS, over which command line, readers, service and tests iterate

A value left None is the model's to choose; what ran is a request again, with every value filled in. What can be checked
without a model is checked here. Nothing here imports torch, numpy or Pillow.
"""

from sfumato.choices import Sampler, Schedule
from sfumato.requests.base import MAX_JSON, Request, Shown, shown
from sfumato.requests.fields import MAX_SEED, MAX_SIGMA, Control, Lora, Pictured, Source, parse_size
from sfumato.requests.painting import Edit, Masked, Painting, draw_seed
from sfumato.requests.processing import Processing, Recognising
from sfumato.requests.tasks import (
    REQUESTS,
    Between,
    Classify,
    Colorize,
    Denoise,
    Depth2Img,
    Detail,
    Enhance,
    Follow,
    Img2Img,
    Inpaint,
    Match,
    Outpaint,
    Portrait,
    Recognise,
    Replace,
    Scene,
    Sprite,
    TextEdit,
    Txt2Img,
    Upscale,
    parse_request,
)

__all__ = [
    "MAX_JSON",
    "MAX_SEED",
    "MAX_SIGMA",
    "REQUESTS",
    "Between",
    "Classify",
    "Colorize",
    "Control",
    "Denoise",
    "Depth2Img",
    "Detail",
    "Edit",
    "Enhance",
    "Follow",
    "Img2Img",
    "Inpaint",
    "Lora",
    "Masked",
    "Match",
    "Outpaint",
    "Painting",
    "Pictured",
    "Portrait",
    "Processing",
    "Recognise",
    "Recognising",
    "Replace",
    "Request",
    "Sampler",
    "Scene",
    "Schedule",
    "Shown",
    "Source",
    "Sprite",
    "TextEdit",
    "Txt2Img",
    "Upscale",
    "draw_seed",
    "parse_request",
    "parse_size",
    "shown",
]
