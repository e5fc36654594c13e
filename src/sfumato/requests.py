"""What can be asked for: one frozen model a task, the same for Python, command line, service and metadata.

A value left None is the model's to choose; what ran is a request again, with every value filled in. This module checks
what can be checked without a model, and imports neither torch nor numpy.
"""

import json
import math
import re
import secrets
import unicodedata
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sfumato.choices import GuidanceMethod, Numerics, Sampler, Schedule, Syntax
from sfumato.errors import RequestError, UnknownNameError

__all__ = ["MAX_SEED", "Lora", "Sampler", "Schedule", "Txt2Img", "draw_seed", "parse_size"]

MAX_SEED = 2**64 - 1  # torch.manual_seed's
MAX_PIXELS = 2**30  # of one request: 3 GiB of finished pictures
MAX_JSON = 2**20
MAX_SIGMA = 1e6  # above the noise of any model
MAX_STRENGTH = 1000.0  # of an adapter, as in prompts
MAX_ADAPTERS = 64
MAX_TOLD = 65_536  # pixels that SDXL may be told of


def _text_only(value: str) -> str:
    for place, character in enumerate(value):
        if unicodedata.category(character) == "Cc" and character not in "\t\n\r":
            raise ValueError(f"holds the control character U+{ord(character):04X} at place {place}; remove it")
    return value


Prompt = Annotated[str, Field(max_length=8192), AfterValidator(_text_only)]
Sigma = Annotated[float, Field(ge=0, le=MAX_SIGMA, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=16, le=8192, multiple_of=8)]


class _Strict(BaseModel):
    """Frozen, of exact types, and built with errors of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def build(cls, **options: object) -> Self:
        """A request of keyword options.

        Raises:
            UnknownNameError: an option, sampler or schedule of that name does not exist; near names are offered.
            RequestError: a value breaks its rule; the message says which, and what would do.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise _explained(cls, error) from None


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or [type(number) for number in value] != [int, int]:
        raise ValueError(f"is {_brief(value)}; give two whole numbers, for example [1024, 768]")
    if not all(0 <= number <= MAX_TOLD for number in value):
        raise ValueError(f"is {_brief(value)}; both must be 0 to {MAX_TOLD}")
    return tuple(value)


Pair = Annotated[tuple[int, int], BeforeValidator(_pair)]
Score = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH, allow_inf_nan=False)]


class Lora(_Strict):
    """An adapter of weights (LoRA or its kin) and how strongly it counts; 0 is off, 1 as it was trained."""

    name: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_text_only)] = Field(
        description="a name in SFUMATO_LORAS, or the path of its file"
    )
    weight: Strength = Field(1.0, description="in the denoiser")
    text_weight: Strength | None = Field(None, description="in the text encoders; as in the denoiser when left out")

    @classmethod
    def parse(cls, text: str) -> Self:
        """``NAME``, ``NAME:WEIGHT`` or ``NAME:WEIGHT:TEXT_WEIGHT``.

        Raises:
            RequestError: an empty name or a weight out of range.
        """
        name, *numbers = re.split(r":(?=[+-]?[0-9.]+(?::[+-]?[0-9.]+)?$)", text, maxsplit=1)
        if not name:
            raise RequestError(f"{_brief(text)} without a name; write NAME or NAME:0.8")
        try:
            weights = [float(number) for number in ":".join(numbers).split(":") if number]
        except ValueError:
            raise RequestError(f"{_brief(text)} has a weight that is no number; write NAME:0.8") from None
        told = ("weight", "text_weight")[: len(weights)]
        return cls.build(name=name, **dict(zip(told, weights, strict=True)))


def _loras(value: object) -> object:
    """A sequence of `Lora`, of their texts or of their fields as JSON has them."""
    found = []
    for item in _few(value, "ink:0.8"):
        try:
            read = Lora.parse(item) if isinstance(item, str) else Lora.build(**item) if isinstance(item, dict) else item
        except RequestError as error:
            raise ValueError(f"has {error}") from None
        if not isinstance(read, Lora):
            raise ValueError(f"has {_brief(read)}; give texts, for example 'ink:0.8'")
        found.append(read)
    return tuple(found)


def _few(value: object, example: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'must be a list, for example ["{example}"]')
    if len(value) > MAX_ADAPTERS:
        raise ValueError(f"has {len(value)} entries; at most {MAX_ADAPTERS} are allowed")
    return tuple(value)


def _names_of_files(value: object) -> object:
    found = _few(value, "easynegative")
    for item in found:
        if not isinstance(item, str) or not 0 < len(item) <= 4096:
            raise ValueError(f"has {_brief(item)}; give names or paths")
        _text_only(item)
    return found


