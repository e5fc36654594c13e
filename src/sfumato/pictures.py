"""Pictures that remember what painted them: saving one keeps its request, wherever it went meanwhile."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from sfumato.metadata.provenance import Provenance
from sfumato.metadata.trace import Trace
from sfumato.requests import Request

if TYPE_CHECKING:
    from sfumato.choices import Format


class Painted(Image.Image):
    """A PIL image with the request of that one picture. What is made of it (a crop, a copy) is a plain image."""

    request: Request
    provenance: Provenance
    trace: Trace | None

    @classmethod
    def of(cls, image: Image.Image, request: Request, provenance: Provenance, trace: Trace | None = None) -> Self:
        """The image, which is not copied."""
        painted = cls()
        painted.__dict__.update(image.__dict__)
        painted.request, painted.provenance, painted.trace = request, provenance, trace
        return painted

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Write it to a file as `Result.save` does, with its request inside.

        What Pillow alone can do (a file object, parameters of its own but ``quality``, another format) is left to it,
        and keeps no request.

        Raises:
            OutputError: when the file cannot be written; an older one stays as it was.
        """
        from sfumato.output import format_of, save_image, texts_of

        known: Format | None = format_of(fp, format) if isinstance(fp, str | Path) else None
        if known is None or params.keys() - {"quality"}:
            super().save(fp, format, **params)
            return
        quality = params.get("quality")
        texts = texts_of(self.request, self.provenance, trace=self.trace, quality=quality)
        save_image(self, Path(fp), texts, known, quality)
