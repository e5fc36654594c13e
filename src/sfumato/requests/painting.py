"""What requests for pictures have in common, flat and inherited once: `Painting`; and `Edit`, which begins from one.

The order of the fields is that of JSON stored in pictures, of ``--help`` and of infotexts.
"""

import secrets
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from sfumato.choices import GuidanceMethod, Numerics, Prediction, Preprocessor, Sampler, Schedule, Syntax
from sfumato.errors import RequestError
from sfumato.requests.base import Request, Shown
from sfumato.requests.fields import (
    MAX_SEED,
    MAX_SIGMA,
    Controls,
    Duration,
    FileNames,
    Guidance,
    Loras,
    Memory,
    Name,
    Pair,
    Picture,
    Pixels,
    Prompt,
    Score,
    Seed,
    Share,
    Side,
    Sigma,
    Steps,
    Strength,
)

MAX_PIXELS = 2**30  # of one request: 3 GiB of finished pictures


FAST = (
    "fewer steps and --deep-cache 2 where these are left open: 2.7 times as fast with nano, and 0.23 of the distance "
    "between two seeds away from the exact picture; what nano paints of a prompt alone its student paints in one step, "
    "another picture of it"
)


class Settled(NamedTuple):
    """What an exact request leaves open no more, see `Painting.settled`."""

    seed: int
    first_seed: int
    batch: int
    steps: int
    guidance: float
    size: tuple[int, int]
    """Width and height in pixels."""


