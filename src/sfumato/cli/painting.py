"""Commands of tasks that paint: from options to files."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, get_args

from sfumato.choices import Engine, Format, Precision
from sfumato.cli import clock, interrupts, remarks
from sfumato.cli.options import check_engine, check_precision
from sfumato.cli.tasks import read_fields
from sfumato.cli.terminal import console, narrating, note, picture, watching
from sfumato.errors import RequestError, UnknownNameError
from sfumato.files import decoded
from sfumato.metadata import names
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.trace import Trace
from sfumato.output import Destination
from sfumato.requests import Painting, Request, Source, draw_seed
from sfumato.requests.fields import SECONDS, amount_of
from sfumato.results import ignore

if TYPE_CHECKING:
    from PIL.Image import Image

    from sfumato.results import Progress, Result

_MAX_PROMPT_BYTES = 4 * 8192 + 4096  # more cannot become a legal prompt, and stdin may be endless


@dataclass(frozen=True)
class OutputMode:
    """How a command talks: `quiet` leaves only errors on stderr, `as_json` puts one object on stdout."""

    preview: bool = False
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Machine:
    """Where and how exactly it is painted."""

    device: str = "auto"
    precision: Precision = "auto"
    allow_nonfinite: bool = False
    engine: Engine = "auto"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """The machine that the command line names. Raises as `check_precision` and `check_engine`."""
        return cls(
            given["device"],
            check_precision(given["precision"]),
            given["allow_nonfinite"],
            check_engine(given["engine"]),
        )


def run(kind: type[Request], given: Mapping[str, Any]) -> None:
    """Check everything that can be checked, then paint, save each batch as it is painted, and print.

    Args:
        given: what the command line has, by name: fields of the request, and of the tables in `cli.options`.
    """
    mode = OutputMode(given["preview"], given["as_json"], given["quiet"])
    prompts = PromptOptions(given["template"], given["wildcards"], tuple(given["style"] or ()), given["styles"])
    request = prompts.put_into(build(kind, given))
    remarks.require_words(request)
    require_model(request.model)
    require_pictures(request)
    requests = prompts.drawn(request)
    destination = destination_of(given)
    if isinstance(destination, Stdout):
        destination.check_alone(requests, mode)
    shared = len(requests) > 1 and not destination.numbered
    for place, each in enumerate(requests):
        require_adapters(each)
        replace(destination, before=place if shared else None).check(each)
    machine = Machine.read(given)
    if not mode.quiet:
        remarks.before(request, template=prompts.template)
    start = time.perf_counter()
    files: list[Path] = []

    def save(batch: "Result") -> None:
        with interrupts.deferred():
            place = replace(destination, before=len(files) if shared else None)
            files.extend(place.save(batch.images, batch.request, batch.provenance, batch.traces, first=batch.first))

    try:
        results = paint(requests, machine, mode, save)
    except KeyboardInterrupt as interrupt:
        if files:
            count = sum(each.count for each in requests)
            interrupt.args = (f"saved {len(files)} of {count} pictures, the last is {files[-1]}",)
        raise
    if not mode.quiet:
        if mode.preview:
            _show(results)
        _summarise(results, time.perf_counter() - start)
        _say_seams(results)
        assert isinstance(results[0].request, Painting)
        remarks.after(request, results[0].request)
        _advise(requests[0], results[0].provenance.caption)
    if mode.as_json:
        rest = iter(files)
        print("\n".join(as_json(each, list(islice(rest, len(each)))) for each in results))
    elif files:
        print("\n".join(map(str, files)))


@dataclass(frozen=True)
class Stdout(Destination):
    """The bytes of one picture on stdout."""

    stream: IO[bytes] = field(default_factory=lambda: sys.stdout.buffer)
    """Remembered, since stdout is another while painting."""

    def check_alone(self, requests: Sequence[Request], mode: OutputMode) -> None:
        """Raises RequestError for more than one picture, for a report beside it, and for a terminal."""
        count = sum(request.pictures for request in requests)
        if count > 1:
            raise RequestError(f"stdout has room for one picture, not {count}; give -o a folder/ for several")
        if mode.as_json:
            raise RequestError("stdout is the picture's with -o -, and the report's with --json; leave out one")
        if self.stream.isatty():
            raise RequestError("stdout is a terminal, which shows no files; send the bytes on: -o - > picture.png")

    def check(self, request: Request) -> None:
        """Checks like `Destination.check`, without a file."""
        self.check_format(request)

    def save(
        self,
        images: "Sequence[Image]",
        request: Request,
        provenance: Provenance | None = None,
        traces: Sequence[Trace] = (),
        *,
        first: int = 0,
    ) -> list[Path]:
        """Write the picture; no path leads to it."""
        self.stream.write(self.encode(images[0], request.single(first), traces[0] if traces else None, provenance))
        return []


def destination_of(given: Mapping[str, Any]) -> Destination:
    """Where the command line wants pictures. Raises as `Destination.parse`."""
    place = Stdout if given["output"] == "-" else Destination
    return place.parse(given["output"], format=_format(given["format"]), quality=given["quality"])


@dataclass(frozen=True)
class PromptOptions:
    """What is made of the prompt before it is a request: styles around it, and a template's draws."""

    template: bool = False
    wildcards: Path | None = None
    styles: tuple[str, ...] = ()
    styles_file: Path | None = None

    def put_into(self, request: Painting) -> Painting:
        """The request with its prompts within the styles.

        Raises:
            RequestError: styles without their file, or a file that is none.
            UnknownNameError: a style that the file does not have.
        """
        if not self.styles:
            if self.styles_file is not None:
                raise RequestError("--styles is where --style NAME is looked up; give a style as well")
            return request
        from sfumato.prompts.styles import read_styles, styled

        if self.styles_file is None:
            raise RequestError(f"--style {self.styles[0]} needs --styles FILE, a styles.csv as A1111 has it")
        prompt, negative = styled(request.prompt, request.negative, self.styles, read_styles(self.styles_file))
        return request.changed(prompt=prompt, negative=negative)

    def drawn(self, request: Painting) -> list[Painting]:
        """One request; of a template one a picture, whose seed draws its prompt."""
        if not self.template:
            if self.wildcards is not None:
                raise RequestError("--wildcards serves templates; say --template as well")
            return [request]
        from sfumato.prompts.templates import expand

        first = draw_seed() if request.seed is None else request.seed
        seeds = range(first, first + request.count)
        prompts = [expand(request.prompt, seed, wildcards=self.wildcards) for seed in seeds]
        return [
            request.changed(prompt=prompt, seed=seed, count=1, batch=None)
            for seed, prompt in zip(seeds, prompts, strict=True)
        ]


