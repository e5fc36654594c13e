"""A class a task. Its docstring's first line is the help of its command; `task` names command, method and function.

A new task is a class here, a row of `REQUESTS`, and ``tasks/<task>.py`` with a function of the task's name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sfumato.choices import DeblurPrior, DenoiseMethod, Language, NoiseKind, Upscaler
from sfumato.errors import RequestError, UnknownNameError
from sfumato.requests.base import Request, Shown, read_object
from sfumato.requests.fields import (
    MAX_SEED,
    Added,
    Blur,
    Box,
    Boxes,
    Colour,
    Contrast,
    Deviation,
    Guidance,
    Labels,
    Margin,
    Name,
    Picture,
    Prompt,
    Regions,
    Seed,
    Share,
    Steps,
    Strength,
    Traits,
)
from sfumato.requests.painting import Edit, Masked, Painting
from sfumato.requests.processing import Processing, Recognising
from sfumato.validation import brief


class Txt2Img(Painting):
    """Paint pictures from a text and print the paths of their files."""

    task: Literal["txt2img"] = "txt2img"
    regions: Annotated[Regions, Shown("X,Y,W,H:PROMPT", flags=("--region",))] = Field(
        (), description="a part of the picture, left, top, width and height in pixels, that has a prompt of its own"
    )
    hires: Annotated[Annotated[float, Field(ge=1, le=8, allow_inf_nan=False)], Shown("F", "Hires upscale")] = Field(
        1.0, description="enlarge the picture so many times and paint its details anew in a second pass; 1 is off"
    )
    hires_strength: Annotated[Share | None, Shown("S", "Denoising strength")] = Field(
        None, description="how much of the noise the second pass begins from; 0.7 when left out"
    )
    hires_steps: Annotated[Steps | None, Shown("N", "Hires steps")] = Field(
        None, description="steps of the second pass; as many as of the first when left out"
    )
    hires_upscaler: Annotated[Upscaler | None, Shown("U", "Hires upscaler")] = Field(
        None, description="what is enlarged for the second pass: the latents, or the picture; latent when left out"
    )
    upscale: Annotated[int, Shown("2|3|4", "Postprocess upscale by")] = Field(
        1, ge=1, le=4, description="enlarge the finished picture so many times; 1 is off"
    )
    upscaler: Annotated[Name | None, Shown("M|NAME|PATH", "Postprocess upscaler")] = Field(
        None, description="by what: as --method of upscale"
    )


class Img2Img(Edit):
    """Paint a picture anew from another and a text: noise is added, as much as strength says, and taken away."""

    task: Literal["img2img"] = "img2img"


class Inpaint(Masked):
    """Paint inside of a mask; every pixel outside of it stays."""

    task: Literal["inpaint"] = "inpaint"
    mask: Annotated[Picture | None, Shown("FILE", "Mask hash")] = Field(
        None, description="white where to paint; left out, the transparent part of IMAGE"
    )
    box: Annotated[Box | None, Shown("X,Y,W,H", "Mask box")] = Field(
        None, description="paint inside of a box instead: left, top, width and height in pixels"
    )

    where: Annotated[Prompt | None, Shown("WORDS", "Mask words")] = Field(
        None, description="paint what these words name instead, which is looked for in the picture; as 'the hat'"
    )

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        given = [name for name in ("mask", "box", "where") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} all say where to paint; give one of them")
        return self


class Replace(Masked):
    """Paint something else in the place of a thing that a picture shows: replace IMAGE hat crown."""

    task: Literal["replace"] = "replace"
    old: Annotated[Prompt, Shown("OLD", "Replaced", argument=2)] = Field(description="what to look for in the picture")
    prompt: Annotated[Prompt, Shown("NEW", argument=3)] = Field(description="what to paint in its place")
    description: Annotated[Prompt, Shown("T", "Description")] = Field(
        "", description="what the whole picture shows, with OLD in it; it helps to find, and to paint what fits"
    )
    grow: Annotated[int, Shown("PIXELS", "Mask grow", always=True)] = Field(
        8, ge=-512, le=512, description="how far the mask is grown, or shrunk below 0, before"
    )
    strength: Strength = Field(
        0.9, description="how much of the noise to begin from: 0 keeps the picture, 1 forgets it"
    )


class Outpaint(Edit):
    """Paint on beyond the edges of a picture; what is larger than the model paints at once is painted in rounds."""

    task: Literal["outpaint"] = "outpaint"
    left: Annotated[Margin, Shown("PIXELS", "Outpaint left")] = Field(0, description="how far to the left")
    right: Annotated[Margin, Shown("PIXELS", "Outpaint right")] = Field(0, description="how far to the right")
    top: Annotated[Margin, Shown("PIXELS", "Outpaint top")] = Field(0, description="how far upwards")
    bottom: Annotated[Margin, Shown("PIXELS", "Outpaint bottom")] = Field(0, description="how far downwards")
    overlap: Annotated[int, Shown("PIXELS", "Outpaint overlap")] = Field(
        16, ge=0, le=256, description="how far the new part fades into the picture"
    )
    strength: Strength = Field(
        1.0, description="how much of the noise to begin from; below 1 the edge's colours show through"
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not any((self.left, self.right, self.top, self.bottom)):
            raise ValueError("left, right, top and bottom are all 0; give one of them, for example 64")
        return self


class TextEdit(Edit):
    """Change a picture in words: an instruction for InstructPix2Pix, for any other model what it is to show."""

    task: Literal["edit"] = "edit"
    image_guidance: Annotated[Guidance | None, Shown("F", "Image CFG scale")] = Field(
        None, description="how closely InstructPix2Pix follows the picture; 1.5 when left out, 1 is off"
    )
    before: Annotated[Prompt, Shown("T", "Prompt before", flags=("--from",))] = Field(
        "", description="for any other model: what the picture shows now; where PROMPT says the same, it stays"
    )
    everywhere: Annotated[bool, Shown("", "Edited everywhere")] = Field(
        False, description="for any other model: change the rest of the picture as well, to fit"
    )
    strength: Annotated[Share | None, Shown("S", "Denoising strength")] = Field(  # type: ignore[assignment]
        None,
        description="share of the noise at which to begin; left out 1 for InstructPix2Pix, 0.9 for any other model",
    )


class Depth2Img(Edit):
    """Paint a picture anew in the shapes of its depth map, with a checkpoint of Stable Diffusion 2 depth."""

    task: Literal["depth2img"] = "depth2img"
    depth: Annotated[Picture | None, Shown("FILE", "Depth map hash")] = Field(
        None, description="how near each place is, white the nearest; as of MiDaS or Depth Anything"
    )
    strength: Strength = Field(
        0.8, description="how much of the noise to begin from: 0 keeps the picture, 1 its depth alone"
    )


class Sprite(Painting):
    """Paint one subject without its background, as a game needs it: transparent around, trimmed."""

    task: Literal["sprite"] = "sprite"
    background: Annotated[Prompt, Shown("WORDS", "Sprite background")] = Field(
        "white background", description="what is said of the background, where the prompt says nothing of it"
    )
    palette: Annotated[Annotated[int, Field(ge=2, le=256)] | None, Shown("N", "Sprite palette")] = Field(
        None, description="reduce it to so many colours"
    )
    palette_file: Annotated[Picture | None, Shown("FILE", "Sprite palette hash")] = Field(
        None, description="reduce it to the colours of a palette (.gpl, .pal, hex a line) or of a picture"
    )
    outline: Annotated[int, Shown("PIXELS", "Sprite outline")] = Field(
        0, ge=0, le=16, description="draw a line around it, so many pixels wide"
    )
    outline_colour: Annotated[Colour, Shown("RRGGBB", "Sprite outline colour")] = Field(
        "000000", description="of that line"
    )
    untrimmed: Annotated[bool, Shown("", "Sprite untrimmed")] = Field(
        False, description="keep the size that was painted, with the empty rows and columns"
    )

    @model_validator(mode="after")
    def _one_palette(self) -> Self:
        if self.palette is not None and self.palette_file is not None:
            raise ValueError("palette and palette_file both say which colours it has; give one of them")
        return self


class Colorize(Edit):
    """Give a grey picture colours; its luminance stays as it is."""

    task: Literal["colorize"] = "colorize"
    strength: Strength = Field(1.0, description="how much of the noise to begin from: lower, the colours are paler")


class Scene(Painting):
    """Paint a wide background, by tiles of the model's size that are one picture at every step."""

    task: Literal["scene"] = "scene"


