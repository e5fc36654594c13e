"""``sfumato animate`` and ``sfumato interpolate``: their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato.cli.options import Device, Json, Numbers, Quiet, check_precision, real, taking, whole
from sfumato.errors import RequestError

animation = typer.Typer(rich_markup_mode=None)

MOVING: dict[str, Any] = {
    "output": Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help=".webp, .gif, .png or .mp4; frames beside it")
    ],
    "fps": Annotated[float | None, real("--fps", metavar="F", help="frames a second; default 12")],
    "common": Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=V", help="of all frames, as steps=8 or zoom=1.02; may be repeated"),
    ],
}
DEFAULT = Path("outputs/animation.webp")


def _run(
    keys: Any,
    loop: int,
    choices: dict[str, Any],
    device: str,
    precision: str,
    *,
    as_json: bool,
    quiet: bool,
    pingpong: bool = False,
) -> None:
    from sfumato.cli import animation as command
    from sfumato.cli.painting import Machine

    command.animate(
        keys,
        choices["output"] or DEFAULT,
        choices["common"] or [],
        Machine(device, check_precision(precision)),
        loop=loop,
        pingpong=pingpong,
        fps=12.0 if choices["fps"] is None else choices["fps"],
        as_json=as_json,
        quiet=quiet,
    )


@animation.command("animate")
@taking(MOVING)
def animate(
    *,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="FRAME[@SEED]:PROMPT", help="a keyframe; may be repeated")
    ] = None,
    keys: Annotated[Path | None, typer.Option("--keys", metavar="FILE", help="keyframes as JSON, camera too")] = None,
    loop: Annotated[int, whole("--loop", metavar="N", help="N frames more lead back to the first")] = 0,
    pingpong: Annotated[bool, typer.Option("--pingpong", help="show the frames there and back")] = False,
    device: Device = "auto",
    precision: Numbers = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    **choices: Any,
) -> None:
    """Paint what lies between keyframes, or what a camera sees, and print the path of the moving picture."""
    from sfumato.animation import Key, read_keys

    found = [*([] if keys is None else read_keys(keys)), *map(Key.parse, key or [])]
    _run(found, loop, choices, device, precision, as_json=as_json, quiet=quiet, pingpong=pingpong)


@animation.command("interpolate")
@taking(MOVING)
def interpolate(
    first: Annotated[str, typer.Argument(metavar="A", help="the prompt to begin with")],
    last: Annotated[str, typer.Argument(metavar="B", help="the prompt to end with")],
    *,
    frames: Annotated[int, whole("--frames", metavar="N", help="in all, A and B among them")] = 24,
    seed: Annotated[int, whole("--seed", metavar="N", help="of A")] = 0,
    to_seed: Annotated[int | None, whole("--to-seed", metavar="N", help="of B; the same by default")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="and back again, in as many frames")] = False,
    device: Device = "auto",
    precision: Numbers = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    **choices: Any,
) -> None:
    """Paint the way from one prompt to another, and print the path of the moving picture."""
    from sfumato.animation import Key

    if frames < 2:
        raise RequestError(f"frames {frames} must be 2 or more: A and B are two of them")
    ends = [Key(0, first, seed), Key(frames - 1, last, to_seed)]
    _run(ends, ends[1].frame if loop else 0, choices, device, precision, as_json=as_json, quiet=quiet)
