"""The guidance that a request asks for, around a denoiser."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import nn

from sfumato.diffusion.combining import Combine, linear, projected, thresholded
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoise, Denoiser
from sfumato.diffusion.guidance import Scale, classifier_free, composed, renoised
from sfumato.errors import RequestError
from sfumato.models.unet import UNet
from sfumato.models.unet_hooks import freeu, identity_attention, inside
from sfumato.requests import Painting
from sfumato.tasks.plan import Plan


def guided(
    denoiser: Denoiser,
    network: nn.Module,
    plan: Plan,
    request: Painting,
    parts: Sequence[tuple[Conditioning, float]],
    negative: Conditioning,
) -> Denoise:
    """The guided denoiser of an exact request.

    Args:
        denoiser: of the network, with the labels of the plan.
        network: which freeu and pag change for the time of a call: it is this request's alone.
        parts: conditions with their weights; several are those of a prompt with AND.

    Raises:
        RequestError: guidance of another kind with AND, or changes to a network that is no U-Net.
    """
    hooks: list[Callable[[], AbstractContextManager[None]]] = []
    if request.freeu or request.pag:
        if not isinstance(network, UNet):
            raise RequestError("freeu and pag change a U-Net, which this model has none of; leave them out")
        unet = network
        if request.pag and not unet.config.mid_cross:
            raise RequestError("pag changes the attention in the middle of a U-Net, which this model has none of")
        if request.freeu:
            hooks.append(lambda: freeu(unet, request.freeu))
    worse = None
    if request.pag:
        worse = inside(denoiser, *hooks, lambda: identity_attention(unet)), request.pag
    if hooks:
        denoiser = inside(denoiser, *hooks)
    beyond = None
    if plan.picture_guidance != 1 and negative.channels is not None:
        beyond = replace(negative, channels=torch.zeros_like(negative.channels)), plan.picture_guidance
    if len(parts) > 1:
        if beyond is not None:
            raise RequestError("a prompt with AND is not guided by a picture; leave AND out, or give image_guidance 1")
        if (request.guidance_method, request.dynamic_threshold, request.pag) != ("cfg", 1.0, 0.0):
            raise RequestError("a prompt with AND is guided plainly; leave out guidance_method, dynamic_threshold, pag")
        return composed(denoiser, parts, negative, plan.guidance)
    scale: Scale = plan.guidance
    if request.guidance_method == "cfgpp":
        if plan.guidance > 1:
            raise RequestError(f"guidance is {plan.guidance:g}; guidance_method cfgpp takes 0 to 1, for example 0.6")
        eta = plan.sampler.eta if plan.eta is None else plan.eta
        if eta is None:
            eta = 1.0 if plan.sampler.name == "ddpm" else 0.0
        scale = renoised(plan.guidance, plan.sigmas, denoiser.parameterisation.path, eta=eta)
    combine: Combine = projected() if request.guidance_method == "apg" else linear
    if request.dynamic_threshold < 1:
        combine = thresholded(request.dynamic_threshold, combine=combine)
    return classifier_free(
        denoiser,
        parts[0][0],
        negative,
        scale,
        rescale=request.guidance_rescale,
        sigma_range=(request.guidance_low, request.guidance_high),
        combine=combine,
        perturbed=worse,
        beyond=beyond,
    )