class Txt2Img(_Strict):
    """Pictures from a text. Use `build`, whose errors are ours; the constructor raises pydantic's.

    Image i has the seed ``seed + i`` and is the same picture alone or in any batch. Types are strict: 1 is a seed,
    ``"1"``, 1.0 and True are not.
    """

    task: Literal["txt2img"] = "txt2img"
    prompt: Prompt = Field(description="what to paint; empty paints whatever the model likes")
    negative: Prompt = Field("", description="what to keep away from; needs guidance above 1")
    model: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_text_only)] = Field(
        "nano", description="a model's name, or the path of its folder or file"
    )
    vae: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_text_only)] | None = Field(
        None, description="an autoencoder in place of the model's: a name in SFUMATO_VAES, or the path of its file"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(
        None, description="seed of the first picture; drawn when left out"
    )
    count: int = Field(1, ge=1, le=10_000, description="how many pictures")
    batch: Annotated[int, Field(ge=1, le=64)] | None = Field(None, description="how many at a time")
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="sampling steps")
    sampler: Sampler | None = Field(None, description="the rule of a step")
    schedule: Schedule | None = Field(None, description="the grid of noise levels")
    guidance: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = Field(
        None, description="how closely to follow the prompt; 1 is off"
    )
    guidance_rescale: float = Field(
        0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="how much of the contrast that guidance adds to take back",
    )
    guidance_method: GuidanceMethod = Field(
        "cfg", description="cfg: along the line; cfgpp: CFG++, guidance 0 to 1; apg: without what oversaturates"
    )
    guidance_low: Sigma = Field(0.0, description="the noise level down to which to guide")
    guidance_high: Sigma = Field(MAX_SIGMA, description="the noise level from which to guide; all by default")
    dynamic_threshold: float = Field(
        1.0, gt=0, le=1, allow_inf_nan=False, description="share of values that guidance may not take out of range"
    )
    pag: float = Field(0.0, ge=0, le=100, allow_inf_nan=False, description="perturbed attention guidance; 0 is off")
    freeu: float = Field(0.0, ge=0, le=2, allow_inf_nan=False, description="FreeU; 0 is off, 1 as published")
    eta: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="share of fresh noise, for samplers that have the choice"
    )
    ensd: int = Field(0, ge=0, le=2**31, description="added to the seed for the noise of steps: eta noise seed delta")
    numerics: Numerics = Field("diffusers", description="whose arithmetic to sample with; see docs/numerics.md")
    width: Pixels | None = Field(None, description="in pixels")
    height: Pixels | None = Field(None, description="in pixels")
    prompt_syntax: Syntax = Field("a1111", description="how weights and the like are written in prompts")
    clip_skip: int = Field(1, ge=1, le=12, description="which layer of the text encoder to read, from the last")
    original_size: Pair | None = Field(
        None, description="width and height that the picture is told to have been shot at; SDXL"
    )
    target_size: Pair | None = Field(None, description="width and height it is told to have; SDXL")
    crop: Pair | None = Field(None, description="left and top that are told to be cut off; SDXL")
    aesthetic: Score | None = Field(None, description="looks that it is told to have; SDXL's refiner")
    negative_aesthetic: Score | None = Field(None, description="looks to keep away from; SDXL's refiner")
    loras: Annotated[tuple[Lora, ...], BeforeValidator(_loras)] = Field(
        (), description="adapters of weights; those named in the prompt are added"
    )
    embeddings: Annotated[tuple[str, ...], BeforeValidator(_names_of_files)] = Field(
        (),
        description="files of textual inversion, whose words prompts may use; those in SFUMATO_EMBEDDINGS always may",
    )

    @model_validator(mode="after")
    def _within_budget(self) -> Self:
        if self.seed is not None and self.seed + self.count - 1 > MAX_SEED:
            raise ValueError(
                f"seed {self.seed} leaves no room for {self.count} pictures, whose seeds count up to {MAX_SEED}; "
                f"use {MAX_SEED - self.count + 1} or less"
            )
        if self.width is not None and self.height is not None:
            area = self.width * self.height
            if area * self.count > MAX_PIXELS:
                raise ValueError(
                    f"count {self.count} of {self.width}x{self.height} is {area * self.count / 1e6:.0f} megapixels; "
                    f"one request may have {MAX_PIXELS / 1e6:.0f}; use count {MAX_PIXELS // area} or less"
                )
        return self

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The request that `to_json` wrote.

        Raises:
            RequestError: for text that is no such request.
        """
        if len(text) > MAX_JSON:
            raise RequestError(f"a request of {len(text)} characters is too long; at most {MAX_JSON} are read")
        try:
            options = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"the request is not JSON: {_brief(str(error), 120)}; write an object") from None
        if not isinstance(options, dict):
            raise RequestError(f'a request is a JSON object, not {_brief(options)}; write {{"prompt": "..."}}')
        return cls.build(**options)

    def to_json(self) -> str:
        """One line, every field in the order of the class, so that equal requests are equal text."""
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":"))

    def changed(self, **values: object) -> Self:
        """The same request with other values, checked like `build`."""
        return self.build(**{**self.model_dump(), **values})

    def single(self, index: int) -> Self:
        """The request which paints picture `index` alone.

        Raises:
            RequestError: while the seed is still to be drawn, or for no picture of this request.
        """
        if self.seed is None:
            raise RequestError("a request without a seed does not say which picture; give it a seed")
        if not 0 <= index < self.count:
            raise RequestError(f"picture {index} must be 0 to {self.count - 1}; the request has {self.count}")
        return self.model_copy(update={"seed": self.seed + index, "count": 1, "batch": 1})


def draw_seed() -> int:
    """A random seed below 2^32: short enough to type again, and exact in every JSON reader."""
    return secrets.randbelow(2**32)


def parse_size(text: str, what: str = "size") -> tuple[int, int]:
    """Width and height of ``"512x768"``; an error calls it `what`.

    Raises:
        RequestError: for anything else. Limits are the request's to check.
    """
    found = re.fullmatch(r"([0-9]{1,9})[xX×]([0-9]{1,9})", text.strip())
    if found is None:
        raise RequestError(f"{what} {_brief(text)} must be WIDTHxHEIGHT in pixels; for example 256x256")
    return int(found[1]), int(found[2])


# ---------------------------------------------------------------------------------------- pydantic's errors as ours


def _brief(value: object, limit: int = 60) -> str:
    """A value on one line, short enough to read."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python refuses to print whole numbers of over 4300 digits
        return "of thousands of digits"
    short = text if len(text) <= limit else text[:limit] + "..."
    return repr(short) if isinstance(value, str) else short


