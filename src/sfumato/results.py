"""What comes back: pictures with the exact request that painted them, and reports on the way.

Pillow is imported only when a result is shown or saved.
"""

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sfumato.choices import Format
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.trace import Trace
from sfumato.requests import Request

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 2048  # pixels of a sheet in a notebook; files and images are never touched


@dataclass(frozen=True)
class Progress:
    """A sampling step is done.

    Attributes:
        image: index of the first picture of the batch, 0 to ``request.count - 1``.
        batch: how many pictures the batch has.
        index: of the step, 0 to ``total - 1``.
        total: steps of each picture.
        sigma: the noise level the step started at.
        preview: decodes the present clean estimate, a picture for each of the batch; costs time only when called, and
            is valid only until the report's receiver returns. May be empty.
        glimpse: as `preview`, decoded at half the side, in a quarter of the time; None: there is no such.
    """

    image: int
    batch: int
    index: int
    total: int
    sigma: float
    preview: Callable[[], "list[Image]"] = field(repr=False, compare=False)
    glimpse: Callable[[], "list[Image]"] | None = field(default=None, repr=False, compare=False)


def ignore(report: object) -> None:
    """Receives reports and does nothing."""


@dataclass(frozen=True)
class Report:
    """What a task found out, beside its pictures or in their place. `str` of it is a table in plain text.

    Attributes:
        answer: what was found, in a line.
        rows: the figures: each row its cells by column, in the same order; None where a cell is empty.
        remarks: what else is to be known, a sentence each.
        views: what may be shown side by side, by what it is; only where the task ran, JSON has none of it.
    """

    answer: str
    rows: Sequence[Mapping[str, str | int | float | None]] = ()
    remarks: Sequence[str] = ()
    views: "Mapping[str, Image]" = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """The report that `facts` wrote down."""
        return cls(facts["answer"], facts["rows"], facts["remarks"])

    def facts(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"answer": self.answer, "rows": [dict(row) for row in self.rows], "remarks": list(self.remarks)}

    def __str__(self) -> str:
        head = list(self.rows[0]) if self.rows else []
        lines = [head, *([_cell(row.get(name)) for name in head] for row in self.rows)] if head else []
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in table) or self.answer


def _cell(value: str | float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Result:
    """Pictures, as `len`, iteration and ``result[i]`` see them; a notebook shows them. Tasks that measure or recognise
    have a `report`, and may have no picture.

    All of a request, or a batch that is reported while the others are still to be painted.

    Attributes:
        images: in the order of their seeds.
        request: what ran, with every value filled in; running it again gives the same.
        seeds: of each picture; of variations their subseeds.
        timings: seconds in ``load``, ``encode``, ``sample``, ``decode`` until then, and ``steps_per_second``. Nothing
            is loaded for a model at hand.
        provenance: what made them: model, adapters, device, number format.
        traces: digests of each picture's steps, for `sfumato verify`.
        measures: figures of merit by name, one for each picture, such as the ``seam`` of what was painted into another.
        report: what was found out.
    """

    images: "list[Image]"
    request: Request
    seeds: list[int]
    timings: Mapping[str, float]
    provenance: Provenance
    traces: Sequence[Trace] = ()
    measures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    report: Report | None = None

    @classmethod
    def joined(cls, batches: "Sequence[Result]") -> Self:
        """The batches of one request, in their order, as one."""
        last = batches[-1]
        return cls(
            [image for each in batches for image in each.images],
            last.request,
            [seed for each in batches for seed in each.seeds],
            last.timings,
            last.provenance,
            [trace for each in batches for trace in each.traces],
            {name: [value for each in batches for value in each.measures[name]] for name in last.measures},
            last.report,
        )

    @property
    def first(self) -> int:
        """Which of the request's pictures ``images[0]`` is, 0 to ``request.pictures - 1``."""
        return 0 if self.request.first_seed is None else self.seeds[0] - self.request.first_seed

    def save(
        self, output: str | Path | None = None, *, format: Format | None = None, quality: int | None = None
    ) -> list[Path]:
        """Write every picture with its request inside; `sfumato.output.Destination.parse` says what names mean.

        The batches of a request, saved one after the other, are the same files as the whole.

        Raises:
            RequestError: for a name or pattern that means nothing.
            OutputError: when a file cannot be written; the message says where the pictures are kept.
        """
        from sfumato.output import Destination

        destination = Destination.parse(output, format=format, quality=quality)
        destination.check(self.request)
        return destination.save(self.images, self.request, self.provenance, self.traces, first=self.first)

    def sheet(self, columns: int | None = None) -> "Image":
        """All pictures on one, in rows."""
        from sfumato.images import contact_sheet

        return contact_sheet(self.images, columns)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> "Iterator[Image]":
        return iter(self.images)

    def __getitem__(self, index: int) -> "Image":
        return self.images[index]

    def __repr__(self) -> str:
        if not self.images:
            return f"<{self.request.task}: {'' if self.report is None else self.report.answer}>"
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {self.seeds[0]} to {self.seeds[-1]}"
        noun = "picture" if len(self) == 1 else "pictures"
        size = "x".join(map(str, self.images[0].size))
        model = getattr(self.request, "model", self.request.task)
        return f"<{len(self)} {noun} of {self.request.title!r}, {size}, {seeds}, {model}>"

    def _repr_png_(self) -> bytes | None:
        """For notebooks: the picture, whole with its request, or all of them on a sheet of a showable size."""
        if not self.images:
            return None
        if len(self) == 1:
            from sfumato.output import encode, texts_of

            trace = self.traces[0] if self.traces else None
            texts = texts_of(self.request.single(self.first), self.provenance, trace=trace)
            return encode(self.images[0], texts, "png")
        from sfumato.images import contact_sheet

        cell = max(16, _SHOWN // math.ceil(math.sqrt(len(self))))
        small = [image.copy() for image in self.images]
        for image in small:
            image.thumbnail((cell, cell))
        buffer = io.BytesIO()
        contact_sheet(small).save(buffer, "PNG")
        return buffer.getvalue()
