"""What painting needs, made of a model and an exact request: the plan, the guided denoiser, what is written down.

resolve(model, request)                     what is left open is filled in
prepare(applied, request, size)             -> Session
    plan(...).part(strength)                    before prompts, whose schedules count its steps
    encode_prompts(model, request, plan)        -> Prompts: conditions over the steps
    guided_denoiser(model, plan, prompts)       -> D(x, sigma) of the request
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import TypeVar

import torch
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.adapters.students import brings_words
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoise, Denoiser
from sfumato.diffusion.guidance import in_turn
from sfumato.diffusion.saved import UNSAVED, Saved
from sfumato.diffusion.schedules import ContinuousSchedule
from sfumato.diffusion.tiles import borders, tiled
from sfumato.errors import RequestError
from sfumato.families import DEPTH, EDITING, ENLARGING, INPAINTING
from sfumato.metadata.provenance import Provenance
from sfumato.model import Model
from sfumato.models.deep_cache import sharing_deep
from sfumato.models.unet import UNet
from sfumato.prompts import parse, timeline
from sfumato.prompts.encode import encode
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import Lexicon, lexicon_of
from sfumato.prompts.reading import Reading, literal
from sfumato.prompts.timeline import Track
from sfumato.prompts.windows import CALLED
from sfumato.requests import Painting, Txt2Img, draw_seed
from sfumato.runtime.devices import rounding
from sfumato.tasks import micro_conditioning
from sfumato.tasks.controls import WHOLE, Region, attached, controlled, marked
from sfumato.tasks.guiding import changes_inside, guided
from sfumato.tasks.like import looking, reading, shown
from sfumato.tasks.memory import let_go, texts_of
from sfumato.tasks.micro_conditioning import filled, micro_conditioned
from sfumato.tasks.plan import Plan, plan
from sfumato.tasks.regions import with_regions

Asked = TypeVar("Asked", bound=Painting)
Anything = TypeVar("Anything")


def same(value: Anything) -> Anything:
    """Changes nothing."""
    return value


class Clock:
    """Seconds by name, summed."""

    def __init__(self, device: torch.device, load: float = 0.0) -> None:
        self.device = device
        self.laps: dict[str, float] = {"load": load}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """All time since the last lap belongs to `name`."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._since
        self._since = now

    def skip(self) -> None:
        """What was done since the last lap is not ours."""
        self._since = time.perf_counter()


@dataclass(frozen=True)
class Prompts:
    """Conditions over the steps: of each part of the prompt, for perp_neg of no words, and last of the negative.

    Attributes:
        tracks: which of a part's conditions holds at which step.
        conditions: of each track, a row each.
        captions: what was encoded in the place of what is written, by the model's lexicon.
    """

    tracks: Sequence[Track]
    conditions: Sequence[Sequence[Conditioning]]
    captions: Sequence[str] = ()


@dataclass(frozen=True)
class Session:
    """A request that is ready to be painted."""

    model: Model
    request: Painting
    plan: Plan
    denoise: Denoise
    provenance: Provenance
    clock: Clock
    saved: Saved = UNSAVED
    borders: tuple[Sequence[int], Sequence[int]] = ((), ())
    """Columns and rows of pixels where tiles begin or end."""

    def saving(self, denoise: Denoise) -> Denoise:
        """A denoiser of this request, whose answers are saved where they are to be."""
        if self.saved is UNSAVED:
            return denoise
        said = (version("sfumato"), rounding(self.model.device), self.provenance, self.request.to_json())
        levels = self.plan.sigmas[:-1].tolist()
        return self.saved.around(denoise, " ".join(map(str, said)), levels, self.request.deep_cache)