class Portrait(Painting):
    """Paint a portrait of attributes that the model knows, or of a character who stays the same."""

    task: Literal["portrait"] = "portrait"
    prompt: Annotated[Prompt, Shown("T", flags=("--prompt",))] = Field("", description="what else to say")
    traits: Annotated[Traits, Shown("NAME=VALUE", flags=("--with",))] = Field(
        (), description="an attribute, as hair=mohawk or hair_color=pink; NAME= leaves it out; see `sfumato models`"
    )
    character: Annotated[Name | None, Shown("ID")] = Field(
        None, description="a name that fixes all other attributes and the seed, so that it is always the same person"
    )
    kind: Annotated[Name, Shown("K")] = Field("portrait", description="which of the model's kinds; as character, plant")

    @property
    def says_what(self) -> bool:
        """Attributes do as well, or a character."""
        return super().says_what or bool(self.traits) or self.character is not None


class Detail(Edit):
    """Paint the faces of a picture anew, each enlarged, and lay them back; or what is in boxes."""

    task: Literal["detail"] = "detail"
    box: Annotated[Boxes, Shown("X,Y,W,H", "Detail boxes")] = Field(
        (), description="where to paint: left, top, width and height in pixels; faces are looked for when left out"
    )
    confidence: Annotated[Share, Shown("F", "Detail confidence")] = Field(
        0.5, description="how sure a face must be that is found"
    )
    largest: Annotated[int, Shown("K", "Detail largest")] = Field(
        4, ge=1, le=64, description="how many faces at most, the largest first"
    )
    grow: Annotated[int, Shown("PIXELS", "Mask grow")] = Field(
        4, ge=-512, le=512, description="how far each box is grown, or shrunk below 0, before"
    )
    blur: Annotated[int, Shown("PIXELS", "Mask blur", always=True)] = Field(
        4, ge=0, le=256, description="how far its edge is feathered"
    )
    padding: Annotated[int, Shown("PIXELS", "Masked area padding")] = Field(
        32, ge=0, le=1024, description="how far the surroundings reach that are enlarged with it"
    )
    strength: Strength = Field(
        0.4, description="how much of the noise to begin from: 0 keeps the picture, 1 forgets it"
    )