def _explained(model: type[BaseModel], error: ValidationError) -> RequestError:
    """The first complaint, in our form."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    value = first["input"]
    match first["type"]:
        case "extra_forbidden":
            return UnknownNameError("option", name[:64], model.model_fields)
        case "literal_error" if isinstance(value, str):
            return UnknownNameError(name, value[:64], _names(model, name))
        case "literal_error":
            return RequestError(f"{name} {_brief(value)} must be one of {', '.join(_names(model, name))}")
        case "missing":
            return RequestError(f"{name} is missing; give it, for example {name}='a red apple'")
        case "string_too_long":
            limit = first["ctx"]["max_length"]
            return RequestError(f"{name} has {len(value)} characters; at most {limit} are allowed; shorten it")
        case "string_too_short":
            return RequestError(f"{name} is empty; leave it out for the default")
        case "string_unicode":
            return RequestError(f"{name} holds bytes that are not Unicode text; write it in UTF-8")
        case "string_type":
            return RequestError(f"{name} must be text, not {_brief(value)}; put it in quotes")
        case "int_type":
            return RequestError(f"{name} must be a whole number, not {_brief(value)}; for example {name}=8")
        case "float_type":
            return RequestError(f"{name} must be a number, not {_brief(value)}; for example {name}=1.5")
        case "greater_than_equal" | "less_than_equal" | "multiple_of" | "finite_number":
            return RequestError(f"{name} {_brief(value)} {_rule_and_remedy(model, name, value)}")
        case "value_error":
            return RequestError(f"{name} {first['ctx']['error']}".strip())
        case _:
            return RequestError(f"{name} {_brief(value)}: {first['msg']}".strip())


def _names(model: type[BaseModel], field: str) -> list[str]:
    """The choices of a ``Literal`` field, optional or not."""
    choices: list[str] = []
    for part in (model.model_fields[field].annotation, *get_args(model.model_fields[field].annotation)):
        choices += [name for name in get_args(part) if isinstance(name, str)]
    return list(dict.fromkeys(choices))


def _rule_and_remedy(model: type[BaseModel], field: str, value: float) -> str:
    """The limits of a numeric field and the nearest values within, read from its JSON schema."""
    schema: dict[str, Any] = model.model_json_schema()["properties"][field]
    limits = next((part for part in schema.get("anyOf", ()) if "minimum" in part), schema)
    low, high, step = limits["minimum"], limits["maximum"], limits.get("multipleOf")
    rule = f"must be {low:g} to {high:g}" if isinstance(low, float) else f"must be {low} to {high}"
    if step is not None:
        rule = f"must be a multiple of {step} from {low} to {high}"
    optional = not model.model_fields[field].is_required()
    if isinstance(value, float) and math.isnan(value):
        return f"{rule}; leave it out for the default" if optional else rule
    inside = min(max(value, low), high)
    nearest = [inside] if step is None else sorted({inside // step * step, -(-inside // step) * step})
    offer = " or ".join(f"{number:g}" if isinstance(number, float) else str(number) for number in nearest)
    return f"{rule}; use {offer}" + (" or leave it out" if optional else "")