def resolve(model: Model, request: Asked, size: tuple[int, int] | None = None) -> Asked:
    """The exact request: what is left open is filled in from the model.

    Args:
        size: what width and height are when left open; the model's own by default.

    Raises:
        RequestError: a size that the model cannot paint, or a clip skip beyond its encoder.
    """
    width, height = model.size if size is None else size
    values = {
        "seed": draw_seed() if request.seed is None else request.seed,
        "batch": 1 if request.batch is None else request.batch,
        "steps": model.family.steps if request.steps is None else request.steps,
        **(_faster(model, request) if request.fast else {}),
        "sampler": model.sampling.sampler if request.sampler is None else request.sampler,
        "guidance": model.family.guidance if request.guidance is None else request.guidance,
        "width": width if request.width is None else request.width,
        "height": height if request.height is None else request.height,
        "controls": [each.model_copy(update={"image": each.image.known()}) for each in request.controls],
    }
    if request.like is not None:
        values["like"] = request.like.known()
    if request.subseed_strength and request.subseed is None:
        values["subseed"] = draw_seed()
    exact = request.changed(**values)
    exact = exact.changed(**filled(model, exact))
    for name, pixels in zip(("width", "height"), exact.settled.size, strict=True):
        grain = model.grain
        if size is None and pixels % grain:
            near = max(grain, round(pixels / grain) * grain)
            raise RequestError(f"{name} is {pixels}; {model.name} paints multiples of {grain}, for example {near}")
        at_once = min(pixels, request.tile or pixels)
        if model.largest is not None and at_once > model.largest:
            raise RequestError(f"{name} is {pixels}; {model.name} paints up to {model.largest} at once; use --tile")
    if exact.tile is not None and exact.tile % model.grain:
        raise RequestError(f"tile is {exact.tile}; {model.name} paints multiples of {model.grain}")
    depth = min(part.depth for part in model.texts.values())
    if exact.clip_skip > depth:
        raise RequestError(f"clip_skip is {exact.clip_skip}; the text encoder of {model.name} has {depth} layers")
    return exact


FEW = 8
"""Steps up to which a model is fast by itself."""
SPARED = 2 / 3
"""The share of a model's own steps that `fast` leaves."""


def _faster(model: Model, request: Painting) -> dict[str, object]:
    """What `fast` fills in. Networks that are no U-Nets, and what looks into one, have no deep features to keep."""
    if model.family.steps <= FEW:
        return {}
    steps = round(SPARED * model.family.steps) if request.steps is None else request.steps
    deep = max(request.deep_cache, 2) if keeps_deep(model, request) else request.deep_cache
    return {"steps": steps, "deep_cache": deep}


def keeps_deep(model: Model, request: Painting) -> bool:
    """Whether a request may have a `deep_cache`: of a U-Net, which it does not change inside, nor calls on parts."""
    return isinstance(model.network, UNet) and not _looks_inside(request)


def _looks_inside(request: Painting) -> bool:
    """Whether the request changes a network inside, or calls it on parts of the picture."""
    parts = isinstance(request, Txt2Img) and request.regions
    return changes_inside(request) or bool(request.controls or request.like or request.tile or request.refiner or parts)


def cached(denoiser: Denoiser, model: Model, request: Painting, plan: Plan) -> Denoiser:
    """The denoiser, whose network runs whole in every `deep_cache` steps.

    Raises:
        RequestError: the network is no U-Net, or is looked into or tiled besides.
    """
    if request.deep_cache == 1:
        return denoiser
    if not isinstance(model.network, UNet):
        raise RequestError(f"deep_cache is {request.deep_cache}, and {model.name} is no U-Net; leave it out")
    if _looks_inside(request):
        raise RequestError(
            f"deep_cache is {request.deep_cache}, which does not go with freeu, pag, seg, slg, control, like, tile, "
            "refiner or regions; leave one of them out"
        )
    labels = [float(denoiser.schedule.label(sigma)) for sigma in plan.sigmas[:-1]]
    return replace(denoiser, network=sharing_deep(model.network, request.deep_cache, labels))


MADE_FOR = {INPAINTING: "inpaint", EDITING: "edit", DEPTH: "depth2img", ENLARGING: "upscale"}
"""The task of what a network's extra channels are for."""


def takes_latents_alone(model: Model, task: str) -> None:
    """Raises RequestError for a network that wants more channels, as those made for inpainting do."""
    if model.task is not None:
        own = f"; it has a task of its own, {MADE_FOR[model.task]}" if model.task in MADE_FOR else ""
        raise RequestError(
            f"{model.name} is made for {model.task}; {task} needs a model that takes a prompt alone{own}"
        )