class Painting(Request):
    """Pictures by a diffusion model.

    Image i has the seed ``seed + i``, of variations ``subseed + i``, and is the same picture alone or in any batch.
    """

    prompt: Annotated[Prompt, Shown("PROMPT", argument=2)] = Field(
        description="what to paint; in Python and over HTTP, empty paints whatever the model likes"
    )
    negative: Annotated[Prompt, Shown("T")] = Field("", description="what to keep away from; needs guidance above 1")
    model: Annotated[Name, Shown("NAME|PATH", "Model", always=True)] = Field(
        "nano", description="a model's name, or the path of its folder or file"
    )
    vae: Annotated[Name | None, Shown("NAME|PATH", "VAE")] = Field(
        None, description="an autoencoder in place of the model's: a name in SFUMATO_VAES, or the path of its file"
    )
    prediction: Annotated[Prediction | None, Shown("P", "Prediction")] = Field(
        None, description="what the network of a file predicts, where it does not say"
    )
    text_encoders: Annotated[FileNames, Shown("FILE", flags=("--text-encoder",))] = Field(
        (), description="a text encoder that the model lacks"
    )
    seed: Annotated[Seed | None, Shown("N", "Seed")] = Field(
        None, description="seed of the first picture; drawn when left out"
    )
    subseed: Annotated[Seed | None, Shown("N", "Variation seed")] = Field(
        None, description="seed of the noise that variations are turned towards; drawn when left out"
    )
    subseed_strength: Annotated[Share, Shown("S", "Variation seed strength")] = Field(
        0.0, description="paint variations of one seed, so far from it; they differ in the subseed, which counts up"
    )
    count: Annotated[int, Shown("COUNT", flags=("-n", "--count"))] = Field(
        1, ge=1, le=10_000, description="how many pictures"
    )
    batch: Annotated[Annotated[int, Field(ge=1, le=64)] | None, Shown("B")] = Field(
        None, description="how many at a time"
    )
    steps: Annotated[Steps | None, Shown("N", "Steps")] = Field(None, description="sampling steps")
    sampler: Annotated[Sampler | None, Shown("S", "Sampler")] = Field(None, description="the rule of a step")
    schedule: Annotated[Schedule | None, Shown("G", "Schedule type")] = Field(
        None, description="the grid of noise levels"
    )
    guidance: Annotated[Guidance | None, Shown("F", "CFG scale")] = Field(
        None, description="how closely to follow the prompt; 1 is off"
    )
    guidance_rescale: Annotated[Share, Shown("F", "Guidance rescale")] = Field(
        0.0, description="how much of the contrast that guidance adds to take back, 0 to 1"
    )
    guidance_method: Annotated[GuidanceMethod, Shown("M", "Guidance method")] = Field(
        "cfg",
        description="cfg: classifier-free; cfgpp: CFG++, guidance 0 to 1; apg: adaptive projected guidance; perp_neg: "
        "of the negative only what does not speak against the prompt; cfg_zero: CFG-Zero*; tcfg: tangential damping",
    )
    guidance_low: Annotated[Sigma, Shown("F", "Guidance low")] = Field(
        0.0, description="the noise level down to which to guide"
    )
    guidance_high: Annotated[Sigma, Shown("F", "Guidance high")] = Field(
        MAX_SIGMA, description="the noise level from which to guide; all by default"
    )
    dynamic_threshold: Annotated[
        Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)], Shown("F", "Dynamic threshold")
    ] = Field(1.0, description="share of values that guidance may not take out of range, as 0.995")
    pag: Annotated[Guidance, Shown("F", "PAG")] = Field(0.0, description="perturbed attention guidance, as 3; 0 is off")
    seg: Annotated[Guidance, Shown("F", "SEG")] = Field(0.0, description="smoothed energy guidance, as 3; 0 is off")
    slg: Annotated[Guidance, Shown("F", "SLG")] = Field(
        0.0, description="skip layer guidance of Stable Diffusion 3.5 Medium, as 2.8; 0 is off"
    )
    freeu: Annotated[Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)], Shown("F", "FreeU")] = Field(
        0.0, description="FreeU; 0 is off, 1 as published"
    )
    deep_cache: Annotated[int, Shown("N", "Deep cache")] = Field(
        1, ge=1, le=8, description="run the deep part of a U-Net in every so many steps only (DeepCache); 1 is off"
    )
    fast: Annotated[bool, Shown("")] = Field(False, description=FAST)
    budget: Annotated[Duration | None, Shown("60s")] = Field(
        None,
        description="the time for all pictures, from the command on: what is left open of steps, --deep-cache and size "
        "is planned so that it is kept, with the least loss",
    )
    ram: Annotated[Memory | None, Shown("4G")] = Field(
        None,
        description="the memory that it may take: weights stay as they are stored, parts are let go when they have "
        "done their work, and decoding and sampling go in parts where that is needed",
    )
    eta: Annotated[Share | None, Shown("F", "Eta")] = Field(
        None, description="share of fresh noise, for samplers that have the choice"
    )
    ensd: Annotated[int, Shown("N", "ENSD")] = Field(
        0, ge=0, le=2**31, description="eta noise seed delta: added to the seed for the noise of steps"
    )
    noise_multiplier: Annotated[float, Shown("X", "Noise multiplier")] = Field(
        1.0, ge=0, le=2, description="times the first noise; 1 is what models are trained for"
    )
    numerics: Annotated[Numerics, Shown("P", "Numerics")] = Field(
        "diffusers", description="whose arithmetic to sample with; see docs/numerics.md"
    )
    width: Annotated[Pixels | None, Shown("W")] = Field(None, description="in pixels")
    height: Annotated[Pixels | None, Shown("H")] = Field(None, description="in pixels")
    tileable: Annotated[Literal["x", "y", "both"] | None, Shown("AXES", "Tileable")] = Field(
        None, description="paint what can be laid in tiles without a seam, side by side (x) or one above another (y)"
    )
    tile: Annotated[Annotated[int, Field(ge=16, le=8192, multiple_of=8)] | None, Shown("PX", "Tile")] = Field(
        None, description="sample in tiles of so many pixels a side, for pictures larger than the model's own"
    )
    tile_overlap: Annotated[int, Shown("PX", "Tile overlap")] = Field(
        64, ge=0, le=4096, description="by how much tiles overlap at least"
    )
    prompt_syntax: Annotated[Syntax, Shown("P", "Prompt syntax")] = Field(
        "a1111", description="how weights and the like are written in prompts"
    )
    as_written: Annotated[bool, Shown("", "As written")] = Field(
        False,
        description="encode the prompt as it stands, though the model has a lexicon that puts it in its own words",
    )
    clip_skip: Annotated[int, Shown("N", "Clip skip")] = Field(
        1, ge=1, le=12, description="which layer of the text encoder to read, from the last"
    )
    original_size: Annotated[Pair | None, Shown("WxH")] = Field(
        None, description="original size (SDXL micro-conditioning)"
    )
    target_size: Annotated[Pair | None, Shown("WxH")] = Field(None, description="target size (SDXL micro-conditioning)")
    crop: Annotated[Pair | None, Shown("LEFTxTOP")] = Field(
        None, description="top left corner of the crop (SDXL micro-conditioning)"
    )
    aesthetic: Annotated[Score | None, Shown("F")] = Field(None, description="aesthetic score (SDXL's refiner)")
    negative_aesthetic: Annotated[Score | None, Shown("F")] = Field(
        None, description="aesthetic score of the negative prompt (SDXL's refiner)"
    )
    loras: Annotated[Loras, Shown("NAME|PATH[:W[:TEXT_W]]", flags=("--lora",))] = Field(
        (), description="paint with a LoRA; those named in the prompt are added"
    )
    embeddings: Annotated[FileNames, Shown("NAME|PATH", flags=("--embedding",))] = Field(
        (),
        description="a file of textual inversion, whose words prompts may use; those in SFUMATO_EMBEDDINGS always may",
    )
    controls: Annotated[Controls, Shown("NAME|PATH:IMAGE[:WEIGHT[:START-END]]", "ControlNet", flags=("--control",))] = (
        Field((), description="hold the painting to a picture by a ControlNet or T2I-Adapter, in a part of the steps")
    )
    preprocess: Annotated[Preprocessor, Shown("P")] = Field(
        "none", description="what is made of the controls' pictures first"
    )
    guess: Annotated[bool, Shown("")] = Field(
        False,
        description="guess mode: the controls alone say what is painted; guidance 3 to 5, and no prompt is needed",
    )
    like: Annotated[Picture | None, Shown("IMAGE", "Like image hash")] = Field(
        None,
        description="a picture that is a prompt as well: paint something like it, by an IP-Adapter where one is given, "
        "else by letting a U-Net's self-attention look at it",
    )
    like_strength: Annotated[Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)], Shown("F", "Like strength")] = (
        Field(0.6, description="how much that picture counts beside the prompt; 0 is off")
    )
    like_model: Annotated[Name | None, Shown("NAME|PATH", "IP-Adapter")] = Field(
        None, description="an IP-Adapter for it: a name in SFUMATO_IP_ADAPTERS, or the path of its file"
    )
    image_encoder: Annotated[Name | None, Shown("PATH")] = Field(
        None, description="what it sees with: a folder or file; found beside it when left out, as image_encoder"
    )
    refiner: Annotated[Name | None, Shown("NAME|PATH", "Refiner")] = Field(
        None, description="a model of the same latents that ends the painting, as SDXL's refiner; LoRAs are the first's"
    )
    switch: Annotated[Share, Shown("F", "Refiner switch at")] = Field(
        0.8, description="share of the noise's way down after which the refiner paints"
    )

    @model_validator(mode="after")
    def _within_budget(self) -> Self:
        if self.first_seed is not None and self.first_seed + self.count - 1 > MAX_SEED:
            raise ValueError(
                f"seed {self.first_seed} leaves no room for {self.count} pictures, whose seeds count up to {MAX_SEED}; "
                f"use {MAX_SEED - self.count + 1} or less"
            )
        if self.tile is not None and self.tileable is not None:
            raise ValueError("tile and tileable do not go together: each tile would meet itself; leave one of them out")
        if self.tile is not None and self.tile_overlap >= self.tile:
            raise ValueError(
                f"tile_overlap {self.tile_overlap} must be below the tile's {self.tile}; use {self.tile // 4}"
            )
        if self.width is not None and self.height is not None:
            area = self.width * self.height
            if area * self.count > MAX_PIXELS:
                raise ValueError(
                    f"count {self.count} of {self.width}x{self.height} is {area * self.count / 1e6:.0f} megapixels; "
                    f"one request may have {MAX_PIXELS / 1e6:.0f}; use count {MAX_PIXELS // area} or less"
                )
        return self

    @model_validator(mode="after")
    def _one_haste(self) -> Self:
        if self.fast and self.budget is not None:
            raise ValueError("fast and budget do not go together: a budget plans how fast; leave one of them out")
        return self

    @property
    def pictures(self) -> int:
        """Its `count`."""
        return self.count

    @property
    def title(self) -> str:
        """The prompt."""
        return self.prompt

    @property
    def says_what(self) -> bool:
        """Whether something says what to paint: a prompt, a picture in its place, or controls that are let to guess."""
        return bool(self.prompt.strip()) or self.like is not None or (self.guess and bool(self.controls))

    @property
    def settled(self) -> Settled:
        """What resolving fills in, of an exact request.

        Raises:
            RequestError: the request leaves some of it open.
        """
        match self.seed, self.first_seed, self.batch, self.steps, self.guidance, self.width, self.height:
            case int(seed), int(first), int(batch), int(steps), float() | int() as guidance, int(width), int(height):
                return Settled(seed, first, batch, steps, guidance, (width, height))
        names = (
            "seed",
            *(("subseed",) if self.subseed_strength else ()),
            "batch",
            "steps",
            "guidance",
            "width",
            "height",
        )
        raise RequestError(f"the request leaves {', '.join(n for n in names if getattr(self, n) is None)} open")

    def seeded(self) -> Self:
        """The same with a seed."""
        return self.changed(seed=draw_seed()) if self.seed is None else self

    @model_validator(mode="after")
    def _by_what(self) -> Self:
        if self.like is None and self.like_model is not None:
            raise ValueError("like_model is the IP-Adapter that reads a picture; give like as well, or leave it out")
        return self

    @property
    def first_seed(self) -> int | None:
        """The seed that counts up from picture to picture: of variations the subseed."""
        return self.subseed if self.subseed_strength else self.seed

    def single(self, index: int) -> Self:
        """The request which paints picture `index` alone.

        Raises:
            RequestError: while the seed is still to be drawn, or for no picture of this request.
        """
        first = self.first_seed
        if self.seed is None or first is None:
            raise RequestError("a request without a seed does not say which picture; give it a seed")
        if not 0 <= index < self.count:
            raise RequestError(f"picture {index} must be 0 to {self.count - 1}; the request has {self.count}")
        counted = "subseed" if self.subseed_strength else "seed"
        return self.model_copy(update={counted: first + index, "count": 1, "batch": 1})


