"""``sfumato meta`` and ``replay``: what a picture says of itself, and whether it is true."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from sfumato.choices import Format
from sfumato.cli.options import check_engine, check_precision
from sfumato.cli.painting import Machine, OutputMode, paint, require_model
from sfumato.cli.remarks import IDLE, negative_is_idle
from sfumato.cli.reports import columns
from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.metadata import carriers
from sfumato.metadata.infotext import Infotext, parse
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.readers import Restored, own_request, restore
from sfumato.output import Destination, encode, rewrite, texts_of
from sfumato.requests import Painting, Request

if TYPE_CHECKING:
    from PIL.Image import Image

    from sfumato.results import Result

IDENTICAL, DIFFERENT = 0, 1


def show(path: Path, *, as_json: bool) -> None:
    """What a picture says of how it was made."""
    data = carriers.load(path)
    with carriers.about(path):
        carried = carriers.read(data)
        restored = restore(carried)
    if as_json:
        facts = {
            "file": str(path),
            "format": carried.format,
            "source": restored.source,
            "exact": restored.exact,
            "request": restored.request.model_dump(),
            "unrestored": list(restored.unrestored),
            "beyond": dict(restored.beyond),
            "generated": carried.generated,
            "texts": dict(carried.texts),
        }
        print(json.dumps(facts))
        return
    rows = [("source", restored.source)]
    rows += [(name.replace("_", " "), str(value)) for name, value in _said(restored)]
    rows += [("not restored", words) for words in restored.unrestored]
    if isinstance(restored.request, Painting) and negative_is_idle(restored.request):
        rows.append(("remark", IDLE))
    print(columns(rows))


def strip(path: Path, output: Path | None) -> None:
    """Take out everything that does not change how the picture looks."""
    data = carriers.load(path)
    with carriers.about(path):
        _finish(path, output, carriers.strip(data), _is_recompressed(data))


def write(path: Path, output: Path | None, *, request: str | None, infotext: str | None) -> None:
    """Put a request, or an infotext as it stands, into a picture."""
    if (request is None) == (infotext is None):
        raise RequestError("give either --request with JSON or --infotext with text, and not both")
    if request is not None:
        texts = texts_of(own_request(request))
    else:
        assert infotext is not None
        parse(infotext)
        texts = {carriers.PARAMETERS: infotext}
    data = carriers.load(path)
    with carriers.about(path):
        _finish(path, output, carriers.put(data, texts), _is_recompressed(data))


@dataclass(frozen=True)
class Comparison:
    """How two pictures differ.

    Attributes:
        max_difference: of a channel of a pixel, 0 to 255; None when the sizes differ.
        share: of pixels that differ, 0 to 1.
    """

    max_difference: int | None
    share: float

    @property
    def identical(self) -> bool:
        """Every channel of every pixel."""
        return self.max_difference == 0


@dataclass(frozen=True)
class Repainted:
    """A picture beside itself, painted once more.

    Attributes:
        texts: what it carries.
        stored: what painted it, if it says so.
        request: what it was painted from.
        result: painted now.
        compared: of the pixels, after the same lossy compression.
    """

    texts: Mapping[str, str]
    stored: Provenance | None
    request: Request
    result: "Result"
    compared: Comparison

    @property
    def causes(self) -> tuple[str, ...]:
        """What may have made a difference, in words."""
        return () if self.stored is None else self.stored.differences(self.result.provenance)


def repaint(
    path: Path,
    *,
    device: str,
    precision: str | None,
    engine: str | None,
    quiet: bool,
    check: Callable[[Mapping[str, str], Request], None],
) -> Repainted:
    """Paint a picture again from what it carries.

    Args:
        precision: None for that of the picture.
        engine: likewise; one that this machine lacks is replaced by its own.
        check: is given the texts and the request before the work, to refuse them.

    Raises:
        RequestError: no picture, or one that sfumato did not paint.
    """
    data = carriers.load(path)
    with carriers.about(path):
        carried = carriers.read(data)
        restored = restore(carried)
        if not restored.exact:
            raise RequestError(
                f"it was made by {restored.source}, and only what sfumato painted can be repainted; "
                "see sfumato meta read"
            )
        request = restored.request.single(0)
        check(carried.texts, request)
        old = carriers.pixels(data)
    info = parse(carried.texts.get(carriers.PARAMETERS, ""))
    stored = Provenance.read(info)
    wanted = stored.precision if precision is None and stored is not None else precision
    checked = check_precision("auto" if wanted is None else wanted)
    if engine is None and stored is not None:
        engine = "plain" if stored.engine == "plain" else "auto"
    if isinstance(request, Painting):
        require_model(request.model)
    machine = Machine(device, checked, engine=check_engine(engine or "auto"))
    (result,) = paint([request], machine, OutputMode(quiet=quiet))
    compared = compare(old, _as_stored(result.images[0], carried.format, _quality(info)))
    return Repainted(carried.texts, stored, request, result, compared)


def replay(
    path: Path,
    output: str | None,
    *,
    device: str,
    precision: str | None,
    engine: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Repaint a picture from what it carries and compare pixels. Gives the exit code."""
    destination = None if output is None else Destination.parse(output)

    def check(texts: Mapping[str, str], request: Request) -> None:
        if destination is not None:
            destination.check(request)

    again = repaint(path, device=device, precision=precision, engine=engine, quiet=quiet, check=check)
    result, now = again.result, again.result.provenance
    files = [] if destination is None else destination.save(result.images, result.request, now, result.traces)
    if as_json:
        facts = {
            "file": str(path),
            "identical": again.compared.identical,
            **asdict(again.compared),
            "stored": None if again.stored is None else asdict(again.stored),
            "now": asdict(now),
            "differences": list(again.causes),
            "request": again.request.model_dump(),
            "files": [str(file) for file in files],
        }
        print(json.dumps(facts))
    else:
        print("\n".join([verdict(again.compared), *map(str, files)]))
        for words in again.causes:
            note(f"differs: {words}")
    return IDENTICAL if again.compared.identical else DIFFERENT


