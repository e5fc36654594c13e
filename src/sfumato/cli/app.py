"""The commands and their options, as typer reads them. Declares, and hands over; nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sfumato.choices import Preprocessor
from sfumato.cli.adapter_app import adapter
from sfumato.cli.animation_app import animation
from sfumato.cli.data_app import data
from sfumato.cli.gallery_app import gallery
from sfumato.cli.many_app import many
from sfumato.cli.meta_app import meta
from sfumato.cli.options import (
    Device,
    Json,
    Model,
    Numbers,
    Picture,
    Quiet,
    Size,
    Steps,
    Stored,
    StoredWeights,
    one_of,
    real,
    whole,
)
from sfumato.cli.recognition_app import recognition
from sfumato.cli.runs_app import runs
from sfumato.cli.serve_app import jobs, serve
from sfumato.cli.teach_app import teaching
from sfumato.errors import UnknownNameError

SECTIONS = {
    "Paint": "txt2img img2img portrait scene grid batch",
    "Edit": "inpaint outpaint replace edit detail depth2img colorize match",
    "Restore": "denoise enhance upscale",
    "Move": "animate interpolate between follow",
    "Game art": "sprite sheet tileset parallax",
    "Recognise": "recognise caption classify similar embed augment",
    "Train": "teach train data runs evaluate adapter",
    "Serve": "serve jobs gallery",
    "Models": "models pull inspect convert",
    "Records": "meta replay verify",
    "Besides": "preprocess doctor bench",
}
"""Commands by what they are for, the most used first."""


class _Tasks(TyperGroup):
    """The group of all commands; a task's is made of its request when it is named."""

    def format_commands(self, context: Any, formatter: Any) -> None:
        for heading, names in SECTIONS.items():
            found = [(name, self.get_command(context, name)) for name in names.split()]
            with formatter.section(heading):
                formatter.write_dl([(name, command.help.partition("\n")[0]) for name, command in found])

    def list_commands(self, context: Any) -> list[str]:
        from sfumato.requests import REQUESTS

        return [*REQUESTS, *super().list_commands(context)]

    def get_command(self, context: Any, name: str) -> Any:
        declared = super().get_command(context, name)
        return _task(name) if declared is None else declared

    def resolve_command(self, context: Any, args: list[str]) -> Any:
        if not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            raise UnknownNameError("command", args[0][:64], self.list_commands(context), meant=_ELSEWHERE)
        return super().resolve_command(context, args)


_ELSEWHERE = dict.fromkeys(("paint", "draw", "generate", "text2img", "text2image", "txt2image"), "txt2img") | {
    **dict.fromkeys(("image2image", "img2image"), "img2img"),
    **dict.fromkeys(("download", "fetch"), "pull"),
    **dict.fromkeys(("list", "ls"), "models"),
    **dict.fromkeys(("info", "check"), "inspect"),
}
"""What commands are called by other programs."""


def _task(name: str) -> Any:
    from sfumato.cli import painting, processing
    from sfumato.cli.tasks import task_command
    from sfumato.requests import REQUESTS, Painting

    if name not in REQUESTS:
        return None
    return task_command(name, painting.run if issubclass(REQUESTS[name], Painting) else processing.run)