class Between(Painting):
    """Paint the picture that lies between two prompts and two seeds, as the frames of an animation do."""

    task: Literal["between"] = "between"
    to: Annotated[Prompt, Shown("TO", "To prompt", argument=3)] = Field(description="the prompt at the other end")
    to_seed: Annotated[Seed | None, Shown("N", "To seed")] = Field(
        None, description="seed at the other end; the same when left out"
    )
    to_guidance: Annotated[Guidance | None, Shown("F", "To guidance")] = Field(
        None, description="guidance at the other end; the same when left out"
    )
    share: Annotated[Share, Shown("F", "Share", always=True)] = Field(
        0.5, description="how far on the way: 0 paints PROMPT, 1 paints TO"
    )

    @model_validator(mode="after")
    def _seeds_within(self) -> Self:
        if self.to_seed is not None and self.to_seed + self.count - 1 > MAX_SEED:
            raise ValueError(f"to_seed {self.to_seed} leaves no room for {self.count} pictures")
        return self

    def single(self, index: int) -> Self:
        """The request which paints picture `index` alone: both seeds count on."""
        one = super().single(index)
        return one if self.to_seed is None else one.model_copy(update={"to_seed": self.to_seed + index})


Shift = Annotated[float, Field(ge=-8192, le=8192, allow_inf_nan=False)]


class Follow(Edit):
    """Paint the frame that follows from another: that one as a camera that moves sees it, painted anew."""

    task: Literal["follow"] = "follow"
    to: Annotated[Prompt | None, Shown("TO", "To prompt")] = Field(None, description="a prompt to blend into PROMPT")
    share: Annotated[Share, Shown("F", "Share")] = Field(0.5, description="of that: how much of it, 0 to 1")
    zoom: Annotated[Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)], Shown("F", "Zoom")] = Field(
        1.0, description="how many times nearer, about the middle"
    )
    angle: Annotated[Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)], Shown("DEGREES", "Angle")] = Field(
        0.0, description="how far the picture turns, anticlockwise"
    )
    translation_x: Annotated[Shift, Shown("PIXELS", "Translation X")] = Field(
        0.0, description="how far the picture moves to the right"
    )
    translation_y: Annotated[Shift, Shown("PIXELS", "Translation Y")] = Field(
        0.0, description="how far the picture moves down"
    )
    strength: Strength = Field(
        0.35, description="how much of the noise to begin from; Deforum's strength is 1 minus this"
    )


