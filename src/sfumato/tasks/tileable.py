"""Pictures without an edge: network and autoencoder of a request of their own, which see the picture as repeated."""

from dataclasses import replace
from typing import cast

from torch import nn

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.models.circular import make_circular
from sfumato.models.unet import UNet
from sfumato.nn.sharing import sharing
from sfumato.requests import Painting


def with_tileable(applied: Applied, request: Painting) -> Applied:
    """The model as the request's `tileable` wants it; the one that is given stays as it is.

    Raises:
        RequestError: the model's network knows places, so that it sees edges whatever is padded.
    """
    if request.tileable is None:
        return applied
    if not isinstance(applied.model.network, UNet):
        raise RequestError(
            f"tileable is {request.tileable}, and {applied.model.name} has no U-Net: its network tells each place "
            "where it is; leave it out"
        )
    model = applied.model.sharing("unet", "vae")
    refiner = None if applied.refiner is None else applied.refiner.sharing("unet")
    networks = [model.network, cast("nn.Module", model.autoencoder), *([refiner.network] if refiner else [])]
    for network in networks:
        make_circular(network, request.tileable)
    controls = [sharing(control) for control in applied.controls]
    for control in controls:
        make_circular(control, request.tileable)
    return replace(applied, model=model, controls=controls, refiner=refiner)