def compare(old: "Image", new: "Image") -> Comparison:
    """Two pictures, pixel by pixel; transparency counts as a channel, and one without it is opaque."""
    from PIL import ImageChops

    if old.size != new.size:
        return Comparison(None, 1.0)
    mode = "RGBA" if old.mode != new.mode else old.mode
    worst = reduce(ImageChops.lighter, ImageChops.difference(old.convert(mode), new.convert(mode)).split())
    counts = worst.histogram()
    highest = max(level for level, count in enumerate(counts) if count)
    return Comparison(highest, 1 - counts[0] / sum(counts))


def _as_stored(image: "Image", format: str, quality: int | None) -> "Image":
    """The picture as it looks after the same lossy compression."""
    known: Format | None = next((known for known in get_args(Format) if known == format), None)
    if known is None or known in ("png", "tiff"):
        from sfumato.decoding import in_eight_bits

        return in_eight_bits(image)
    return carriers.pixels(encode(image, {}, known, quality))


def _quality(info: Infotext) -> int | None:
    text = info.fields.get("Quality", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100 else None


def verdict(compared: Comparison) -> str:
    """A few words."""
    if compared.identical:
        return "identical"
    if compared.max_difference is None:
        return "different: another size"
    return f"different: up to {compared.max_difference} of 255, in {compared.share:.2%} of the pixels"


def _finish(path: Path, output: Path | None, data: bytes, recompressed: bool) -> None:
    target = path if output is None else output
    rewrite(target, data)
    if recompressed:
        note("AVIF was compressed again, so pixels may differ a little")
    print(target)


def _is_recompressed(data: bytes) -> bool:
    return carriers.kind(data) not in carriers.LOSSLESS


def _said(restored: Restored) -> list[tuple[str, object]]:
    """What the picture says of its request, and prompts that this cannot hold; what is left open says nothing."""
    values = {**restored.request.model_dump(exclude_unset=True), **restored.beyond}
    return [(name, value) for name, value in values.items() if value not in (None, "", ()) and name != "task"]
