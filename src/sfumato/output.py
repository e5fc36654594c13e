"""Pictures on disk: names, formats, and what each file says of itself.

A file alone repaints itself: it holds the request of that one picture, as JSON, under the name ``sfumato``; the same as
infotext, for other tools, under ``parameters``; and the statement that a trained algorithm made it. Where these are in
a file is the business of `sfumato.metadata.carriers`. There are no dates, so the same picture is the same bytes.
"""

import io
import os
import re
import stat
import string
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from sfumato.choices import Format
from sfumato.errors import OutputError, RequestError, UnknownNameError
from sfumato.files import probe, write_atomic
from sfumato.metadata import carriers, xmp
from sfumato.metadata.describe import describe
from sfumato.metadata.infotext import model_name
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.readers import own_request
from sfumato.metadata.trace import Trace
from sfumato.requests import MAX_SEED, Denoise, Enhance, Processing, Request

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_OUTPUT = "outputs/"
DEFAULT_QUALITY = 92
FIELDS = ("seed", "index", "model", "prompt")

_SUFFIXES: dict[str, Format] = {
    **{".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif"},
    **{".tif": "tiff", ".tiff": "tiff", ".dcm": "dicom"},
}
_SUFFIX_OF: dict[Format, str] = {
    **{"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "tiff": ".tif", "dicom": ".dcm"}
}
_FILLED_IN = 512  # characters, at most, that what a model chooses adds to a request's texts
_MAX_NAME = 255  # bytes of one part of a path, nearly everywhere


# ------------------------------------------------------------------------------------------------------ one picture


def texts_of(
    request: Request, provenance: Provenance | None = None, *, trace: Trace | None = None, quality: int | None = None
) -> dict[str, str]:
    """What a file says of itself, for `encode`: the infotext, the exact request, and digests of its steps.

    Args:
        request: for one picture.
        quality: of the file, when it is not the default.
    """
    infotext = describe(request, provenance, quality=quality)
    texts = {carriers.PARAMETERS: str(infotext), carriers.REQUEST: request.to_json()}
    if isinstance(request, Processing):
        texts[xmp.SOURCE] = request.source
    return texts if trace is None else {**texts, carriers.STEPS: trace.to_json()}


def encode(image: "Image", texts: Mapping[str, str], format: Format, quality: int | None = None) -> bytes:
    """The bytes of a picture's file, with the texts inside. `quality` is for all but PNG, 1 to 100.

    A JPEG, which has no transparency, is laid on white.

    Raises:
        RequestError: texts too long for a JPEG, or with characters that files cannot carry; DICOM of a picture that
            did not come from such a file.
    """
    quality = quality if quality is not None else DEFAULT_QUALITY
    if format == "dicom":
        return _encode_dicom(image, texts)
    if format == "tiff":
        return carriers.encode_tiff(image, texts)
    if format == "jpeg" and image.has_transparency_data:
        image = on_white(image)
    elif format != "png" or image.mode == "F":
        from sfumato.decoding import in_eight_bits

        image = in_eight_bits(image)
    if format == "avif":
        return carriers.encode_avif(image, quality, carriers.blocks(texts))
    buffer = io.BytesIO()
    if format == "png":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, format.upper(), quality=quality)
    return carriers.put(buffer.getvalue(), texts)


def on_white(image: "Image") -> "Image":
    """A picture without transparency, as it looks on white."""
    from PIL import Image

    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear).convert("RGB")


def _encode_dicom(image: "Image", texts: Mapping[str, str]) -> bytes:
    from sfumato import dicom

    if "dicom" not in image.info:
        raise RequestError("only a picture that came from a DICOM file can be written as one; take png or tiff")
    file, values = image.info["dicom"]
    return dicom.written(file, values, texts.get(carriers.PARAMETERS, ""))


def save_image(
    image: "Image", path: Path, texts: Mapping[str, str], format: Format = "png", quality: int | None = None
) -> None:
    """Write a picture atomically over whatever file `path` was; its folder must exist.

    Raises:
        OutputError: when it cannot be written; an older file stays as it was.
    """
    rewrite(path, encode(image, texts, format, quality))