app = typer.Typer(
    name="sfumato",
    cls=_Tasks,
    help="Paint pictures from words with Stable Diffusion, on the CPU first.",
    add_completion=False,
    rich_markup_mode=None,  # plain help, without importing rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(help="Measure speed and memory.", rich_markup_mode=None)
app.add_typer(bench, name="bench")
app.add_typer(meta, name="meta")
app.add_typer(data, name="data")
app.add_typer(many)
app.add_typer(adapter, name="adapter")
app.add_typer(animation)
app.add_typer(recognition)
app.add_typer(teaching)
app.add_typer(jobs, name="jobs")
app.add_typer(gallery, name="gallery")
app.add_typer(runs, name="runs")
app.command("serve")(serve)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"sfumato {version('sfumato')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="say what this one has learned to paint")] = None,
    as_json: Json = False,
) -> None:
    """List the models that can be named, or say what one of them knows."""
    from sfumato.cli import reports

    if name is None:
        reports.models(as_json=as_json)
    else:
        reports.knowledge(name, as_json=as_json)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(metavar="ORG/NAME[/FILE]", help="on the Hugging Face Hub")],
    revision: Annotated[str | None, typer.Option(metavar="R", help="a branch, a tag or a commit; default main")] = None,
    variant: Annotated[str | None, typer.Option(metavar="V", help="of the weights: fp16")] = None,
    quiet: Quiet = False,
) -> None:
    """Fetch a model into the Hub's cache, for --model ORG/NAME, and print where it lies."""
    from sfumato.cli import pull as command

    command.pull(model, revision=revision, variant=variant, quiet=quiet)


@app.command()
def doctor(device: Device = "auto", as_json: Json = False) -> None:
    """Examine this machine and say what would be used on it."""
    from sfumato.cli import reports

    reports.doctor(device=device, as_json=as_json)


@bench.command("txt2img")
def bench_txt2img(
    model: Model = None,
    steps: Steps = None,
    size: Size = None,
    repeat: Annotated[int, whole(metavar="N", help="of every measurement")] = 3,
    device: Device = "auto",
    precision: Numbers = "auto",
    as_json: Json = False,
) -> None:
    """Time txt2img: a cold start, a step, pictures a second, peak memory."""
    from sfumato.cli import reports

    reports.bench_txt2img(
        model=model, steps=steps, size=size, repeat=repeat, device=device, precision=precision, as_json=as_json
    )


@bench.command("load")
def bench_load(
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME|PATH", help="default: 2 GB of Stable Diffusion 1.5's form")
    ] = None,
    repeat: Annotated[int, whole(metavar="N", help="of every measurement")] = 3,
    device: Device = "auto",
    precision: Numbers = "auto",
    as_json: Json = False,
) -> None:
    """Time the loading of a model: seconds until it can paint, peak memory by the size of its file."""
    from sfumato.cli import reports

    reports.bench_load(model=model, repeat=repeat, device=device, precision=precision, as_json=as_json)


@app.command()
def replay(
    file: Picture,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", help="keep the repainted one")] = None,
    as_json: Json = False,
    device: Device = "auto",
    precision: Stored = None,
    engine: StoredWeights = None,
    quiet: Quiet = False,
) -> None:
    """Repaint a picture from what it carries, and compare; the exit code is 0 when it is identical, else 1."""
    from sfumato.cli import metadata

    code = metadata.replay(
        file, output, device=device, precision=precision, engine=engine, as_json=as_json, quiet=quiet
    )
    if code:
        raise typer.Exit(code)


@app.command()
def verify(
    file: Picture,
    as_json: Json = False,
    device: Device = "auto",
    precision: Stored = None,
    engine: StoredWeights = None,
    quiet: Quiet = False,
) -> None:
    """Repaint a picture and name the first step that differs; the exit code is 0 when all is identical, else 1."""
    from sfumato.cli import verification

    code = verification.verify(file, device=device, precision=precision, engine=engine, as_json=as_json, quiet=quiet)
    if code:
        raise typer.Exit(code)


@app.command()
def preprocess(
    how: Annotated[str, typer.Argument(metavar="P", help=one_of(Preprocessor))],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="a picture")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="where to write it")],
) -> None:
    """Write what a control is shown of a picture (edges, lines, colours), and print its path."""
    from sfumato.cli import preprocessing

    preprocessing.preprocess(how, image, output)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="a model's name, folder or file")],
    target: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="NAME.safetensors, or else a folder to make")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="the same as an option")] = None,
    precision: Annotated[str, typer.Option(metavar="P", help="keep, fp32, fp16, bf16")] = "keep",
    prediction: Annotated[str | None, typer.Option(metavar="P", help="epsilon, v; when IN does not say")] = None,
    vae: Annotated[Path | None, typer.Option(metavar="FILE", help="an autoencoder in place of its own")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME|PATH[:W[:TEXT_W]]", help="merge a LoRA; may be repeated")
    ] = None,
) -> None:
    """Write a model as one file or as a diffusers folder, and print its path."""
    from sfumato.cli import weights

    weights.convert(
        source, weights.one_place(target, output), precision=precision, prediction=prediction, vae=vae, loras=lora or []
    )


