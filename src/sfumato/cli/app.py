"""The commands and their options, as typer reads them. Declares, and hands over; nothing heavy is imported here."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from sfumato.choices import Format, GuidanceMethod, Numerics, Precision, Sampler, Schedule, Syntax

app = typer.Typer(
    name="sfumato",
    help="Paint pictures from words with Stable Diffusion, on the CPU first.",
    add_completion=False,
    rich_markup_mode=None,  # plain help, without importing rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(help="Measure speed and memory.", rich_markup_mode=None)
app.add_typer(bench, name="bench")
meta = typer.Typer(help="Read, write and strip what is stored in a picture.", rich_markup_mode=None)
app.add_typer(meta, name="meta")
data = typer.Typer(help="Look at your own pictures and make training data of them.", rich_markup_mode=None)
app.add_typer(data, name="data")


def _one_of(choices: object) -> str:
    return ", ".join(get_args(choices))


Number = TypeVar("Number", int, float)


def _parser(kind: type[Number], rule: str) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"{text[:60]!r} must be {rule}") from None

    return parse


def _whole(*names: str, metavar: str, help: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, parser=_parser(int, "a whole number, as 8"))


def _real(*names: str, metavar: str, help: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, parser=_parser(float, "a number, as 1.5"))


Model = Annotated[str | None, typer.Option("--model", metavar="NAME|PATH", help="default nano, the bundled model")]
Steps = Annotated[int | None, _whole("--steps", metavar="N", help="sampling steps; the model's own by default")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="in pixels, multiples of 8, as 256x256")]
Device = Annotated[str, typer.Option("--device", metavar="D", help="auto, cpu, cuda, cuda:1, mps")]
Numbers = Annotated[str, typer.Option("--precision", metavar="P", help=_one_of(Precision))]
Picture = Annotated[Path, typer.Argument(metavar="FILE", help="a picture")]
Changed = Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="leave FILE as it is, write this")]
Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="a folder, or a tar as WebDataset has them")]
Side = Annotated[int | None, _whole("--size", metavar="PX", help="pixels a side; default 256")]
Cut = Annotated[str | None, typer.Option("--crop", metavar="C", help="centre, or smart: where the detail is")]
Shortest = Annotated[
    int | None, _whole("--shortest", metavar="PX", help="least shorter side; half the size by default")
]
Largest = Annotated[int | None, _whole("--max-pixels", metavar="N", help="width x height above which none is decoded")]
Near = Annotated[bool, typer.Option("--near-duplicates", help="leave out also what looks the same")]
Uncaptioned = Annotated[str | None, typer.Option("--no-caption", metavar="C", help="skip, empty, name (of the file)")]
Held = Annotated[float | None, _real("--validation", metavar="F", help="share that is held out; default 0.05")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]


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
def txt2img(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="what to paint; - reads it from stdin")],
    model: Model = None,
    negative: Annotated[str | None, typer.Option(metavar="T", help="what to keep away from")] = None,
    seed: Annotated[int | None, _whole(metavar="N", help="of the first picture, then N+1; drawn by default")] = None,
    steps: Steps = None,
    sampler: Annotated[str | None, typer.Option(metavar="S", help=_one_of(Sampler))] = None,
    schedule: Annotated[str | None, typer.Option(metavar="G", help=_one_of(Schedule))] = None,
    guidance: Annotated[float | None, _real(metavar="F", help="how closely to follow the prompt; 1 is off")] = None,
    guidance_rescale: Annotated[float | None, _real(metavar="F", help="0 to 1, tames the contrast of it")] = None,
    guidance_method: Annotated[str | None, typer.Option(metavar="M", help=_one_of(GuidanceMethod))] = None,
    guidance_low: Annotated[float | None, _real(metavar="F", help="noise level down to which to guide")] = None,
    guidance_high: Annotated[float | None, _real(metavar="F", help="noise level from which to guide")] = None,
    dynamic_threshold: Annotated[float | None, _real(metavar="F", help="as 0.995, tames strong guidance")] = None,
    pag: Annotated[float | None, _real(metavar="F", help="perturbed attention guidance, as 3")] = None,
    freeu: Annotated[float | None, _real(metavar="F", help="1 as published")] = None,
    eta: Annotated[float | None, _real(metavar="F", help="0 to 1, share of fresh noise")] = None,
    ensd: Annotated[int | None, _whole(metavar="N", help="eta noise seed delta")] = None,
    numerics: Annotated[str | None, typer.Option(metavar="P", help=_one_of(Numerics))] = None,
    prompt_syntax: Annotated[str | None, typer.Option(metavar="P", help=_one_of(Syntax))] = None,
    template: Annotated[
        bool, typer.Option("--template", help="PROMPT is a template: {red|blue}, __wildcard__")
    ] = False,
    wildcards: Annotated[Path | None, typer.Option(metavar="FOLDER", help="of a template, a text file each")] = None,
    style: Annotated[list[str] | None, typer.Option(metavar="NAME", help="put around PROMPT; may be repeated")] = None,
    styles: Annotated[Path | None, typer.Option(metavar="FILE", help="A1111's styles.csv")] = None,
    clip_skip: Annotated[int | None, _whole(metavar="N", help="layer of the text encoder, from the last")] = None,
    original_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="what the picture is told to have been; SDXL")
    ] = None,
    target_size: Annotated[str | None, typer.Option(metavar="WxH", help="what it is told to become; SDXL")] = None,
    crop: Annotated[str | None, typer.Option(metavar="LEFTxTOP", help="what is told to be cut off; SDXL")] = None,
    aesthetic: Annotated[float | None, _real(metavar="F", help="looks it is told to have; SDXL's refiner")] = None,
    negative_aesthetic: Annotated[float | None, _real(metavar="F", help="looks to keep away from")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME|PATH[:W[:TEXT_W]]", help="paint with a LoRA; may be repeated")
    ] = None,
    embedding: Annotated[
        list[str] | None, typer.Option(metavar="NAME|PATH", help="a word learned by textual inversion; may be repeated")
    ] = None,
    size: Size = None,
    count: Annotated[int | None, _whole("-n", "--count", metavar="COUNT", help="how many pictures")] = None,
    batch: Annotated[int | None, _whole(metavar="B", help="how many at a time")] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|PATTERN",
            help="a file, a folder/ or a pattern of {seed} {index} {model} {prompt}; default outputs/",
        ),
    ] = None,
    format: Annotated[str | None, typer.Option(metavar="F", help=_one_of(Format))] = None,
    quality: Annotated[int | None, _whole(metavar="Q", help="of jpeg, webp and avif, 1 to 100")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="show the picture forming in the terminal")] = False,
    as_json: Json = False,
    device: Device = "auto",
    precision: Numbers = "auto",
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="load weights that hold NaN or infinity")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")] = False,
) -> None:
    """Paint pictures from a text and print the paths of their files."""
    from sfumato.cli import painting

    options = {
        "prompt": prompt,
        "negative": negative,
        "model": model,
        "seed": seed,
        "count": count,
        "batch": batch,
        "steps": steps,
        "sampler": sampler,
        "schedule": schedule,
        "guidance": guidance,
        "guidance_rescale": guidance_rescale,
        "guidance_method": guidance_method,
        "guidance_low": guidance_low,
        "guidance_high": guidance_high,
        "dynamic_threshold": dynamic_threshold,
        "pag": pag,
        "freeu": freeu,
        "eta": eta,
        "ensd": ensd,
        "numerics": numerics,
        "prompt_syntax": prompt_syntax,
        "clip_skip": clip_skip,
        "original_size": original_size,
        "target_size": target_size,
        "crop": crop,
        "aesthetic": aesthetic,
        "negative_aesthetic": negative_aesthetic,
        "loras": lora or None,
        "embeddings": embedding or None,
    }
    painting.txt2img(
        options,
        size=size,
        output=output,
        format=format,
        quality=quality,
        device=device,
        precision=precision,
        allow_nonfinite=allow_nonfinite,
        worded=painting.Wording(template, wildcards, tuple(style or ()), styles),
        surface=painting.Surface(preview=preview, as_json=as_json, quiet=quiet),
    )


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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")] = False,
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
    repeat: Annotated[int, _whole(metavar="N", help="of every measurement")] = 3,
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
    repeat: Annotated[int, _whole(metavar="N", help="of every measurement")] = 3,
    device: Device = "auto",
    precision: Numbers = "auto",
    as_json: Json = False,
) -> None:
    """Time the loading of a model: seconds until it can paint, peak memory by the size of its file."""
    from sfumato.cli import reports

    reports.bench_load(model=model, repeat=repeat, device=device, precision=precision, as_json=as_json)


@meta.command("read")
def meta_read(file: Picture, as_json: Json = False) -> None:
    """Say how a picture was made, by sfumato, A1111, ComfyUI, InvokeAI, NovelAI or diffusers."""
    from sfumato.cli import metadata

    metadata.show(file, as_json=as_json)


@meta.command("strip")
def meta_strip(file: Picture, output: Changed = None) -> None:
    """Take out all that does not change how the picture looks, and print the file's path."""
    from sfumato.cli import metadata

    metadata.strip(file, output)


