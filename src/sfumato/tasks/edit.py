"""Editing in words: by instruction with a network made for it, else from a description of the picture to another.

InstructPix2Pix (Brooks et al. 2022, arXiv:2211.09800) sees the picture beside the latents, and has two guidance scales:
one away from what it would do with the picture but without the words, one from there away from neither. Any other model
edits by FlowEdit (`carried`): what it would paint otherwise for the second description is done to the picture, and only
where the two descriptions differ in it, see `difference`; ``benchmarks/edit.py`` has the figures.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.constraints import keep_outside
from sfumato.diffusion.denoiser import Denoise
from sfumato.diffusion.editing import carried
from sfumato.diffusion.samplers import SAMPLERS
from sfumato.diffusion.schedules import ContinuousSchedule
from sfumato.errors import RequestError
from sfumato.families import EDITING
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.requests import TextEdit
from sfumato.results import Progress, Result
from sfumato.tasks.inpaint import pasted, to_latents
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import Session, encode_prompts, guided_denoiser, prepare, same, takes_latents_alone
from sfumato.tasks.where import condition, difference, marked

BLUR = 8
"""Pixels over which the part that is changed fades into the picture."""
NOTABLE = 8
"""Levels from which a pixel has changed."""

log = logging.getLogger(__name__)


def edit(applied: Applied, request: TextEdit, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request.

    Raises:
        RequestError: a model made for something else, or options that are for another kind of model; as `open_picture`,
            `resolve` and `prepare`.
    """
    if applied.model.task == EDITING:
        yield from _instructed(applied, request, load)
    else:
        takes_latents_alone(applied.model, "edit")
        yield from _described(applied, request, load)


def _instructed(applied: Applied, request: TextEdit, load: float) -> Iterator[Progress | Result]:
    model = applied.model
    if request.before or request.everywhere:
        raise RequestError(
            f"{model.name} follows instructions, and needs no description; leave --from, --everywhere out"
        )
    strength = 1.0 if request.strength is None else request.strength
    image_guidance = 1.5 if request.image_guidance is None else request.image_guidance
    exact, picture = open_picture(model, request.changed(strength=strength, image_guidance=image_guidance))
    clean = model.encode_pixels(to_tensor(picture.padded))
    session = prepare(
        applied,
        exact,
        picture.padded.size,
        load=load,
        strength=strength,
        channels=clean if isinstance(model.sampling.schedule, ContinuousSchedule) else clean / scaling_factor(model),
        picture_guidance=image_guidance,
    )
    yield from paint(session, Canvas(picture.padded.size, clean, finish=picture.cropped))


def scaling_factor(model: Model) -> float:
    """The factor of the denoiser's latents, without which these networks see the picture.

    CosXL-edit, which is the one of continuous levels, sees it with it.
    """
    own = model.autoencoder
    config = own.config if isinstance(own, AutoencoderKL) else model.family.autoencoder
    assert isinstance(config, AutoencoderKLConfig)
    return config.scaling_factor


def _described(applied: Applied, request: TextEdit, load: float) -> Iterator[Progress | Result]:
    model = applied.model
    strength = 0.9 if request.strength is None else request.strength
    exact, picture = open_picture(model, _exact(model, request).changed(strength=strength))
    size = picture.padded.size
    clean = model.encode_pixels(to_tensor(picture.padded))
    session = prepare(applied, exact, size, load=load, strength=strength)
    plan = session.plan
    described = exact.changed(prompt=exact.before, guidance=1.0)
    before = guided_denoiser(
        model, described, replace(plan, guidance=1.0), encode_prompts(model, described, plan, applied.words)
    )
    before = session.saving(before)
    mask = _where(applied, exact, session, clean, size) if exact.before else Image.new("L", size, 255)
    local = bool(exact.before) and not exact.everywhere
    where = to_latents(mask, model.autoencoder.factor).to(clean)
    hold: Callable[[Denoise], Denoise] = partial(keep_outside, clean=clean, mask=where) if local else same
    settle: Callable[[Tensor], Tensor] = partial(torch.lerp, clean, weight=where) if local else same
    part, whole = mask.crop((0, 0, *picture.image.size)), (0, 0, *picture.image.size)

    def finish(painted: Image.Image) -> Image.Image:
        cut = picture.cropped(painted)
        return pasted(picture.image, part, BLUR, whole, cut) if local else cut

    done = 0
    for seeds in plan.batches():
        noise = plan.noise(seeds, clean.shape[1:], device=model.device)

        def constrain(after: Denoise, noise: Callable[[], Tensor] = noise) -> Denoise:
            return hold(carried(before, after, clean, noise, plan.path))

        own = replace(session, plan=replace(plan, seeds=seeds, batch=len(seeds)))
        for event in paint(own, Canvas(size, clean, constrain, settle, finish, still=True), done):
            yield _measured(event, picture.image, part) if isinstance(event, Result) else event
        done += len(seeds)


def _exact(model: Model, request: TextEdit) -> TextEdit:
    """The request with what such models need.

    Raises:
        RequestError: it asks for what they do not take.
    """
    if request.image_guidance is not None:
        raise RequestError(f"{model.name} is not guided by the picture; leave image_guidance out")
    for name in ("tile", "controls", "like", "refiner"):
        if getattr(request, name):
            raise RequestError(f"{model.name} edits from one description to another, without {name}; leave it out")
    sampler = next(row for row in SAMPLERS if row.name == (request.sampler or "euler"))
    if sampler.stochastic or request.eta:
        raise RequestError(
            f"sampler {sampler.name} adds noise of its own, which edits a picture away; take euler or heun"
        )
    if request.before.strip() == request.prompt.strip():
        raise RequestError(
            "PROMPT and --from say the same; say with --from what the picture shows, and then what it is to"
        )
    if not request.before.strip():
        log.warning(
            "%s takes no instructions: PROMPT is read as a description of the whole picture; say with --from what it "
            "shows now, and what both have in common stays",
            model.name,
        )
    return request.changed(sampler=sampler.name, before=request.before.strip())


def _where(applied: Applied, request: TextEdit, session: Session, clean: Tensor, size: tuple[int, int]) -> Image.Image:
    """A mask of where the two descriptions differ in the picture, as coarse as the latents: a new shape needs room."""
    conds = [condition(applied, request, session.plan, text) for text in (request.prompt, request.before)]
    found = difference(session.plan.labelled(applied.model.denoiser()), session.plan, clean, conds)
    return marked(found.change, applied.model.autoencoder.factor, size)


def _measured(result: Result, before: Image.Image, mask: Image.Image) -> Result:
    """With the share of pixels that changed, and by how many levels those did where the descriptions do not differ."""
    there = np.asarray(mask) > 0
    changes = [np.abs(np.asarray(each, int) - np.asarray(before, int)).max(-1) for each in result]
    measures = {"changed": [float((change >= NOTABLE).mean()) for change in changes]}
    if not there.all():
        measures["elsewhere"] = [float(change[~there].mean()) for change in changes]
    return replace(result, measures=measures)