@app.command()
def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="weights: .safetensors, .gguf, .ckpt, .pt, .bin; or a model folder")
    ],
    prediction: Annotated[str | None, typer.Option(metavar="P", help="epsilon, v; instead of what it says")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="does this LoRA or embedding fit it?")] = None,
    as_json: Json = False,
) -> None:
    """Say what a file of weights is and whether it loads; the exit code is 0 when it is sound, else 2."""
    from sfumato.cli import weights

    code = weights.inspect(file, prediction=prediction, model=model, as_json=as_json)
    if code:
        raise typer.Exit(code)


def _config(context: typer.Context, value: Path | None) -> Path | None:
    if value is None and context.params.get("init") is None:
        raise typer.BadParameter("CONFIG.toml is missing; --init DATA writes a first one")
    return value


@app.command()
def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="what to train and how", callback=_config)
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="where; an unfinished run goes on")] = None,
    init: Annotated[
        Path | None,
        typer.Option("--init", metavar="DATA", is_eager=True, help="write a first CONFIG.toml for prepared pictures"),
    ] = None,
    kohya: Annotated[
        bool, typer.Option("--kohya", help="CONFIG.toml is of kohya's sd-scripts: its options and datasets")
    ] = False,
) -> None:
    """Train a model, or go on training it, and print the folder of the result."""
    from sfumato.cli.terminal import narrating

    with narrating():
        if init is not None:
            from sfumato.training.first import write_first

            print(write_first(init, config))
        elif config is not None:
            from sfumato.training.run import train as train_from

            if kohya:
                from sfumato.training.kohya import translated

                print(train_from(config, run, read=translated))
            else:
                print(train_from(config, run))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model's name, folder or file")],
    output: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.md", help="the page; a sheet and JSON beside it")
    ],
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="renders with attributes")] = Path("runs/nano/data"),
    classifier: Annotated[Path, typer.Option(metavar="FOLDER", help="export of a run that trained one")] = Path(
        "recipes/nano/judge"
    ),
    captions: Annotated[
        str, typer.Option(metavar="MODULE:FUNCTION", help="says all attributes of a picture in a language")
    ] = "recipes.nano.data.captions:full_caption",
    languages: Annotated[str, typer.Option(metavar="L,L", help="of the prompts")] = "en,zh",
    per_kind: Annotated[int, whole("--per-kind", metavar="N", help="held-out renders, twice: seen and new")] = 40,
    seeds: Annotated[int, whole("--seeds", metavar="N", help="pictures of each prompt")] = 2,
    steps: Steps = None,
    guidance: Annotated[float | None, real(metavar="F", help="how closely to follow the prompts")] = None,
    work: Annotated[Path, typer.Option(metavar="FOLDER", help="keeps paintings, to go on")] = Path("runs/evaluation"),
    device: Device = "auto",
    precision: Numbers = "auto",
    quiet: Quiet = False,
) -> None:
    """Judge a model's paintings of held-out captions, and write its model card."""
    from sfumato.cli import evaluate as evaluation

    given = {"steps": steps, "guidance": guidance}
    evaluation.evaluate(
        model,
        evaluation.Sources(data, classifier, captions),
        output,
        work=work,
        per_kind=per_kind,
        seeds=seeds,
        languages=languages,
        options={name: value for name, value in given.items() if value is not None},
        device=device,
        precision=precision,
        quiet=quiet,
    )