class Denoise(Processing):
    """Take the noise out of a picture, and say how much there was and how well that went."""

    task: Literal["denoise"] = "denoise"
    sigma: Annotated[Deviation | None, Shown("auto|N", "Sigma")] = Field(
        None, description="standard deviation of the noise, of 255 levels; estimated when left out"
    )
    noise: Annotated[NoiseKind | None, Shown("K", "Noise")] = Field(
        None, description="how it depends on the light; estimated when left out"
    )
    method: Annotated[DenoiseMethod, Shown("M", "Method", always=True)] = Field(
        "auto", description="by what; auto takes the best that is there"
    )
    clean: Annotated[Picture | None, Shown("FILE", "Reference hash")] = Field(
        None, description="the same picture without noise, to measure against"
    )
    add_noise: Annotated[Added | None, Shown("N[:poisson|gaussian]", "Added noise")] = Field(
        None, description="add noise first, and measure against IMAGE; of poisson N is what white has"
    )

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if self.clean is not None and self.add_noise is not None:
            raise ValueError("clean and add_noise do not go together: with add_noise, IMAGE is the clean picture")
        return self

    @property
    def generative(self) -> bool:
        """Where a checkpoint's denoiser takes the noise out."""
        return self.method == "diffusion"


class Enhance(Processing):
    """Mend and better a photograph: blur, blocks of JPEG, the light's colour, contrast, sharpness."""

    task: Literal["enhance"] = "enhance"
    jpeg: Annotated[bool, Shown("", "JPEG mended")] = Field(
        False, description="smooth the blocks and ripples that IMAGE has of its compression as a JPEG"
    )
    deblur: Annotated[Blur | None, Shown("auto|N", "Deblur")] = Field(
        None, description="take out a blur whose Gaussian is N pixels wide; auto finds out how wide it is"
    )
    sigma: Annotated[Deviation | None, Shown("auto|N", "Sigma")] = Field(
        None, description="of that: noise in the picture, of 255 levels; less rings more; estimated when left out"
    )
    prior: Annotated[DeblurPrior, Shown("P", "Deblur prior")] = Field(
        "auto", description="of that: the denoiser that says what pictures are like"
    )
    white_balance: Annotated[bool, Shown("", "White balance")] = Field(
        False, description="take out the colour of the light (Shades of Grey)"
    )
    light: Annotated[Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)], Shown("N", "Light")] = Field(
        0.0, description="above 0 lighter, below darker; black, white and hue stay"
    )
    contrast: Annotated[Contrast | None, Shown("auto|N", "Contrast")] = Field(
        None, description="lightness is spread so many times around its mean; auto fills black to white"
    )
    sharpen: Annotated[Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)], Shown("N", "Sharpen")] = Field(
        0.0, description="how much of the fine detail of lightness to add (unsharp mask)"
    )
    clean: Annotated[Picture | None, Shown("FILE", "Reference hash")] = Field(
        None, description="what the picture should be, to measure against"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        wanted = (self.jpeg, self.white_balance, self.light, self.sharpen)
        if not any(wanted) and self.deblur is None and self.contrast is None:
            raise ValueError("nothing is to be done; give deblur, contrast, sharpen, light, white_balance or jpeg")
        return self


class Match(Processing):
    """Give a picture the colours of another."""

    task: Literal["match"] = "match"
    like: Annotated[Picture, Shown("FILE", "Colours hash")] = Field(description="the picture whose colours to take")
    strength: Annotated[Share, Shown("S", "Match strength", always=True)] = Field(
        1.0, description="how much of them: 0 keeps the picture's own"
    )
    colours_only: Annotated[bool, Shown("", "Colours only")] = Field(
        False, description="keep the lightness of the picture"
    )


class Classify(Recognising):
    """Say which of some labels pictures show, by how well a diffusion model explains them under each."""

    task: Literal["classify"] = "classify"
    labels: Annotated[Labels, Shown("A,B,C")] = Field(
        description="what the pictures may show, two or more", examples=["cat,dog"]
    )
    top: Annotated[int, Shown("K")] = Field(3, ge=1, le=10_000, description="how many labels to say of each picture")
    label_template: Annotated[Annotated[str, Field(max_length=1000)] | None, Shown("T")] = Field(
        None, description="the prompt of a label, with {} in its place, as 'a photo of a {}'"
    )
    model: Annotated[Name, Shown("NAME|PATH", "Model", always=True)] = Field(
        "nano", description="a model's name, or the path of its folder or file"
    )
    draws: Annotated[int, Shown("N")] = Field(
        16, ge=2, le=4096, description="noises that each label is tried with, at most"
    )
    risk: Annotated[Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)], Shown("F")] = Field(
        0.05, description="of dropping a label by chance while others still race; 0 drops none, and takes longer"
    )
    threshold: Annotated[Share, Shown("F")] = Field(
        0.5, description="probability of the first label below which the picture is unsure"
    )
    seed: Annotated[int, Shown("N", "Seed")] = Field(0, ge=0, le=MAX_SEED // 2, description="of the noises")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.label_template is not None and self.label_template.count("{}") != 1:
            raise ValueError(f"label_template {brief(self.label_template)} must have one {{}}, where the label goes")
        return self


class Recognise(Recognising):
    """Say what pictures of nano's domain show, each attribute with its confidence, and the prompt that says it."""

    task: Literal["recognise"] = "recognise"
    language: Annotated[Language, Shown("L")] = Field("en", description="of the caption")


class Upscale(Processing):
    """Enlarge a picture, and say how well what is shown agrees with what was there."""

    task: Literal["upscale"] = "upscale"
    scale: Annotated[Annotated[int, Field(ge=2, le=4)] | None, Shown("2|3|4", "Scale", always=True)] = Field(
        None, description="by how much; by 2 when left out, or by as much as the upscaler does"
    )
    method: Annotated[Name, Shown("M|NAME|PATH", "Method", always=True)] = Field(
        "auto",
        description="by what: ours, lanczos, bicubic, an upscaler of another program (SFUMATO_UPSCALERS), or diffusion "
        "by a model made for it; auto is such a model where one is given, our network where it is there, and else "
        "lanczos",
    )
    clean: Annotated[Picture | None, Shown("FILE", "Reference hash")] = Field(
        None, description="the same picture at the larger size, to measure against"
    )
    refine: Annotated[Prompt | None, Shown("PROMPT", "Refine prompt")] = Field(
        None, description="paint the details of what this says over it, by img2img in tiles; the prompt of diffusion"
    )
    strength: Annotated[Share, Shown("S", "Denoising strength")] = Field(
        0.3, description="of that: how much of the noise to begin from"
    )
    tile: Annotated[Annotated[int, Field(ge=64, le=8192, multiple_of=8)] | None, Shown("PX", "Tile")] = Field(
        None, description="of that: sample in tiles of so many pixels a side"
    )
    steps: Annotated[Steps | None, Shown("N", "Steps")] = Field(
        None, description="of diffusion: how many; the model's own when left out"
    )
    guidance: Annotated[Guidance | None, Shown("F", "CFG scale")] = Field(
        None, description="of diffusion: how closely --refine is followed; the model's own when left out"
    )
    noise_level: Annotated[Annotated[int, Field(ge=0, le=350)], Shown("N", "Noise level")] = Field(
        20, description="of diffusion by 4: how much noise hides what the picture shows; more lets more be invented"
    )

    @property
    def generative(self) -> bool:
        """Where details are painted."""
        return self.refine is not None or self.method == "diffusion"


REQUESTS: Mapping[str, type[Request]] = MappingProxyType(
    {
        kind.TASK: kind
        for kind in (
            Txt2Img,
            Img2Img,
            Inpaint,
            Outpaint,
            Replace,
            TextEdit,
            Depth2Img,
            Between,
            Follow,
            Denoise,
            Upscale,
            Detail,
            Enhance,
            Sprite,
            Colorize,
            Scene,
            Portrait,
            Match,
            Classify,
            Recognise,
        )
    }
)
"""All tasks: by name, the class of its request."""


def parse_request(text: str | bytes) -> Request:
    """The request of any task that `Request.to_json` wrote; without a task it is txt2img's.

    Raises:
        RequestError: for text that is no request.
    """
    options = read_object(text)
    task = options.get("task", Txt2Img.TASK)
    if not isinstance(task, str):
        raise RequestError(f"task {brief(task)} must be one of {', '.join(REQUESTS)}")
    if task not in REQUESTS:
        raise UnknownNameError("task", task[:64], REQUESTS)
    return REQUESTS[task].build(**options)