def build(kind: type[Request], given: Mapping[str, Any]) -> Painting:
    """The request of what was given on the command line; a prompt of ``-`` is read from stdin."""
    fields = read_fields(kind, given)
    if fields.get("prompt") == "-":
        if sys.stdin is None:
            raise RequestError("stdin is closed and has no prompt; write it in the place of -")
        fields["prompt"] = _read_prompt(sys.stdin.buffer)
    request = kind.build(**names.understood(fields))
    assert isinstance(request, Painting)
    return request


def require_model(name: str) -> None:
    """Refuse a model that is not there before torch is imported, which takes longer than all other checks."""
    from sfumato.checkpoints.catalogue import find

    find(name)


def require_pictures(request: Request) -> None:
    """Refuse pictures to begin from that cannot be read, likewise."""
    for name in type(request).model_fields:
        value = getattr(request, name)
        for source in value if isinstance(value, tuple) else (value,):
            if isinstance(source, Source):
                source.read()


def require_adapters(request: Painting) -> None:
    """Refuse LoRAs, embeddings, an autoencoder, controls and an IP-Adapter that are not there, likewise."""
    from sfumato.adapters.folders import find
    from sfumato.adapters.requested import requested

    requested(request)
    if request.vae is not None:
        find("vae", request.vae)
    for control in request.controls:
        find("control", control.model)
    if request.like_model is not None:
        find("IP-Adapter", request.like_model)


def _advise(request: Painting, caption: str) -> None:
    """Say what a small model's lexicon made of the prompt, or that the prompt is far from what it has learned."""
    if caption:
        note(f"{request.model} painted: {caption}")
        return
    from sfumato.checkpoints.catalogue import find
    from sfumato.prompts.vocabulary import Vocabulary

    vocabulary = Vocabulary.read(find(request.model))
    advice = None if vocabulary is None else vocabulary.advice(request.prompt, request.model)
    if advice is not None:
        note(advice)


def _format(name: str | None) -> Format | None:
    if name is None:
        return None
    for format in get_args(Format):
        if name == format or (name, format) == ("jpg", "jpeg"):
            return format
    raise UnknownNameError("format", name[:64], get_args(Format))