@meta.command("write")
def meta_write(
    file: Picture,
    request: Annotated[str | None, typer.Option(metavar="JSON", help="a request, as meta read --json has it")] = None,
    infotext: Annotated[str | None, typer.Option(metavar="TEXT", help="settings as A1111 writes them")] = None,
    output: Changed = None,
) -> None:
    """Put a request or an infotext into a picture, and print the file's path."""
    from sfumato.cli import metadata

    metadata.write(file, output, request=request, infotext=infotext)


@app.command()
def replay(
    file: Picture,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="OUT", help="keep the repainted one")] = None,
    as_json: Json = False,
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(metavar="P", help="the picture's own by default")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")] = False,
) -> None:
    """Repaint a picture from what it carries, and compare; the exit code is 0 when it is identical, else 1."""
    from sfumato.cli import metadata

    code = metadata.replay(file, output, device=device, precision=precision, as_json=as_json, quiet=quiet)
    if code:
        raise typer.Exit(code)


@app.command()
def verify(
    file: Picture,
    as_json: Json = False,
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(metavar="P", help="the picture's own by default")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")] = False,
) -> None:
    """Repaint a picture and name the first step that differs; the exit code is 0 when all is identical, else 1."""
    from sfumato.cli import verification

    code = verification.verify(file, device=device, precision=precision, as_json=as_json, quiet=quiet)
    if code:
        raise typer.Exit(code)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="a model's name, folder or file")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="NAME.safetensors, or else a folder to make")],
    precision: Annotated[str, typer.Option(metavar="P", help="keep, fp32, fp16, bf16")] = "keep",
    prediction: Annotated[str | None, typer.Option(metavar="P", help="epsilon, v; when IN does not say")] = None,
    vae: Annotated[Path | None, typer.Option(metavar="FILE", help="an autoencoder in place of its own")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME|PATH[:W[:TEXT_W]]", help="merge a LoRA; may be repeated")
    ] = None,
) -> None:
    """Write a model as one file or as a diffusers folder, and print its path."""
    from sfumato.cli import weights

    weights.convert(source, target, precision=precision, prediction=prediction, vae=vae, loras=lora or [])


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="weights: .safetensors, .ckpt, .pt, .bin")],
    prediction: Annotated[str | None, typer.Option(metavar="P", help="epsilon, v; instead of what it says")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="does this LoRA or embedding fit it?")] = None,
    as_json: Json = False,
) -> None:
    """Say what a file of weights is and whether it loads; the exit code is 0 when it is sound, else 2."""
    from sfumato.cli import weights

    code = weights.inspect(file, prediction=prediction, model=model, as_json=as_json)
    if code:
        raise typer.Exit(code)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="what to train and how")],
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="where; an unfinished run goes on")] = None,
) -> None:
    """Train a model, or go on training it, and print the folder of the result."""
    from sfumato.cli.terminal import narrating
    from sfumato.training.run import train as train_from

    with narrating():
        folder = train_from(config, run)
    print(folder)


