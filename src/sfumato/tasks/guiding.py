"""The guidance that a request asks for, around a denoiser."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from sfumato.diffusion.combining import Combine, linear, projected, tangential, thresholded, zero_star
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoise, Denoiser
from sfumato.diffusion.guidance import Perturbed, Scale, classifier_free, composed, renoised
from sfumato.errors import RequestError
from sfumato.models.hooks import SKIPPED, freeu, identity_attention, inside, mean_attention, skipped_layers
from sfumato.models.mmdit import MMDiT
from sfumato.models.unet import UNet
from sfumato.requests import Painting
from sfumato.tasks.plan import Plan

Context = Callable[[], AbstractContextManager[None]]
METHODS: dict[str, tuple[Combine, bool]] = {
    "apg": (projected(), False),
    "cfg_zero": (zero_star, True),
    "tcfg": (tangential, True),
}
"""How those combine that do not do it on a line, and whether they are published of what the network gives, not of D."""
SKIPPED_BETWEEN = 0.01, 0.2
"""Shares of the steps, in between which layers are skipped, as published for Stable Diffusion 3.5 Medium."""


def changes_inside(request: Painting) -> bool:
    """Whether the request's guidance changes the network for the time of a call."""
    return bool(request.freeu or request.pag or request.seg or request.slg)


def guided(
    denoiser: Denoiser,
    network: nn.Module,
    plan: Plan,
    request: Painting,
    parts: Sequence[tuple[Conditioning, float]],
    negative: Conditioning,
    empty: Conditioning | None = None,
) -> Denoise:
    """The guided denoiser of an exact request.

    Args:
        denoiser: of the network, with the labels of the plan.
        network: where the request `changes_inside`, this request's alone.
        parts: conditions with their weights; several are those of a prompt with AND.
        empty: the condition of no words, for perp_neg.

    Raises:
        RequestError: guidance of another kind with AND, or changes to a network that is no U-Net.
    """
    perturbed = _perturbed(denoiser, network, plan, request)
    if request.freeu:
        denoiser = inside(denoiser, partial(freeu, _unet(network, "freeu"), request.freeu))
    beyond = None
    if plan.picture_guidance != 1 and negative.channels is not None:
        beyond = replace(negative, channels=torch.zeros_like(negative.channels)), plan.picture_guidance
        if empty is not None:
            raise RequestError("perp_neg guides by words alone; give image_guidance 1, or take another guidance_method")
    if len(parts) > 1:
        if beyond is not None:
            raise RequestError("a prompt with AND is not guided by a picture; leave AND out, or give image_guidance 1")
        if (request.guidance_method, request.dynamic_threshold) != ("cfg", 1.0) or perturbed:
            raise RequestError(
                "a prompt with AND is guided plainly; leave out guidance_method, dynamic_threshold, pag, seg and slg"
            )
        return composed(denoiser, parts, negative, plan.guidance)
    scale: Scale = plan.guidance
    if request.guidance_method == "cfgpp":
        if plan.guidance > 1:
            raise RequestError(f"guidance is {plan.guidance:g}; guidance_method cfgpp takes 0 to 1, for example 0.6")
        eta = plan.sampler.eta if plan.eta is None else plan.eta
        if eta is None:
            eta = 1.0 if plan.sampler.name == "ddpm" else 0.0
        scale = renoised(plan.guidance, plan.sigmas, denoiser.parameterisation.path, eta=eta)
    combine, of_output = METHODS.get(request.guidance_method, (linear, False))
    if request.dynamic_threshold < 1:
        if of_output:
            raise RequestError(f"dynamic_threshold does not go with guidance_method {request.guidance_method}")
        combine = thresholded(request.dynamic_threshold, combine=combine)
    return classifier_free(
        denoiser,
        parts[0][0],
        negative,
        scale,
        rescale=request.guidance_rescale,
        sigma_range=(request.guidance_low, request.guidance_high),
        combine=combine,
        of_output=of_output,
        perturbed=perturbed,
        beyond=beyond,
        empty=empty,
    )


def _perturbed(denoiser: Denoiser, network: nn.Module, plan: Plan, request: Painting) -> list[Perturbed]:
    """What the request moves away from besides, with FreeU where that is asked for."""
    where = request.guidance_low, request.guidance_high
    found: list[tuple[Context, float, tuple[float, float]]] = []
    if request.pag:
        found.append((partial(identity_attention, _unet(network, "pag")), request.pag, where))
    if request.seg:
        found.append((partial(mean_attention, _unet(network, "seg")), request.seg, where))
    if request.slg:
        found.append((partial(skipped_layers, _mmdit(network)), request.slg, _skipping(plan)))
    freed = [partial(freeu, _unet(network, "freeu"), request.freeu)] if request.freeu else []
    return [Perturbed(inside(denoiser, *freed, context), strength, span) for context, strength, span in found]


def _skipping(plan: Plan) -> tuple[float, float]:
    """The levels of the steps in between those shares."""
    first, last = (share * (len(plan.sigmas) - 1) for share in SKIPPED_BETWEEN)
    return float(plan.sigmas[math.ceil(last)]), float(plan.sigmas[math.floor(first) + 1])


def _unet(network: nn.Module, option: str) -> UNet:
    if not isinstance(network, UNet):
        raise RequestError(f"{option} changes a U-Net, which this model has none of; leave it out")
    if option != "freeu" and not network.config.mid_cross:
        raise RequestError(f"{option} changes the attention in the middle of a U-Net, which this model has none of")
    return network


def _mmdit(network: nn.Module) -> MMDiT:
    if not isinstance(network, MMDiT) or len(network.transformer_blocks) <= max(SKIPPED):
        raise RequestError(
            f"slg skips layers {', '.join(map(str, SKIPPED))} of a diffusion transformer, as of Stable Diffusion 3.5 "
            "Medium, which this model has none of; leave it out"
        )
    return network
