"""Animations: keyframes of prompt, seed, guidance and camera, the frames between them, and files of them that move.

Frames either lie between two keys, each by itself, or each follows from the last one, as a camera that moves sees it.

>>> keys = [Key(0, "a fox", 1), Key(24, "a wolf", 2)]
>>> frames = in_between(keys, Between(prompt="", to=""), loop=24)
>>> for line in batches.paint(studio, batches.entries(enumerate(frames, 1)), Path("fox.frames")): ...
"""

import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from sfumato.errors import RequestError, installed_by
from sfumato.files import decoded
from sfumato.output import rewrite
from sfumato.requests import Between, Follow, Painting, Txt2Img
from sfumato.validation import brief

if TYPE_CHECKING:
    from av.container import OutputContainer

MAX_FRAMES = 10_000
FORMATS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP", ".mp4": "MP4"}
"""Formats by the ending of the name; a PNG that moves is an APNG."""
SAVED: dict[str, dict[str, Any]] = {"GIF": {"optimize": True}, "WEBP": {"quality": 90}, "PNG": {}}
"""How Pillow writes them."""


CAMERA = ("strength", "zoom", "angle", "translation_x", "translation_y")
"""Numbers of keys that make each frame follow from the last one, see `Follow`."""


@dataclass(frozen=True)
class Key:
    """What a frame paints; what is left open is as in the key before. Between keys numbers change evenly."""

    frame: int
    prompt: str
    seed: int | None = None
    guidance: float | None = None
    strength: float | None = None
    zoom: float | None = None
    angle: float | None = None
    translation_x: float | None = None
    translation_y: float | None = None

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

    @property
    def moves(self) -> bool:
        """Whether it says how a frame follows from the last one."""
        return any(getattr(self, name) is not None for name in CAMERA)

    def after(self, before: Self, counting: int = 0) -> Self:
        """The same, with what it leaves open as in another; its seed by `counting` a frame more."""
        assert before.seed is not None
        own = {name: value for name, value in vars(self).items() if value is not None}
        return replace(before, **{"seed": before.seed + counting * (self.frame - before.frame), **own})


def read_keys(file: Path) -> list[Key]:
    """The keys of a JSON file, a list of ``{"frame": 0, "prompt": "...", "seed": 1, "guidance": 3.0, "zoom": 1.02}``.

    Raises:
        RequestError: it cannot be read, or is something else.
    """
    try:
        entries = json.loads(decoded(file.read_bytes()))
    except OSError as error:
        raise RequestError(f"cannot read {file}: {error.strerror}; give a JSON file of keys") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{file} is not JSON: {brief(str(error), 100)}") from None
    kinds: dict[str, Any] = {"frame": int, "prompt": str, "seed": int}
    kinds |= dict.fromkeys(("guidance", *CAMERA), (int, float))
    for entry in entries if isinstance(entries, list) else [entries]:
        right = isinstance(entry, dict) and {"frame", "prompt"} <= entry.keys() <= kinds.keys()
        if not right or not all(
            isinstance(value, kinds[name]) and not isinstance(value, bool) for name, value in entry.items()
        ):
            known = ", ".join(list(kinds)[2:])
            raise RequestError(f'{file} has {brief(entry)}; a key is {{"frame": 0, "prompt": "..."}}, and {known}')
    return [Key(**entry) for entry in (entries if isinstance(entries, list) else [entries])]


def _filled(keys: Sequence[Key], first: Key, counting: int = 0) -> list[Key]:
    """The keys in their order, each whole, the first one by `first`. Raises as `in_between`."""
    ordered = sorted(keys, key=lambda key: key.frame)
    frames = [key.frame for key in ordered]
    if len(set(frames)) < max(2, len(frames)):
        where = f"keys are at frames {', '.join(map(str, frames))}" if frames else "there are no keys"
        raise RequestError(f"{where}; give two or more, each at a frame of its own")
    if frames[-1] - frames[0] >= MAX_FRAMES:
        raise RequestError(f"an animation of over {MAX_FRAMES} frames is too long; make it in parts")
    first = replace(first, frame=frames[0])
    return list(itertools.accumulate(ordered, lambda before, key: key.after(before, counting), initial=first))[1:]