@data.command("check")
def data_check(
    source: Source,
    size: Side = None,
    crop: Cut = None,
    shortest: Shortest = None,
    max_pixels: Largest = None,
    near_duplicates: Near = False,
    no_caption: Uncaptioned = None,
    as_json: Json = False,
) -> None:
    """Say which pictures could be trained on, and why the others not."""
    from sfumato.cli import data as command

    choices = {
        "size": size,
        "crop": crop,
        "shortest": shortest,
        "max_pixels": max_pixels,
        "near_duplicates": near_duplicates,
        "no_caption": no_caption,
    }
    command.check(source, choices, as_json=as_json)


@data.command("prepare")
def data_prepare(
    source: Source,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="a new folder, for data = in a TOML")],
    size: Side = None,
    crop: Cut = None,
    shortest: Shortest = None,
    max_pixels: Largest = None,
    near_duplicates: Near = False,
    no_caption: Uncaptioned = None,
    validation: Held = None,
    as_json: Json = False,
) -> None:
    """Make training data of pictures and captions, and print its folder."""
    from sfumato.cli import data as command

    choices = {
        "size": size,
        "crop": crop,
        "shortest": shortest,
        "max_pixels": max_pixels,
        "near_duplicates": near_duplicates,
        "no_caption": no_caption,
        "validation": validation,
    }
    command.prepare(source, out, choices, as_json=as_json)


@data.command("shards")
def data_shards(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="training data, as prepare makes it")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="a new folder")],
    per_shard: Annotated[int, _whole(metavar="N", help="pictures in each tar")] = 1000,
) -> None:
    """Write training data as WebDataset tars, and print their paths."""
    from sfumato.cli import data as command

    command.shards(folder, out, per_shard=per_shard)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model's name, folder or file")],
    output: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.md", help="the page; a sheet and JSON beside it")
    ],
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="renders with attributes")] = Path("runs/nano/data"),
    classifier: Annotated[Path, typer.Option(metavar="FOLDER", help="export of a run that trained one")] = Path(
        "runs/nano/classifier/export"
    ),
    captions: Annotated[
        str, typer.Option(metavar="MODULE:FUNCTION", help="says all attributes of a picture in a language")
    ] = "recipes.nano.data.captions:full_caption",
    languages: Annotated[str, typer.Option(metavar="L,L", help="of the prompts")] = "en,zh",
    per_kind: Annotated[int, _whole("--per-kind", metavar="N", help="held-out renders, twice: seen and new")] = 40,
    seeds: Annotated[int, _whole("--seeds", metavar="N", help="pictures of each prompt")] = 2,
    steps: Steps = None,
    guidance: Annotated[float | None, _real(metavar="F", help="how closely to follow the prompts")] = None,
    work: Annotated[Path, typer.Option(metavar="FOLDER", help="keeps paintings, to go on")] = Path("runs/evaluation"),
    device: Device = "auto",
    precision: Numbers = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")] = False,
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
