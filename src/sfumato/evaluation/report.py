"""What an evaluation found, as data, as JSON and as the tables of a page."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from sfumato.evaluation.plan import Combinations

RENDER = "render"
"""The source of the held-out renders themselves; the others are languages of the prompts."""


@dataclass(frozen=True)
class Row:
    """Pictures of a kind and a sort of combinations from one source. Shares are 0 to 1; None: nothing was asked.

    Attributes:
        attributes: of the words asked for, the share that the classifier sees.
        pairs: of the new pairs, the share of which it sees both.
        top1, top5: the object is the classifier's first, or among its first five, of all names.
        background_error: CIE76 to the held-out render, the mean.
        background_near: the share with an error below `colour.NEAR`.
    """

    kind: str
    combinations: Combinations
    source: str
    pictures: int
    attributes: float | None = None
    pairs: float | None = None
    top1: float | None = None
    top5: float | None = None
    background_error: float | None = None
    background_near: float | None = None


@dataclass(frozen=True)
class Whole:
    """All pictures of one source.

    Attributes:
        frechet: of the features, to the chosen held-out renders; for "render" that of as many training renders.
        diversity: between seeds of one prompt; for "render" between different renders of a style.
        neighbour_cosine: to the nearest training picture, the mean.
        neighbour_pixels: to the nearest in pixels of five such neighbours, the mean, in 8-bit steps at 64 px.
        nearest_pixels: the least of these.
    """

    source: str
    pictures: int
    frechet: float
    diversity: float | None
    neighbour_cosine: float
    neighbour_pixels: float
    nearest_pixels: float


@dataclass(frozen=True)
class Attribute:
    """How often one attribute was there of the times that it was asked for."""

    name: str
    source: str
    right: int
    asked: int


@dataclass(frozen=True)
class Report:
    """All of it; `settings` say what was evaluated, with what and how."""

    settings: Mapping[str, str | int | float]
    rows: tuple[Row, ...]
    whole: tuple[Whole, ...]
    attributes: tuple[Attribute, ...] = field(default=())

    def to_json(self) -> str:
        """Readable, with a final newline."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """Three tables: what was asked for and is there, all pictures as a set, and attribute by attribute."""
        return "\n\n".join([_rows(self.rows), _whole(self.whole), _attributes(self.attributes)])


LANGUAGES = {"en": "English", "zh": "Chinese"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _rows(rows: Sequence[Row]) -> str:
    ceilings = {(row.kind, row.combinations): row for row in rows if row.source == RENDER}

    def line(row: Row) -> list[str]:
        ceiling = ceilings[row.kind, row.combinations]

        def beside(of: Callable[[Row], float | None]) -> str:
            return "–" if of(row) is None else f"{percent(of(row))} ({percent(of(ceiling))})"

        error = "–" if row.background_error is None else f"{row.background_error:.1f}"
        return [
            row.kind, row.combinations, LANGUAGES.get(row.source, row.source), str(row.pictures),
            beside(lambda r: r.attributes), beside(lambda r: r.pairs),
            beside(lambda r: r.top1), beside(lambda r: r.top5),
            error, percent(row.background_near),
        ]  # fmt: skip

    head = (
        "kind", "combinations", "prompts", "pictures", "attributes", "both of a new pair", "object top-1",
        "object top-5", "background dE", "within 15",
    )  # fmt: skip
    return table(head, [line(row) for row in rows if row.source != RENDER])


def _whole(whole: Sequence[Whole]) -> str:
    head = (
        "pictures", "number", "Fréchet distance", "diversity", "nearest training picture: cosine", "pixels", "least",
    )  # fmt: skip
    return table(
        head,
        [
            [
                "held-out renders" if w.source == RENDER else f"painted, {LANGUAGES.get(w.source, w.source)}",
                str(w.pictures),
                f"{w.frechet:.2f}",
                "–" if w.diversity is None else f"{w.diversity:.3f}",
                f"{w.neighbour_cosine:.3f}",
                f"{w.neighbour_pixels:.1f}",
                f"{w.nearest_pixels:.1f}",
            ]
            for w in whole
        ],
    )


def _attributes(attributes: Sequence[Attribute]) -> str:
    names = list(dict.fromkeys(a.name for a in attributes))
    sources = list(dict.fromkeys(a.source for a in attributes if a.source != RENDER))
    found = {(a.name, a.source): a for a in attributes}

    def cell(name: str, source: str) -> str:
        score = found.get((name, source))
        return percent(None if score is None else score.right / score.asked)

    head = ["attribute", "asked", *(LANGUAGES.get(s, s) for s in sources), "held-out renders"]
    return table(
        head,
        [
            [name.replace("_", " "), str(found[name, RENDER].asked), *(cell(name, s) for s in [*sources, RENDER])]
            for name in names
        ],
    )
