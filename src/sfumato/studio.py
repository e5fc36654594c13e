"""The studio: the only object with a state. It keeps loaded models and runs requests."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import nn

from sfumato.adapters.applied import Applied, apply
from sfumato.adapters.folders import find as find_beside
from sfumato.adapters.requested import NOTHING, File, requested
from sfumato.adapters.students import hurried
from sfumato.asking import Running
from sfumato.checkpoints.autoencoders import load_vae
from sfumato.checkpoints.catalogue import find
from sfumato.checkpoints.companions import lacks_autoencoder
from sfumato.checkpoints.controls import load_control
from sfumato.checkpoints.experts import load_expert
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.ip_adapters import encoder_of, load_ip_adapter, load_picture_encoder
from sfumato.checkpoints.lacking import given, lacking
from sfumato.checkpoints.single import load_single
from sfumato.choices import Engine, Precision, Prediction
from sfumato.diffusion.batching import Call, directly
from sfumato.diffusion.saved import UNSAVED, Saved
from sfumato.errors import RequestError
from sfumato.metadata.provenance import HASH_DIGITS
from sfumato.model import Model, latent_space
from sfumato.models.clip_vision import CLIPVisionEncoder
from sfumato.models.controls import ControlNetwork
from sfumato.models.ip_adapter import IPAdapter
from sfumato.nn.packed import choose_engine, pack
from sfumato.nn.quantised import fault, quantise
from sfumato.requests import Painting, Request
from sfumato.results import Progress, Result
from sfumato.runtime.devices import choose_device
from sfumato.runtime.digests import remembered_sha256
from sfumato.runtime.memory import keep_freed_memory, total_memory
from sfumato.runtime.precision import choose
from sfumato.shorthand import Shorthand
from sfumato.tasks.budget import Timed, within
from sfumato.tasks.experts import expert_for
from sfumato.tasks.memory import fitted, is_short
from sfumato.tasks.table import runner
from sfumato.tasks.tileable import with_tileable
from sfumato.validation import brief

FILTERS = 4
"""One in so many bytes of the machine's memory may hold Winograd's filters: of all, not of what is free just now, so
that a picture does not depend on it."""


@dataclass(frozen=True)
class _Asked:
    """What a loaded model was loaded from."""

    path: Path
    text_encoders: tuple[Path, ...] = ()
    prediction: Prediction | None = None
    vae: Path | None = None
    """The autoencoder of a checkpoint that has none of its own."""
    in_use: bool = False
    """Weights are cast in use, see `nn.stored`."""


class Studio(Running, Shorthand):
    """Carries out requests.

    >>> Studio().txt2img("a red apple, white background", seed=1).images[0]
    <PIL.Image.Image image mode=RGB size=256x256 ...>

    Args:
        model: what its methods paint with unless told otherwise: a name, a folder or a checkpoint file. A request
            names its own.
        device: "auto", "cpu", "cuda", "cuda:1", "mps" ...
        precision: "auto" measures what is fastest on this machine; "int8" computes the large products of denoisers in
            8 bits, where the CPU can.
        engine: "plain" computes from weights as they are; "packed" lays them out for this CPU where that is faster, by
            a race, and is an error where it cannot be done; "auto" packs large models where it can.
        call: how a network is evaluated; `sfumato.diffusion.batching.SharedBatches` lets threads share batches.
        allow_nonfinite: load weights that hold NaN or infinity, which are refused otherwise.

    Models are loaded when first needed; the last one used stays, and so do the adapters it painted with, until others
    are asked for. Threads may share a studio: loading is serialised, and requests are independent of each other, since
    a model that is loaded never changes; adapters are applied to a copy that shares all other tensors.
    """

    def __init__(
        self,
        model: str | Path = "nano",
        *,
        device: str = "auto",
        precision: Precision = "auto",
        allow_nonfinite: bool = False,
        engine: Engine = "auto",
        call: Call = directly,
    ) -> None:
        self.default = str(model)
        self.device = choose_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.choice = choose(self.device, precision)
        if self.choice.int8 and (why := fault(self.choice.dtype)):
            raise RequestError(f"precision int8 cannot be had here: {why}; use bf16, fp32 or auto")
        choose_engine(self.device, self.choice.dtype, engine, weights=0)  # whether it can be had
        self.engine = engine
        self.call = call
        self.allow_nonfinite = allow_nonfinite
        self._loading = threading.RLock()
        self._model: tuple[_Asked, Model] | None = None
        self._vae: tuple[Path, File, Model] | None = None
        self._experts: dict[str, tuple[Model, Model]] = {}
        """The experts of the model that was painted with, each with what it was made of."""
        self._applied: Applied | None = None
        self._controls: tuple[Path, dict[File, ControlNetwork]] | None = None
        """The networks of controls, and the model that they were loaded for."""
        self._like: tuple[tuple[Path, File, Path | None], tuple[IPAdapter, CLIPVisionEncoder]] | None = None
        self._refiner: tuple[Path, Model] | None = None

    def __repr__(self) -> str:
        loaded = "nothing loaded" if self._model is None else f"{self._model[1].name} loaded"
        dtype = str(self.choice.dtype).removeprefix("torch.")
        return f"<sfumato.Studio of {self.default} on {self.device}, {dtype}, {loaded}>"

    def load(
        self,
        model: str | Path | None = None,
        *,
        vae: str | Path | None = None,
        text_encoders: Sequence[str | Path] = (),
        prediction: Prediction | None = None,
        ram: str | None = None,
    ) -> Model:
        """The model by that name or path without adapters, loaded if it is not the one at hand.

        Args:
            vae: the autoencoder of a model that has none; a model's own stays in its place.
            text_encoders: files of those that a model lacks.
            prediction: what the network of a checkpoint file predicts; by default as the file says.
            ram: memory that a painting may take, as requests have it; where that is little, weights stay as they are
                stored and are cast in use. They paint the same.

        Raises:
            UnknownNameError, CheckpointError: see `find`, `load_folder` and `load_single`.
            RequestError: a folder is to predict what its scheduler does not say.
        """
        path = find(self.default if model is None else model)
        if path.is_dir() and prediction:
            raise RequestError(f"{path} is a folder, whose prediction is its own; leave it out, or give a single file")
        in_use = self._in_use(path, ram)
        asked = _Asked(path, tuple(Path(each) for each in text_encoders), prediction, in_use=in_use)
        with self._loading:
            held = None if self._model is None else self._model[0]
            if held != asked:  # which is one with an autoencoder of its own
                asked = replace(asked, vae=_missing(path, vae))
            if self._model is None or held != asked:
                # One at a time: memory is what machines lack.
                self._model = self._vae = self._applied = self._controls = None
                self._experts = {}
                self._model = asked, self._read(asked)
            return self._model[1]

    def _in_use(self, path: Path, ram: str | None) -> bool:
        return ram is not None and self.device.type == "cpu" and is_short(ram, path, self.choice.dtype)

    def _read(self, asked: "_Asked") -> Model:
        path, vae, texts, unsound = asked.path, asked.vae, asked.text_encoders, self.allow_nonfinite
        load: Callable[..., Model] = partial(load_single, vae=vae, text_encoders=texts, prediction=asked.prediction)
        if path.is_dir():
            load = partial(load_folder, given=given(path, vae=vae, text_encoders=texts, allow_nonfinite=unsound))
        model = load(path, dtype=self.choice.dtype, device=self.device, allow_nonfinite=unsound, in_use=asked.in_use)
        if self.choice.int8:
            quantise(model.network)
            model = replace(model, int8=True)
        if asked.in_use:
            return replace(model, engine="plain", call=self.call)
        networks = *model.components.values(), model.autoencoder
        weights = sum(value.numel() for each in networks for value in cast("nn.Module", each).parameters())
        engine = choose_engine(self.device, self.choice.dtype, self.engine, weights)
        return _packed(replace(model, engine=engine, call=self.call), *networks)

    def events(
        self, request: Request, saved: Saved = UNSAVED, *, since: float | None = None
    ) -> Iterator[Progress | Result]:
        """Carry out a request: a `Progress` after each step, a `Result` after each batch. Leaving the loop cancels.

        >>> for event in studio.events(request):
        ...     if isinstance(event, Progress) and cancelled():
        ...         break

        Args:
            saved: of the same request, which was cut off: it goes on from there, to the same bits.
            since: what `time.perf_counter` said when a budget began to count; now by default.

        Raises:
            SfumatoError: of the kind that says what is wrong.
        """
        if not isinstance(request, Request):
            raise RequestError(
                f'{brief(request)} is no request; give one, as sfumato.Txt2Img(prompt="a cat"), or call studio.txt2img'
            )
        if not isinstance(request, Painting):
            yield from runner(request.task)(_Saving(self, saved), request)
            return
        begun = time.perf_counter()
        expert = self._expert_for(request)  # a student, being an adapter, is for the model itself
        request = request if expert else hurried(request)
        with self._loading:
            applied = with_tileable(self._with_adapters(request, expert), request)
        load = time.perf_counter() - begun
        if request.ram is not None:
            applied, request = fitted(applied, request)
        if request.budget is not None:
            request = within(applied, request, begun if since is None else since)
        painting = runner(request.task)(replace(applied, saved=saved), request, load)
        yield from Timed(painting, applied.model, request)

    def _with_adapters(self, request: Painting, expert: str) -> Applied:
        """The request's model or an expert of it, with its autoencoder and its adapters."""
        loaded = self.load(
            request.model,
            vae=request.vae,
            text_encoders=request.text_encoders,
            prediction=request.prediction,
            ram=request.ram,
        )
        model, adapters = self._decoding(loaded, request), requested(request)
        if expert:
            model = self._expert(model, expert)
        kept = self._applied
        if kept is None or kept.requested != adapters or kept.base is not model:
            self._applied = kept = apply(model, adapters)
        return self._with_refiner(self._with_like(self._with_controls(kept, request), request), request)

    def _expert_for(self, request: Painting) -> str:
        """The expert of its model that paints what a request asks for; "" if none does. Adapters are made
        for the model itself."""
        return expert_for(find(request.model), request) if requested(request) == NOTHING else ""

    def _expert(self, model: Model, name: str) -> Model:
        """The model with the weights of one of its experts."""
        base, expert = self._experts.get(name, (None, model))
        if base is not model:
            assert self._model is not None
            unsound, in_use = self.allow_nonfinite, self._model[0].in_use
            expert = load_expert(model, name, allow_nonfinite=unsound, in_use=in_use)
            if model.int8:
                quantise(expert.network)
            _packed(expert, *(own for part, own in expert.components.items() if own is not model.components[part]))
            self._experts[name] = model, expert
        return expert

    def _with_controls(self, applied: Applied, request: Painting) -> Applied:
        """The same with the networks of the request's controls; those of the last request stay loaded."""
        if not request.controls:
            return applied
        files = [File.of(find_beside("control", control.model)) for control in request.controls]
        model, kept = self._controls or (None, {})
        loaded = kept if model == applied.base.path else {}
        loaded = {file: loaded[file] for file in files if file in loaded}
        for file in files:
            if file not in loaded:
                loaded[file] = load_control(file.path, applied.base, allow_nonfinite=self.allow_nonfinite)
                _packed(applied.base, loaded[file])
        self._controls = applied.base.path, loaded
        hashes = {
            control.model: remembered_sha256(file.path)[:HASH_DIGITS]
            for control, file in zip(request.controls, files, strict=True)
        }
        return replace(applied, controls=[loaded[file] for file in files], control_hashes=hashes)

    def _with_like(self, applied: Applied, request: Painting) -> Applied:
        """The same with what reads the picture that is a prompt; the last one stays loaded."""
        if request.like is None or request.like_model is None or not request.like_strength:
            return applied
        file = File.of(find_beside("IP-Adapter", request.like_model))
        given = None if request.image_encoder is None else Path(request.image_encoder).expanduser()
        key = applied.base.path, file, given
        if self._like is None or self._like[0] != key:
            self._like = None
            adapter = load_ip_adapter(file.path, applied.base, allow_nonfinite=self.allow_nonfinite)
            place = encoder_of(adapter, file.path, applied.base, given)
            encoder = load_picture_encoder(place, applied.base, allow_nonfinite=self.allow_nonfinite)
            self._like = key, (adapter, encoder)
        digest = {request.like_model: remembered_sha256(file.path)[:HASH_DIGITS]}
        return replace(applied, like=self._like[1], control_hashes={**applied.control_hashes, **digest})

    def _with_refiner(self, applied: Applied, request: Painting) -> Applied:
        """The same with the model that ends the painting, which has no use for an autoencoder of its own."""
        if request.refiner is None:
            return applied
        path = find(request.refiner)
        if self._refiner is None or self._refiner[0] != path:
            self._refiner = None
            in_use = self._in_use(path, request.ram)
            self._refiner = path, self._read(_Asked(path, vae=_missing(path, request.vae), in_use=in_use))
        refiner = self._refiner[1]
        if latent_space(refiner) != latent_space(applied.base):
            raise RequestError(
                f"{refiner.name} cannot refine what {applied.base.name} paints: the latents of {refiner.family.title} "
                f"and {applied.base.family.title} are not the same; give two models of one latent space"
            )
        return replace(applied, refiner=replace(refiner, autoencoder=applied.model.autoencoder))

    def _decoding(self, model: Model, request: Painting) -> Model:
        """The model with the autoencoder that a request asks for."""
        if request.vae is None:
            return model
        file = File.of(find_beside("vae", request.vae))
        if self._vae is None or self._vae[:2] != (model.path, file):
            digest = remembered_sha256(file.path)
            vae = load_vae(file.path, model, allow_nonfinite=self.allow_nonfinite)
            _packed(model, vae)
            self._vae = model.path, file, replace(model, autoencoder=vae, vae_hash=digest)
        return self._vae[2]


@dataclass(frozen=True)
class _Saving:
    """A studio for tasks that ask it to paint; what these paintings save goes to one place."""

    studio: Studio
    saved: Saved

    @property
    def device(self) -> torch.device:
        return self.studio.device

    def load(self, model: str | Path | None = None) -> Model:
        return self.studio.load(model)

    def events(self, request: Request) -> Iterator[Progress | Result]:
        return self.studio.events(request, self.saved)


def _packed(model: Model, *networks: object) -> Model:
    """The model; networks that were just loaded for it are packed, where its engine does so."""
    if model.engine == "packed":
        pack([cast("nn.Module", network) for network in networks], total_memory() // FILTERS)
    return model


def _missing(path: Path, vae: str | Path | None) -> Path | None:
    """The file of an autoencoder that a model lacks; None where it has its own, or none is given."""
    if vae is None:
        return None
    lacks = "vae" in lacking(path) if path.is_dir() else lacks_autoencoder(path)
    return find_beside("vae", str(vae)) if lacks else None
