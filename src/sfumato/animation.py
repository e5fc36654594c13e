"""Animations: keyframes of prompt, seed and guidance, the frames between them, and files of them that move.

>>> keys = [Key(0, "a fox", 1), Key(24, "a wolf", 2)]
>>> frames = in_between(keys, Between(prompt="", to=""), loop=24)
>>> for line in batches.paint(studio, batches.entries(frames), Path("fox.frames")): ...
"""

import io
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from sfumato.errors import RequestError
from sfumato.files import decoded
from sfumato.output import rewrite
from sfumato.requests import Between
from sfumato.validation import brief

if TYPE_CHECKING:
    from av.container import OutputContainer

MAX_FRAMES = 10_000
FORMATS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP", ".mp4": "MP4"}
"""By the ending of the name; a PNG that moves is an APNG."""
SAVED: dict[str, dict[str, Any]] = {"GIF": {"optimize": True}, "WEBP": {"quality": 90}, "PNG": {}}
"""How Pillow writes them."""


@dataclass(frozen=True)
class Key:
    """What a frame paints; seed and guidance left open are those of the key before."""

    frame: int
    prompt: str
    seed: int | None = None
    guidance: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``FRAME:PROMPT``, or ``FRAME@SEED:PROMPT``.

        Raises:
            RequestError: for anything else.
        """
        found = re.fullmatch(r"\s*([0-9]{1,6})(?:@([0-9]{1,20}))?:(.*)", text, re.DOTALL)
        if found is None:
            raise RequestError(f'key {brief(text)} must be FRAME:PROMPT or FRAME@SEED:PROMPT; for example 24:"a fox"')
        return cls(int(found[1]), found[3].strip(), None if found[2] is None else int(found[2]))


def read_keys(file: Path) -> list[Key]:
    """The keys of a JSON file, a list of ``{"frame": 0, "prompt": "...", "seed": 1, "guidance": 3.0}``.

    Raises:
        RequestError: it cannot be read, or is something else.
    """
    try:
        entries = json.loads(decoded(file.read_bytes()))
    except OSError as error:
        raise RequestError(f"cannot read {file}: {error.strerror}; give a JSON file of keys") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{file} is not JSON: {brief(str(error), 100)}") from None
    kinds: dict[str, Any] = {"frame": int, "prompt": str, "seed": int, "guidance": (int, float)}
    for entry in entries if isinstance(entries, list) else [entries]:
        right = isinstance(entry, dict) and {"frame", "prompt"} <= entry.keys() <= kinds.keys()
        if not right or not all(
            isinstance(value, kinds[name]) and not isinstance(value, bool) for name, value in entry.items()
        ):
            raise RequestError(f'{file} has {brief(entry)}; a key is {{"frame": 0, "prompt": "..."}}, seed, guidance')
    return [Key(**entry) for entry in (entries if isinstance(entries, list) else [entries])]


def in_between(keys: Sequence[Key], request: Between, loop: int = 0) -> list[Between]:
    """The requests of all frames, from the first key to the last.

    Args:
        request: whose other fields all frames have; its seed, or else 0, is that of a first key without one.
        loop: so many frames more lead back to the first key, which is not painted again.

    Raises:
        RequestError: fewer than two keys, two for one frame, too many frames, or a value that is not allowed.
    """
    ordered = sorted(keys, key=lambda key: key.frame)
    frames = [key.frame for key in ordered]
    if len(set(frames)) < max(2, len(frames)):
        raise RequestError(
            f"keys are at frames {', '.join(map(str, frames)) or 'none'}; give two or more, each its own"
        )
    filled: list[Key] = []
    for key in ordered:
        before = filled[-1] if filled else Key(0, "", request.seed or 0, request.guidance)
        seed = before.seed if key.seed is None else key.seed
        guidance = before.guidance if key.guidance is None else float(key.guidance)
        filled.append(Key(key.frame, key.prompt, seed, guidance))
    if loop:
        last = filled[-1].frame + loop
        filled.append(Key(last, filled[0].prompt, filled[0].seed, filled[0].guidance))
    if filled[-1].frame - filled[0].frame >= MAX_FRAMES:
        raise RequestError(f"an animation of over {MAX_FRAMES} frames is too long; make it in parts")
    shared = {name: value for name, value in request if name != "task"}
    found = []
    for one, other in itertools.pairwise(filled):
        for frame in range(one.frame, other.frame):
            share = (frame - one.frame) / (other.frame - one.frame)
            found.append(_frame(shared, one, other, share))
    return found if loop else [*found, _frame(shared, filled[-2], filled[-1], 1.0)]


def _frame(shared: dict[str, object], one: Key, other: Key, share: float) -> Between:
    ends = {"prompt": one.prompt, "seed": one.seed, "guidance": one.guidance}
    ends |= {"to": other.prompt, "to_seed": other.seed, "to_guidance": other.guidance}
    return Between.build(**{**shared, **ends, "share": share})


def flicker(frames: Sequence[Image.Image], *, loop: bool = False) -> list[float]:
    """How much each frame differs from the next (and the last from the first in a loop): mean absolute, 0 to 255."""
    arrays = [np.asarray(frame.convert("RGB")).astype(np.int16) for frame in frames]
    following = [*arrays[1:], *([arrays[0]] if loop else [])]
    return [float(np.abs(a - b).mean()) for a, b in zip(arrays, following, strict=False)]


def check_name(file: Path) -> str:
    """The format of a file that moves.

    Raises:
        RequestError: its ending is none of `FORMATS`, or the encoder of videos is not installed.
    """
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise RequestError(f"{str(file)!r} must end in one of {', '.join(FORMATS)}")
    if kind == "MP4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise RequestError(f"{file.suffix} needs PyAV; pip install 'sfumato[video]', or end it in .webp") from None
    return kind


def save(frames: Sequence[Image.Image], file: Path, fps: float) -> None:
    """Write frames as a file that moves, without end where the format can say so.

    Raises:
        RequestError: as `check_name`.
        OutputError: it cannot be written.
    """
    kind = check_name(file)
    plain = [frame.convert("RGB") for frame in frames]
    buffer = io.BytesIO()
    if kind == "MP4":
        _video(plain, buffer, fps)
    else:
        plain[0].save(
            buffer, kind, save_all=True, append_images=plain[1:], duration=round(1000 / fps), loop=0, **SAVED[kind]
        )
    rewrite(file, buffer.getvalue())


def _video(frames: Sequence[Image.Image], buffer: io.BytesIO, fps: float) -> None:
    """H.264 in the widest spread pixel format, whose sides must be even: odd ones lose a pixel."""
    from fractions import Fraction

    import av

    container: OutputContainer = av.open(buffer, "w", format="mp4")
    with container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = (side // 2 * 2 for side in frames[0].size)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            even = frame.crop((0, 0, stream.width, stream.height))
            container.mux(stream.encode(av.VideoFrame.from_image(even)))
        container.mux(stream.encode())