def _read_prompt(stream: IO[bytes]) -> str:
    data = stream.read(_MAX_PROMPT_BYTES + 1)
    if len(data) > _MAX_PROMPT_BYTES:
        raise RequestError(f"prompt from stdin has over {_MAX_PROMPT_BYTES} bytes; shorten it to 8192 characters")
    try:
        return decoded(data).strip()
    except UnicodeDecodeError as error:
        raise RequestError(f"prompt from stdin is not UTF-8 at byte {error.start}; convert it") from None


def paint(
    requests: Sequence[Request],
    machine: Machine,
    mode: OutputMode,
    on_batch: "Callable[[Result], None]" = ignore,
) -> "list[Result]":
    """Run requests, and let people watch and interrupt it; `on_batch` is given what is painted."""
    hurried = any(getattr(request, "budget", None) is not None for request in requests)
    begun = clock.begun() if hurried else None
    count = sum(max(request.pictures, 1) for request in requests)
    with (
        narrating(quiet=mode.quiet),
        watching(count, preview=mode.preview, quiet=mode.quiet) as on_step,
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the answer alone, whatever a library prints
        interrupts.remembered() as check,
    ):
        from sfumato.studio import Studio

        check()
        studio = Studio(getattr(requests[0], "model", "nano"), **asdict(machine))
        results: list[Result] = []
        for place, request in enumerate(requests):
            before = sum(len(result.images) for result in results)

            def watched(progress: "Progress", before: int = before) -> None:
                check()
                on_step(replace(progress, image=before + progress.image) if before else progress)

            asked = _by_turns(request, place + 1, len(requests))
            results.append(studio.run(asked, watched, on_batch, since=begun))
        return results


def _by_turns(request: Request, place: int, count: int) -> Request:
    """The request, whose budget is that of `count` requests, as one that is done when its place says so."""
    if not isinstance(request, Painting) or request.budget is None or count == 1:
        return request
    return request.changed(budget=f"{amount_of(request.budget, SECONDS) * place / count:g}s")


def _show(results: "Sequence[Result]") -> None:
    """Leave the finished pictures standing in the terminal, as a preview's last state."""
    screen = console()
    if screen.is_terminal:
        from sfumato.images import repeated

        images = [
            repeated(image, axes) if (axes := getattr(result.request, "tileable", None)) else image
            for result in results
            for image in result.images
        ]
        screen.print(picture(images, screen))


def _say_seams(results: "Sequence[Result]") -> None:
    """Whether what should be laid in tiles meets without a seam."""
    axes: tuple[Literal["x", "y"], ...] = ("x", "y")
    for result in results:
        for axis in axes:
            if getattr(result.request, "tileable", None) not in (axis, "both"):
                continue
            from sfumato.images import seam

            for image, number in zip(result.images, result.seeds, strict=True):
                found = seam(image, axis)
                verdict = "no seam" if found.passes else "a seam shows"
                note(
                    f"seed {number}, {axis}: {verdict}; the edges differ by {found.across:.1f} of 255, neighbours "
                    f"inside by {found.inside:.1f} and at most {found.most:.1f}"
                )


def _summarise(results: "Sequence[Result]", seconds: float) -> None:
    seeds = [seed for result in results for seed in result.seeds]
    speed = results[0].timings.get("steps_per_second")
    steps = "" if speed is None else f", {speed:.1f} steps/s"
    facts = f"seed {seeds[0]}" + (f" to {seeds[-1]}" if len(seeds) > 1 else "")
    for name in results[0].measures:
        values = [value for result in results for value in result.measures[name]]
        facts += f", {name} {' '.join(f'{value:.2f}' for value in values[:8])}{' ...' if len(values) > 8 else ''}"
    note(f"painted {len(seeds)} picture{'s' if len(seeds) > 1 else ''} in {seconds:.1f} s{steps}, {facts}")


def as_json(result: "Result", files: Sequence[Path]) -> str:
    """A result as the command prints it for programs."""
    return json.dumps(
        {
            "files": [str(file) for file in files],
            "seeds": list(result.seeds),
            "request": result.request.model_dump(),
            "timings": dict(result.timings),
            "measures": {name: list(values) for name, values in result.measures.items()},
            "model_hash": result.provenance.model_hash,
            "device": result.provenance.device,
            "precision": result.provenance.precision,
            **({} if result.report is None else {"report": result.report.facts()}),
        }
    )