def format_of(path: str | Path, format: str | None = None) -> Format | None:
    """The format of a file by its ending, or by Pillow's name of it; None: none of ours."""
    if format is None:
        return _SUFFIXES.get(Path(path).suffix.lower())
    return next((known for known in get_args(Format) if known == format.lower()), None)


def rewrite(path: Path, data: bytes) -> None:
    """Write a file's bytes atomically, through links.

    Raises:
        OutputError: when they cannot be written; an older file stays as it was.
    """
    try:
        write_atomic(_followed(path), data)
    except OSError as error:
        raise _cannot_write(path, error) from error


def read_request(path: Path) -> Request:
    """The request that painted a file.

    Raises:
        RequestError: when it is no picture, or carries no request of ours.
    """
    data = carriers.load(path)
    with carriers.about(path):
        text = carriers.read(data).texts.get(carriers.REQUEST)
        if text is None:
            raise RequestError("it carries no request; only pictures that sfumato saved do")
        return own_request(text)


# ------------------------------------------------------------------------------------------------------------ names


def slug(text: str, limit: int = 48) -> str:
    """Letters, marks and digits of any script, other runs as one hyphen; at most `limit` bytes of UTF-8."""
    kept = (c if unicodedata.category(c)[0] in "LMN" else "-" for c in unicodedata.normalize("NFKC", text).lower())
    name = re.sub("-+", "-", "".join(kept)).strip("-")
    short = name.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
    if len(short) < len(name) and name[len(short)] != "-" and "-" in short:
        short = short[: short.rindex("-")]  # whole words, where there are words
    return short.strip("-") or "untitled"


