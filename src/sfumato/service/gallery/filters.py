"""Which pictures of the gallery are asked for, and the queries that find them."""

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, and_, literal_column, select, text, tuple_
from sqlalchemy.sql.elements import ColumnElement

from sfumato.errors import RequestError
from sfumato.service import database
from sfumato.service.gallery.words import Language, Terms

_gallery, _labels = database.gallery, database.labels
MAX_IDS = 1000
MAX_LABEL = 80
Sort = Literal["newest", "oldest", "rating"]


class Filters(BaseModel):
    """Which pictures; each that is given holds."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field("", max_length=500, description='words of prompts, in any language; "side by side", -without')
    id: list[str] = Field([], max_length=MAX_IDS, description="these alone")
    model: str | None = Field(None, max_length=4096, description="by its name")
    lora: str | None = Field(None, max_length=200, description="a LoRA's name")
    tag: str | None = Field(None, max_length=MAX_LABEL)
    board: str | None = Field(None, max_length=MAX_LABEL)
    task: str | None = Field(None, max_length=40)
    tool: str | None = Field(None, max_length=40, description="that painted it: sfumato, A1111, ComfyUI, ...")
    seed: str | None = Field(None, pattern="^[0-9]{1,20}$")
    width: int | None = Field(None, ge=1, le=2**31 - 1, description="in pixels")
    height: int | None = Field(None, ge=1, le=2**31 - 1, description="in pixels")
    rating: int | None = Field(None, ge=0, le=5, description="at least")
    since: float | None = Field(None, allow_inf_nan=False, description="painted then or later, in seconds since 1970")
    until: float | None = Field(None, allow_inf_nan=False, description="painted before")
    trash: bool = Field(False, description="what is in the trash, and nothing else")


def selected(filters: Filters, language: Language) -> tuple[Select[Any], ColumnElement[int]]:
    """What is asked for, and the column along which pages go: of the index that narrows it most, which the database
    is led to."""
    query, number = select(_gallery), cast("ColumnElement[int]", _gallery.c.number)
    terms = Terms.of(filters.q, language)
    if filters.trash and (terms.wanted or terms.unwanted):
        raise RequestError("words are not looked for in the trash; leave q out")
    for sort in ("lora", "tag", "board"):
        if (value := getattr(filters, sort)) is not None:
            having = _labels.alias(sort)
            here = (having.c.sort == sort, having.c.name == value)
            if terms.wanted:  # the full-text index leads
                query = query.where(_gallery.c.number.in_(select(having.c.picture).where(*here)))
            else:
                query = query.join(having, and_(having.c.picture == _gallery.c.number, *here))
                number = having.c.picture
    if filters.since is not None or filters.until is not None:
        time_ = _gallery.alias("time")
        window = select(time_.c.number)
        if filters.since is not None:
            window = window.where(time_.c.created >= filters.since)
        if filters.until is not None:
            window = window.where(time_.c.created < filters.until)
        query = query.where(_gallery.c.number.in_(window))
    if terms.wanted:
        number = literal_column("gallery_words.rowid")
        expression = language.without.format(terms.wanted, terms.unwanted) if terms.unwanted else terms.wanted
        query = query.join(
            text("gallery_words"),
            and_(
                literal_column("gallery_words.rowid") == _gallery.c.number,
                text(language.matching).bindparams(match=expression),
            ),
        )
    elif terms.unwanted:
        matching = f"SELECT rowid FROM gallery_words WHERE {language.matching}"
        query = query.where(text(f"gallery.number NOT IN ({matching})").bindparams(match=terms.unwanted))
    if not terms.wanted:
        trashed = _gallery.c.trashed if number is _gallery.c.number else literal_column("+gallery.trashed")
        query = query.where(trashed.is_not(None) if filters.trash else trashed.is_(None))
    for name in ("model", "task", "tool", "seed", "width", "height"):
        if (value := getattr(filters, name)) is not None:
            query = query.where(_gallery.c[name] == value)
    if filters.id:
        query = query.where(_gallery.c.id.in_(filters.id))
    if filters.rating:
        query = query.where(_gallery.c.rating >= filters.rating)
    return query, number


def beyond(sort: Sort, number: ColumnElement[int], after: str) -> ColumnElement[bool]:
    """What comes after a place in the order."""
    rating, dot, last = after.rpartition(".")
    digits = [last, rating] if sort == "rating" else [last]
    if bool(dot) != (sort == "rating") or not all(each.isascii() and each.isdigit() for each in digits):
        raise RequestError(f"after {after[:40]!r} is no place in the order {sort}; take next of the page before")
    place = min(int(last[:19]), 2**63 - 1)
    if sort == "rating":
        stars = min(int(rating[:9]), 5)
        return tuple_(_gallery.c.rating, number) < (stars, place)
    return number < place if sort == "newest" else number > place
