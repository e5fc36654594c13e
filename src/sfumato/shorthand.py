"""`Studio`'s methods, a task each, typed as its request. Written by ``python -m docs.shorthand``."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, Unpack

from sfumato.asking import Asking
from sfumato.choices import (
    DeblurPrior,
    DenoiseMethod,
    GuidanceMethod,
    Language,
    NoiseKind,
    Numerics,
    Prediction,
    Preprocessor,
    Sampler,
    Schedule,
    Syntax,
    Upscaler,
)
from sfumato.requests import Control, Lora, Pictured
from sfumato.results import Progress, Result


class Watching(TypedDict, total=False):
    """Who is told of the progress of a request, see `Studio.run`."""

    on_step: Callable[[Progress], None]
    on_batch: Callable[[Result], None]


class PaintingOptions(Watching, total=False):
    """Options of requests of `sfumato.requests.Painting`."""

    negative: str
    model: str
    vae: str | None
    prediction: Prediction | None
    text_encoders: Sequence[str]
    seed: int | None
    subseed: int | None
    subseed_strength: float
    count: int
    batch: int | None
    steps: int | None
    sampler: Sampler | None
    schedule: Schedule | None
    guidance: float | None
    guidance_rescale: float
    guidance_method: GuidanceMethod
    guidance_low: float
    guidance_high: float
    dynamic_threshold: float
    pag: float
    seg: float
    slg: float
    freeu: float
    deep_cache: int
    fast: bool
    budget: str | None
    ram: str | None
    eta: float | None
    ensd: int
    noise_multiplier: float
    numerics: Numerics
    width: int | None
    height: int | None
    tileable: Literal["x", "y", "both"] | None
    tile: int | None
    tile_overlap: int
    prompt_syntax: Syntax
    as_written: bool
    clip_skip: int
    original_size: tuple[int, int] | None
    target_size: tuple[int, int] | None
    crop: tuple[int, int] | None
    aesthetic: float | None
    negative_aesthetic: float | None
    loras: Sequence[str | Lora]
    embeddings: Sequence[str]
    controls: Sequence[str | Control]
    preprocess: Preprocessor
    guess: bool
    like: "Pictured | None"
    like_strength: float
    like_model: str | None
    image_encoder: str | None
    refiner: str | None
    switch: float
    size: str | tuple[int, int]


class EditOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Edit`."""

    strength: float


class MaskedOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Masked`."""

    blur: int
    grow: int
    invert: bool
    fill: Literal["original", "noise", "blur", "zeros"]
    only_masked: bool
    padding: int


class ProcessingOptions(Watching, total=False):
    """Options of requests of `sfumato.requests.Processing`."""

    model: str
    seed: int


class RecognisingOptions(Watching, total=False):
    """Options of requests of `sfumato.requests.Recognising`."""


class Txt2ImgOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Txt2Img`."""

    regions: Sequence[str]
    hires: float
    hires_strength: float | None
    hires_steps: int | None
    hires_upscaler: Upscaler | None
    upscale: int
    upscaler: str | None


class Img2ImgOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Img2Img`."""


class InpaintOptions(MaskedOptions, total=False):
    """Options of requests of `sfumato.requests.Inpaint`."""

    mask: "Pictured | None"
    box: tuple[int, int, int, int] | None
    where: str | None


class OutpaintOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Outpaint`."""

    left: int
    right: int
    top: int
    bottom: int
    overlap: int


class ReplaceOptions(MaskedOptions, total=False):
    """Options of requests of `sfumato.requests.Replace`."""

    description: str


class TextEditOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.TextEdit`."""

    image_guidance: float | None
    before: str
    everywhere: bool


class Depth2ImgOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Depth2Img`."""

    depth: "Pictured | None"


class BetweenOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Between`."""

    to_seed: int | None
    to_guidance: float | None
    share: float


class FollowOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Follow`."""

    to: str | None
    share: float
    zoom: float
    angle: float
    translation_x: float
    translation_y: float


class DenoiseOptions(ProcessingOptions, total=False):
    """Options of requests of `sfumato.requests.Denoise`."""

    sigma: float | None
    noise: NoiseKind | None
    method: DenoiseMethod
    clean: "Pictured | None"
    add_noise: str | None


class UpscaleOptions(ProcessingOptions, total=False):
    """Options of requests of `sfumato.requests.Upscale`."""

    scale: int | None
    method: str
    clean: "Pictured | None"
    refine: str | None
    strength: float
    tile: int | None
    steps: int | None
    guidance: float | None
    noise_level: int


class DetailOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Detail`."""

    box: Sequence[str | tuple[int, int, int, int]]
    confidence: float
    largest: int
    grow: int
    blur: int
    padding: int


class EnhanceOptions(ProcessingOptions, total=False):
    """Options of requests of `sfumato.requests.Enhance`."""

    jpeg: bool
    deblur: float | Literal["auto"] | None
    sigma: float | None
    prior: DeblurPrior
    white_balance: bool
    light: float
    contrast: float | Literal["auto"] | None
    sharpen: float
    clean: "Pictured | None"


class SpriteOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Sprite`."""

    background: str
    palette: int | None
    palette_file: "Pictured | None"
    outline: int
    outline_colour: str
    untrimmed: bool


class ColorizeOptions(EditOptions, total=False):
    """Options of requests of `sfumato.requests.Colorize`."""


class SceneOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Scene`."""


class PortraitOptions(PaintingOptions, total=False):
    """Options of requests of `sfumato.requests.Portrait`."""

    prompt: str
    traits: Sequence[str]
    character: str | None
    kind: str


class MatchOptions(ProcessingOptions, total=False):
    """Options of requests of `sfumato.requests.Match`."""

    like: Pictured
    strength: float
    colours_only: bool


class ClassifyOptions(RecognisingOptions, total=False):
    """Options of requests of `sfumato.requests.Classify`."""

    labels: Sequence[str]
    top: int
    label_template: str | None
    model: str
    draws: int
    risk: float
    threshold: float
    seed: int


class RecogniseOptions(RecognisingOptions, total=False):
    """Options of requests of `sfumato.requests.Recognise`."""

    language: Language


class Shorthand(Asking):
    """All tasks as methods."""

    def txt2img(self, prompt: str, **options: Unpack[Txt2ImgOptions]) -> Result:
        """Paint pictures from a text and print the paths of their files."""
        return self._ask("txt2img", prompt=prompt, **options)

    def img2img(self, image: Pictured, prompt: str, **options: Unpack[Img2ImgOptions]) -> Result:
        """Paint a picture anew from another and a text: noise is added, as much as strength says, and taken away."""
        return self._ask("img2img", image=image, prompt=prompt, **options)

    def inpaint(self, image: Pictured, prompt: str, **options: Unpack[InpaintOptions]) -> Result:
        """Paint inside of a mask; every pixel outside of it stays."""
        return self._ask("inpaint", image=image, prompt=prompt, **options)

    def outpaint(self, image: Pictured, prompt: str, **options: Unpack[OutpaintOptions]) -> Result:
        """Paint on beyond the edges of a picture; what is larger than the model paints at once is painted in rounds."""
        return self._ask("outpaint", image=image, prompt=prompt, **options)

    def replace(self, image: Pictured, old: str, prompt: str, **options: Unpack[ReplaceOptions]) -> Result:
        """Paint something else in the place of a thing that a picture shows: replace IMAGE hat crown."""
        return self._ask("replace", image=image, old=old, prompt=prompt, **options)

    def edit(self, image: Pictured, prompt: str, **options: Unpack[TextEditOptions]) -> Result:
        """Change a picture in words: an instruction for InstructPix2Pix, for any other model what it is to show."""
        return self._ask("edit", image=image, prompt=prompt, **options)

    def depth2img(self, image: Pictured, prompt: str, **options: Unpack[Depth2ImgOptions]) -> Result:
        """Paint a picture anew in the shapes of its depth map, with a checkpoint of Stable Diffusion 2 depth."""
        return self._ask("depth2img", image=image, prompt=prompt, **options)

    def between(self, prompt: str, to: str, **options: Unpack[BetweenOptions]) -> Result:
        """Paint the picture that lies between two prompts and two seeds, as the frames of an animation do."""
        return self._ask("between", prompt=prompt, to=to, **options)

    def follow(self, image: Pictured, prompt: str, **options: Unpack[FollowOptions]) -> Result:
        """Paint the frame that follows from another: that one as a camera that moves sees it, painted anew."""
        return self._ask("follow", image=image, prompt=prompt, **options)

    def denoise(self, image: Pictured, **options: Unpack[DenoiseOptions]) -> Result:
        """Take the noise out of a picture, and say how much there was and how well that went."""
        return self._ask("denoise", image=image, **options)

    def upscale(self, image: Pictured, **options: Unpack[UpscaleOptions]) -> Result:
        """Enlarge a picture, and say how well what is shown agrees with what was there."""
        return self._ask("upscale", image=image, **options)

    def detail(self, image: Pictured, prompt: str, **options: Unpack[DetailOptions]) -> Result:
        """Paint the faces of a picture anew, each enlarged, and lay them back; or what is in boxes."""
        return self._ask("detail", image=image, prompt=prompt, **options)

    def enhance(self, image: Pictured, **options: Unpack[EnhanceOptions]) -> Result:
        """Mend and better a photograph: blur, blocks of JPEG, the light's colour, contrast, sharpness."""
        return self._ask("enhance", image=image, **options)

    def sprite(self, prompt: str, **options: Unpack[SpriteOptions]) -> Result:
        """Paint one subject without its background, as a game needs it: transparent around, trimmed."""
        return self._ask("sprite", prompt=prompt, **options)

    def colorize(self, image: Pictured, prompt: str, **options: Unpack[ColorizeOptions]) -> Result:
        """Give a grey picture colours; its luminance stays as it is."""
        return self._ask("colorize", image=image, prompt=prompt, **options)

    def scene(self, prompt: str, **options: Unpack[SceneOptions]) -> Result:
        """Paint a wide background, by tiles of the model's size that are one picture at every step."""
        return self._ask("scene", prompt=prompt, **options)

    def portrait(self, **options: Unpack[PortraitOptions]) -> Result:
        """Paint a portrait of attributes that the model knows, or of a character who stays the same."""
        return self._ask("portrait", **options)

    def match(self, image: Pictured, **options: Unpack[MatchOptions]) -> Result:
        """Give a picture the colours of another."""
        return self._ask("match", image=image, **options)

    def classify(self, images: Sequence[Pictured], **options: Unpack[ClassifyOptions]) -> Result:
        """Say which of some labels pictures show, by how well a diffusion model explains them under each."""
        return self._ask("classify", images=images, **options)

    def recognise(self, images: Sequence[Pictured], **options: Unpack[RecogniseOptions]) -> Result:
        """Say what pictures of nano's domain show, each attribute with its confidence, and the prompt that says it."""
        return self._ask("recognise", images=images, **options)