@dataclass(frozen=True)
class Destination:
    """Where pictures go. Make one with `parse`, call `check` before the work and `save` after it.

    Attributes:
        template: a path with ``{fields}``; that of a folder when `numbered`.
        numbered: names are chosen, ``0001-prompt.png`` and on, and never taken from an existing file.
        format: of the files.
        quality: for all but PNG, None for the default.
        before: pictures of requests before, where several go to one name of a file; None: there is one request.
    """

    template: str
    numbered: bool
    format: Format
    quality: int | None = None
    before: int | None = None

    @classmethod
    def parse(
        cls, output: str | Path | None = None, *, format: Format | None = None, quality: int | None = None
    ) -> Self:
        """Read what ``-o`` means.

        An existing folder, or a text ending in ``/``, is a folder for numbered names; None is ``outputs/``. Anything
        else names a file, overwritten if it exists. ``{model}`` and ``{prompt}`` may stand in both, ``{seed}`` and
        ``{index}`` (from 1) in the name of a file, with a width if wanted as in ``{index:04}``. The format is the
        name's, or `format`'s, or PNG.

        Raises:
            RequestError: an unknown field, format or ending, a broken pattern, a quality out of place.
        """
        text = DEFAULT_OUTPUT if output is None else os.fspath(output)
        if not text or "\0" in text:
            raise RequestError(f"output {text!r} is no file name; for example -o picture.png")
        if format is not None and format not in get_args(Format):
            raise UnknownNameError("format", str(format)[:64], get_args(Format))
        numbered = True
        if os.path.isdir(text):  # noqa: PTH112 - Path.is_dir raises for names that are too long
            text = text.replace("{", "{{").replace("}", "}}")
        elif text.endswith(("/", os.sep)):
            _check_pattern(text, ("model", "prompt"))
        else:
            numbered = False
            _check_pattern(text, FIELDS)
            text, format = _with_format(text, format)
        format = format if format is not None else "png"
        if quality is not None and format in ("png", "tiff", "dicom"):
            raise RequestError(
                f"quality {quality} is for jpeg, webp and avif, and {format.upper()} loses nothing; leave it out"
            )
        if quality is not None and not 1 <= quality <= 100:
            raise RequestError(f"quality {quality} must be 1 to 100; {DEFAULT_QUALITY} is the default")
        return cls(text, numbered, format, quality)

    def paths(self, request: Request, first: int = 0) -> list[Path]:
        """A file for each picture of a request from its `first` on; numbered ones are only free at this moment."""
        model, prompt = slug(model_name(getattr(request, "model", request.task))), slug(request.title)
        if self.numbered:
            folder = Path(self.template.format(model=model, prompt=prompt))
            free = _last_number(folder) + 1
            return [folder / self._numbered(free + i, request) for i in range(request.pictures - first)]
        template = self.template
        if (request.pictures > 1 or self.before is not None) and not {"seed", "index"} & _fields(template):
            stem, suffix = os.path.splitext(template)  # noqa: PTH122 - Path would drop a leading "./" of a pattern
            template = f"{stem}-{{index}}{suffix}"
        seed = request.first_seed if request.first_seed is not None else MAX_SEED - request.pictures + 1
        return [
            Path(template.format(seed=seed + i, index=(self.before or 0) + i + 1, model=model, prompt=prompt))
            for i in range(first, request.pictures)
        ]

    def check(self, request: Request) -> None:
        """Find out before the work whether its result can be saved. Leaves nothing behind.

        Raises:
            OutputError: folder not writable or full, a name that is taken by a folder or device, or is too long.
            RequestError: a request too long for the file format to carry, or AVIF where Pillow lacks it.
        """
        self.check_format(request)
        paths = self.paths(request)
        for path in {paths[0], paths[-1]}:
            check_writable(path)

    def check_format(self, request: Request) -> None:
        """Raises RequestError for a request too long for the file format to carry, or AVIF where Pillow lacks it."""
        if self.format == "dicom":
            self._check_dicom(request)
        if self.format == "jpeg":
            carriers.check_jpeg(texts_of(request), spare=_FILLED_IN)
        if self.format == "avif":
            carriers.check_avif()

    def _check_dicom(self, request: Request) -> None:
        from sfumato import dicom

        source = getattr(request, "image", None)
        if source is None or not isinstance(request, Denoise | Enhance) or not dicom.is_dicom(source.read()):
            raise RequestError("DICOM is written by denoise and enhance, of a picture from a DICOM; take png or tiff")
        dicom.require()

    def save(
        self,
        images: Sequence["Image"],
        request: Request,
        provenance: Provenance | None = None,
        traces: Sequence[Trace] = (),
        *,
        first: int = 0,
    ) -> list[Path]:
        """Write pictures of an executed request, each atomically, each with its own request inside.

        Args:
            provenance: what painted them, written down beside the request.
            traces: digests of their steps, of all or of none; left out of a JPEG whose texts have no room for them.
            first: which of the request's pictures ``images[0]`` is, from 0.

        Raises:
            OutputError: when one cannot be written. All that are not written yet are then kept in the system's
                temporary folder, and the message says where.
        """
        ones = [request.single(first + i) for i in range(len(images))]
        digests: Sequence[Trace | None] = traces or [None] * len(images)
        pictures = list(zip(images, ones, digests, strict=True))
        paths = self.paths(request, first)[: len(images)]
        written: list[Path] = []
        for i, (picture, path) in enumerate(zip(pictures, paths, strict=True)):
            data = self.encode(*picture, provenance)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append(self._write(path, data, request))
            except OSError as error:
                kept = self._rescue(pictures[i:], provenance)
                raise OutputError(f"{_cannot_write(path, error)}; {kept}") from error
        return written

    def _numbered(self, number: int, request: Request) -> str:
        return f"{number:04}-{slug(request.title)}{_SUFFIX_OF[self.format]}"

    def _write(self, path: Path, data: bytes, request: Request) -> Path:
        if not self.numbered:
            write_atomic(_followed(path), data)
            return path
        while True:
            try:
                write_atomic(path, data, replace=False)
                return path
            except FileExistsError:  # another process took the number
                path = path.with_name(self._numbered(_last_number(path.parent) + 1, request))

    def encode(self, image: "Image", one: Request, trace: Trace | None, provenance: Provenance | None) -> bytes:
        """The bytes of the file of one picture, `one` being its own request."""
        texts = texts_of(one, provenance, trace=trace, quality=self.quality)
        if self.format == "jpeg" and not carriers.fits_jpeg(texts):
            texts = texts_of(one, provenance, quality=self.quality)
        return encode(image, texts, self.format, self.quality)

    def _rescue(self, pictures: "Sequence[tuple[Image, Request, Trace | None]]", provenance: Provenance | None) -> str:
        """Keep what is not written in the temporary folder; a sentence on how that went."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="sfumato-"))
            for picture in pictures:
                data = self.encode(*picture, provenance)
                write_atomic(folder / f"{picture[1].first_seed}{_SUFFIX_OF[self.format]}", data)
        except OSError as error:
            return (
                f"the temporary folder failed too ({_reason(error)}): repaint with --seed {pictures[0][1].first_seed}"
            )
        count = len(pictures)
        return f"{count} {'picture is' if count == 1 else 'pictures are'} kept in {folder}"


def check_writable(path: Path) -> None:
    """Find out before the work whether a file can be written; its folder need not be there. Leaves nothing behind.

    Raises:
        OutputError: folder not writable or full, a name that is taken by a folder or device, or is too long.
    """
    try:
        _check_name(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _fields(pattern: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}


def _check_pattern(pattern: str, known: Sequence[str]) -> None:
    """Plain fields only: the full format language would reach into objects and pad to gigabytes."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise RequestError(f"output {pattern!r} is no pattern: {error}; write {{{{ for a brace") from None
    for _, name, width, conversion in parts:
        if name is None:
            continue
        if name not in known:
            raise UnknownNameError("field in the output pattern", name[:64], known)
        allowed = r"0?[0-9]{0,2}" if name in ("seed", "index") else ""
        if conversion or not re.fullmatch(allowed, width or ""):
            raise RequestError(
                f"output {pattern!r} formats {{{name}}} in a way that is not allowed; "
                "only seed and index take a width, as {index:04}"
            )


def _with_format(text: str, format: Format | None) -> tuple[str, Format]:
    """The name and the format agree, by an ending that is added where there is none (but not to a device's name)."""
    suffix = Path(text).suffix
    if not suffix and os.path.exists(text) and not os.path.isfile(text):  # noqa: PTH110, PTH113 - as above
        return text, format if format is not None else "png"
    named = _SUFFIXES.get(suffix.lower())
    if named is not None and format is not None and named != format:
        raise RequestError(f"output {text!r} ends in {suffix!r}, but the format is {format}; make them agree")
    if named is not None:
        return text, named
    if format is not None or not suffix:
        format = format if format is not None else "png"
        return text + _SUFFIX_OF[format], format
    raise RequestError(f"output {text!r} ends in {suffix!r}; end it in {', '.join(_SUFFIXES)}, or give the format")


def _last_number(folder: Path) -> int:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return 0
    return max((int(found[0]) for name in names if (found := re.match(r"[0-9]{4,9}(?=-)", name))), default=0)


def _check_name(path: Path) -> None:
    """What exists of the folder can be written to; the name is free, or a plain file's."""
    for part in path.parts:
        if len(os.fsencode(part)) > _MAX_NAME:
            raise OSError(f"a name in it is over {_MAX_NAME} bytes")
    target = _followed(path)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISREG(mode):
            raise OSError("it exists and is not a plain file")
        if not os.access(target, os.W_OK):
            raise OSError("it exists and is write-protected")
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(f"{folder} is not a folder")
    probe(folder)


def _followed(path: Path) -> Path:
    """Through links rather than over them. ``Path.resolve`` fails on a loop of links; this leaves it to the system."""
    return Path(os.path.realpath(path))


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _cannot_write(path: Path, error: OSError) -> OutputError:
    remedy = "free some space" if "space" in _reason(error).lower() else "choose another place with -o"
    return OutputError(f"cannot write {str(path)!r}: {_reason(error)}; {remedy}")