def _stretches(keys: Sequence[Key]) -> Iterator[tuple[Key, Key, float]]:
    """For each frame the keys that it lies between, and its share of the way."""
    for one, other in itertools.pairwise(keys):
        length = other.frame - one.frame
        yield from ((one, other, step / length) for step in range(length))
    yield keys[-2], keys[-1], 1.0


def in_between(keys: Sequence[Key], request: Between, loop: int = 0) -> list[Between]:
    """The requests of all frames, from the first key to the last.

    Args:
        request: whose other fields all frames have; its seed, or else 0, is that of a first key without one.
        loop: so many frames more lead back to the first key, which is not painted again.

    Raises:
        RequestError: fewer than two keys, two for one frame, too many frames, or a value that is not allowed.
    """
    filled = _filled(keys, Key(0, "", request.seed or 0, request.guidance))
    if loop:
        filled = _filled([*filled, replace(filled[0], frame=filled[-1].frame + loop)], filled[0])
    shared = {name: value for name, value in request if name != "task"}
    found = [_between(shared, *place) for place in _stretches(filled)]
    return found[:-1] if loop else found


def _between(shared: Mapping[str, object], one: Key, other: Key, share: float) -> Between:
    ends = {"prompt": one.prompt, "seed": one.seed, "guidance": one.guidance}
    ends |= {"to": other.prompt, "to_seed": other.seed, "to_guidance": other.guidance}
    return Between.build(**{**shared, **ends, "share": share})


def following(
    keys: Sequence[Key], fields: Mapping[str, object], last: Callable[[], Path]
) -> Iterator[Txt2Img | Follow]:
    """The requests of all frames, from the first key to the last, each but the first of the picture before. Seeds count
    on from frame to frame, since noise that stays leaves marks where it falls again and again.

    Args:
        fields: of `Follow`, which all frames have; seed, guidance and the camera's are those of a first key without
            them, and an ``image`` is what the first frame begins from, which is painted from its prompt alone without.
        last: the picture of the frame before, asked for when the next request is.

    Raises:
        RequestError: as `in_between`, before the first request.
    """
    known = {name: value for name, value in fields.items() if name not in ("task", "image")}
    first = {name: known.pop(name) for name in ("seed", "guidance", *CAMERA) if name in known}
    filled = _filled(keys, Key(0, "", **{"seed": 0, **first}), counting=1)  # type: ignore[arg-type]
    for key in filled:
        if (key.guidance is None) != (filled[-1].guidance is None):
            raise RequestError(f"guidance is said after frame {key.frame} and not there; say it at the first key too")
        _follow(known, key, key, 0.0, Image.new("RGB", (16, 16)))
    return _following(filled, known, fields.get("image"), last)


def _following(
    keys: Sequence[Key], shared: Mapping[str, object], begin: object, last: Callable[[], Path]
) -> Iterator[Txt2Img | Follow]:
    one, *rest = _stretches(keys)
    still = _follow(shared, *one, Image.new("RGB", (16, 16)) if begin is None else begin)
    still = still.changed(zoom=1.0, angle=0.0, translation_x=0.0, translation_y=0.0)
    plain = {name: getattr(still, name) for name in Painting.model_fields if name != "task"}
    yield Txt2Img.build(**plain) if begin is None else still
    yield from (_follow(shared, *place, last()) for place in rest)


def _follow(shared: Mapping[str, object], one: Key, other: Key, share: float, image: object) -> Follow:
    numbers = {}
    for name in ("guidance", *CAMERA):
        here, there = getattr(one, name), getattr(other, name)
        default = Follow.model_fields[name].default
        if here is not None or there is not None:
            here, there = (default if value is None else value for value in (here, there))
            numbers[name] = here + share * (there - here)
    nearest = other if share == 1 else one
    assert nearest.seed is not None
    own: dict[str, object] = {"prompt": nearest.prompt, "seed": nearest.seed, "image": image}
    if share < 1:
        own["seed"] = nearest.seed + round(share * (other.frame - one.frame))
    if one.prompt != other.prompt and 0 < share < 1:
        own |= {"to": other.prompt, "share": share}
    return Follow.build(**{**shared, **numbers, **own})


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
            raise RequestError(f"{file.suffix} needs PyAV: {installed_by('video')}, or end it in .webp") from None
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
