"""``sfumato adapter``: the group's commands and their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import real, whole

adapter = typer.Typer(help="Make adapters of adapters, or merge them into a model.", rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="ADAPTER", help="a LoRA or kin of it, by name or path")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="NAME.safetensors, which is not there yet")]
Base = Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="the model that it is for")]
Ranks = Annotated[int | None, whole("--rank", metavar="N", help="at most so many ranks")]
Share = Annotated[float | None, real("--keep", metavar="F", help="so many ranks as keep this share of the change")]
Layout = Annotated[str, typer.Option("--layout", metavar="L", help="kohya, diffusers")]


@adapter.command("convert")
def convert(source: Source, target: Target, *, model: Base = "nano", layout: Layout = "diffusers") -> None:
    """Write an adapter by the names of kohya or of diffusers, and print its path."""
    from sfumato.cli import adapters

    adapters.convert(source, target, model, layout)


@adapter.command("resize")
def resize(
    source: Source,
    target: Target,
    *,
    model: Base = "nano",
    rank: Ranks = None,
    keep: Share = None,
    layout: Layout = "kohya",
) -> None:
    """Cut an adapter of any kind to a plain LoRA of a lower rank, and print its path."""
    from sfumato.cli import adapters

    adapters.resize(source, target, model, rank, keep, layout)


@adapter.command("blend")
def blend(
    sources: Annotated[list[str], typer.Argument(metavar="ADAPTER[:W]... OUT", help="each with its weight; OUT last")],
    *,
    model: Base = "nano",
    rank: Ranks = None,
    keep: Share = None,
    layout: Layout = "kohya",
) -> None:
    """Add up adapters by their weights, and print the path of the sum."""
    from sfumato.cli import adapters

    adapters.blend(sources, model, rank, keep, layout)


@adapter.command("extract")
def extract(
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="a fine-tuned model's name, folder or file")],
    target: Target,
    *,
    model: Base = "nano",
    rank: Ranks = 32,
    keep: Share = None,
    layout: Layout = "kohya",
) -> None:
    """Make a LoRA of what a tuned model differs in from the model it was made of, and print its path."""
    from sfumato.cli import adapters

    adapters.extract(tuned, target, model, rank, keep, layout)


@adapter.command("merge")
def merge(
    source: Annotated[str, typer.Argument(metavar="MODEL", help="a name, a checkpoint file or a diffusers folder")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="NAME.safetensors, or a folder to be made")],
    lora: Annotated[list[str], typer.Option("--lora", metavar="NAME|PATH[:W[:TEXT_W]]", help="may be repeated")],
) -> None:
    """Write a model with adapters in its weights for good, and print its path."""
    from sfumato.cli import weights

    weights.convert(source, target, precision="keep", prediction=None, vae=None, loras=lora)