def prepare(
    applied: Applied,
    request: Painting,
    size: tuple[int, int],
    *,
    load: float = 0.0,
    strength: float = 1.0,
    channels: Tensor | None = None,
    picture_guidance: float = 1.0,
    wrap: Callable[[Denoiser], Denoiser] = same,
    region: Region = WHOLE,
    said: Callable[[Plan], Prompts] | None = None,
) -> Session:
    """A session of an exact request.

    Args:
        applied: the model, with the adapters that the request asks for.
        size: width and height in pixels.
        load: seconds that loading took.
        strength: 0 to 1, the share of the descent that is run.
        channels: (1, c, h, w), what the network takes beside the latents.
        picture_guidance: how closely these are followed, see `Plan`.
        wrap: of the unguided denoiser, which knows sigma: tiles.
        region: which part of the request's picture is painted, and of what its controls see.
        said: the conditions, where they are not those of the request's prompt alone.

    Raises:
        RequestError: a prompt that cannot be read; steps, schedule or guidance that do not go together.
    """
    model = applied.model
    clock = Clock(model.device, load)
    if changes_inside(request):
        model = model.sharing(next(iter(model.components)))
    at_once = size if request.tile is None else (min(size[0], request.tile), min(size[1], request.tile))
    how = plan(model.sampling_of(*at_once), request).part(strength)
    how = replace(how, picture_guidance=picture_guidance)
    prompts = encode_prompts(model, request, how, applied.words) if said is None else said(how)
    reference = None
    if request.like is not None and applied.like is not None:
        model = reading(model, applied.like[0], request.like_strength)
        prompts = replace(prompts, conditions=shown(model, *applied.like, request.like, prompts.conditions))
    elif request.like is not None and request.like_strength:
        model, reference = looking(model, request.like, request.like_strength, at_once)
        prompts = replace(prompts, conditions=marked(prompts.conditions))
    if channels is not None:
        prompts = replace(
            prompts,
            conditions=[[replace(cond, channels=channels) for cond in conds] for conds in prompts.conditions],
        )
    units = attached(applied, request, how, size, region)
    if any(unit.cond_only for unit in units):
        prompts = replace(prompts, conditions=marked(prompts.conditions))

    def held(plain: Denoiser) -> Denoiser:
        with_controls = controlled(plain, model.network, units)
        return wrap(with_controls if reference is None else reference.shown_to(plain, with_controls))

    denoise = guided_denoiser(model, request, how, prompts, held)
    crossed: tuple[Sequence[int], Sequence[int]] = ((), ())
    if request.tile is not None and at_once != size:
        if channels is not None or wrap is not same or units:
            raise RequestError(
                f"tile is {request.tile}, and inpainting networks and controls take in all at once; leave it out"
            )
        factor = model.autoencoder.factor
        sides = at_once[1] // factor, at_once[0] // factor
        step = model.grain // factor
        overlap = min(request.tile_overlap // factor, min(sides) - step)
        denoise = tiled(denoise, sides, overlap, step=step)
        edges = [
            [factor * place for place in borders(whole // factor, side, overlap, step=step)]
            for whole, side in zip(size, reversed(sides), strict=True)
        ]
        crossed = edges[0], edges[1]
    captions = list(prompts.captions)
    if isinstance(request, Txt2Img) and request.regions:

        def of_region(part: Txt2Img) -> Denoise:
            own = encode_prompts(model, part, how, applied.words)
            captions.extend(own.captions)
            return guided_denoiser(model, part, how, own, held)

        denoise = with_regions(model, request, size, denoise, of_region)
    if applied.refiner is not None:
        if channels is not None:
            raise RequestError(
                f"{model.name} is made for {model.task}, and a refiner ends other paintings; leave it out"
            )
        denoise = refined(applied.refiner, request, how, at_once, denoise)
    provenance = Provenance(
        model.hash,
        model.precision,
        model.device.type,
        torch.__version__.partition("+")[0],
        applied.lora_hashes,
        applied.embedding_hashes,
        model.vae_hash,
        applied.control_hashes,
        "" if applied.refiner is None else applied.refiner.hash,
        model.engine,
        " | ".join(dict.fromkeys(captions)),
    )
    let_go(model, texts_of(model))
    clock.lap("encode")
    return Session(model, request, how, denoise, provenance, clock, applied.saved, crossed)


def refined(model: Model, request: Painting, first: Plan, size: tuple[int, int], denoise: Denoise) -> Denoise:
    """The denoiser, in whose place that of another model stands at low noise: from where the share `request.switch` of
    the time labels is over.

    Raises:
        RequestError: the models do not paint in the same latents, or have no labels of the same kind.
    """
    alone = {"refiner": None, "controls": (), "like": None, "like_model": None}
    own = request.changed(**micro_conditioning.refined(model, request), **alone)
    if changes_inside(own):
        model = model.sharing(next(iter(model.components)))
    how = plan(model.sampling_of(*size), own)
    if how.path is not first.path or isinstance(first.schedule, ContinuousSchedule):
        raise RequestError(f"{model.name} has other noise levels than the model that it is to refine; give another")
    how = replace(first, schedule=how.schedule)
    finer = guided_denoiser(model, own, how, encode_prompts(model, own, how))
    labels = first.schedule.label(first.sigmas)
    # As diffusers and A1111 count: by the label, whole where there is a table.
    late = (labels.round(decimals=3) < round(first.schedule.num_timesteps * (1 - request.switch))).tolist()
    levels = [sigma for sigma, is_late in zip(first.sigmas.tolist(), late, strict=True) if is_late]
    return in_turn(denoise, finer, levels[0] if levels else 0.0)


def encode_prompts(
    model: Model, request: Painting, plan: Plan, words: Mapping[str, Sequence[int]] | None = None
) -> Prompts:
    """The conditions of a request's prompts, each text encoded once.

    Args:
        words: names of embeddings, as the text encoder's rows.

    Raises:
        RequestError: a prompt that cannot be read.
    """
    prompt = parse(request.prompt, request.prompt_syntax)
    against = parse(request.negative, request.prompt_syntax, negative=True)
    steps = max(plan.steps, 1)
    captions: list[str] = []
    late = request.numerics == "a1111"
    parts = timeline(prompt, steps, late=late)
    if not (request.as_written or brings_words(request.loras) or prompt.networks):
        parts, captions = interpreted(parts, lexicon_of(model.path), words or {}, request.negative)
    if request.guidance_method == "perp_neg":
        if request.like is not None or request.guess:
            raise RequestError("perp_neg guides by words alone; leave out like and guess, or take another method")
        parts = (*parts, *timeline(parse("", request.prompt_syntax), steps, late=late))
    tracks = (*parts, *timeline(against, steps, late=late))  # the last is the negative
    encoded = iter(
        encode(
            [reading for track in tracks for reading in track.readings],
            list(model.texts.values()),
            clip_skip=request.clip_skip,
            emphasis=prompt.emphasis,
            embeddings=words,
            join=model.join,
        )
    )
    conditions = [
        [micro_conditioned(model, request, next(encoded), negative=track is tracks[-1]) for _ in track.readings]
        for track in tracks
    ]
    return Prompts(tracks, conditions, captions)


def interpreted(
    tracks: Sequence[Track], lexicon: Lexicon | None, taught: Collection[str], against: str
) -> tuple[tuple[Track, ...], list[str]]:
    """The tracks, each plain text in them as the lexicon puts it, and what it put. Texts with weights, with words of
    embeddings or with ``embedding:NAME`` stay as they are. What `against`, the negative prompt, names is not added.
    """
    captions: list[str] = []

    def read(reading: Reading) -> Reading:
        text = reading.plain
        if lexicon is None or text is None or CALLED.search(text) or any(word in text for word in taught):
            return reading
        caption = interpret(text, lexicon, against).caption
        if caption is None:
            return reading
        captions.append(caption)
        return literal(caption)

    return tuple(replace(track, readings=tuple(map(read, track.readings))) for track in tracks), captions


def guided_denoiser(
    model: Model, request: Painting, plan: Plan, prompts: Prompts, wrap: Callable[[Denoiser], Denoiser] = same
) -> Denoise:
    """The guided denoiser of a request.

    What is said may change with the step (`[cat:dog:0.5]`): it is looked up by sigma, so that the denoiser carries no
    state and serves any sampler and any batch.
    """
    # A network with distilled guidance takes its scale in, and has no use for it outside.
    outside = replace(plan, guidance=1.0) if model.guidance_embedding else plan
    levels = plan.sigmas[1:].tolist()
    last = max(min(len(levels), plan.steps) - 1, 0)
    denoiser = wrap(cached(plan.labelled(model.denoiser()), model, request, plan))
    tracks, conditions = prompts.tracks, prompts.conditions

    @cache
    def at(*now: int) -> Denoise:
        *parts, (negative, _) = [(conditions[k][i], tracks[k].weight) for k, i in enumerate(now)]
        empty = parts.pop()[0] if request.guidance_method == "perp_neg" else None
        return guided(denoiser, model.network, outside, request, parts, negative, empty)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        step = min(sum(level >= float(sigma) for level in levels), last)
        return at(*(track.order[step] for track in tracks))(x, sigma)

    return denoise