class Edit(Painting):
    """Pictures that begin from one; width and height, when given, are what it is resized to first."""

    image: Annotated[Picture, Shown("IMAGE", "Init image hash", argument=1)] = Field(
        description="the picture to begin from"
    )
    width: Annotated[Side | None, Shown("W")] = Field(None, description="in pixels; the picture's own when left out")
    height: Annotated[Side | None, Shown("H")] = Field(None, description="in pixels; the picture's own when left out")
    strength: Strength = Field(
        0.75, description="how much of the noise to begin from: 0 keeps the picture, 1 forgets it"
    )


class Masked(Edit):
    """Pictures of which a part is painted anew; every pixel outside of it stays."""

    blur: Annotated[int, Shown("PIXELS", "Mask blur", always=True)] = Field(
        4, ge=0, le=256, description="how far the mask's edge is feathered"
    )
    grow: Annotated[int, Shown("PIXELS", "Mask grow")] = Field(
        0, ge=-512, le=512, description="how far the mask is grown, or shrunk below 0, before"
    )
    invert: Annotated[bool, Shown("", "Mask inverted")] = Field(False, description="paint outside of the mask instead")
    fill: Annotated[Literal["original", "noise", "blur", "zeros"], Shown("F", "Masked content")] = Field(
        "original", description="what the masked part begins from"
    )
    only_masked: Annotated[bool, Shown("", "Inpaint area")] = Field(
        False,
        description="paint the masked part and its surroundings alone, enlarged to the model's size, or to --size",
    )
    padding: Annotated[int, Shown("PIXELS", "Masked area padding")] = Field(
        32, ge=0, le=1024, description="how far those surroundings reach"
    )


def draw_seed() -> int:
    """A random seed below 2^32: short enough to type again, and exact in every JSON reader."""
    return secrets.randbelow(2**32)
