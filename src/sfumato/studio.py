"""The studio: the only object with a state. It keeps loaded models and runs requests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sfumato.adapters.folders import find as find_beside
from sfumato.adapters.wanted import File, wanted
from sfumato.adapters.wearing import BARE, Worn, put_on, take_off
from sfumato.checkpoints.autoencoders import load_vae
from sfumato.checkpoints.catalogue import find
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.single import load_single
from sfumato.choices import Precision
from sfumato.families import Model
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result, ignore
from sfumato.runtime.devices import choose_device
from sfumato.runtime.digests import remembered_sha256
from sfumato.runtime.memory import keep_freed_memory
from sfumato.runtime.precision import choose
from sfumato.tasks.txt2img import resolve, txt2img


class Studio:
    """Paints requests.

    >>> Studio().txt2img("a red apple, white background", seed=1).images[0]
    <PIL.Image.Image image mode=RGB size=256x256 ...>

    Args:
        model: what `txt2img` paints with unless told otherwise: a name, a folder or a checkpoint file. A request
            names its own.
        device: "auto", "cpu", "cuda", "cuda:1", "mps" ...
        precision: "auto" measures what is fastest on this machine.
        allow_nonfinite: load weights that hold NaN or infinity, which are refused otherwise.

    Models are loaded when first needed; the last one used stays, and so do the adapters it painted with, until others
    are asked for.
    """

    def __init__(
        self,
        model: str | Path = "nano",
        *,
        device: str = "auto",
        precision: Precision = "auto",
        allow_nonfinite: bool = False,
    ) -> None:
        self.default = str(model)
        self.device = choose_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.choice = choose(self.device, precision)
        self.allow_nonfinite = allow_nonfinite
        self._models: dict[Path, Model] = {}
        self._worn = BARE
        self._vae: tuple[Path, File, Model] | None = None

    def load(self, model: str | Path | None = None) -> Model:
        """The model by that name or path without adapters, loaded if it is not the one at hand.

        Raises:
            UnknownNameError, CheckpointError: see `find`, `load_folder` and `load_single`.
        """
        loaded = self._load(model)
        self._undress(loaded)
        return loaded

    def _load(self, model: str | Path | None) -> Model:
        path = find(self.default if model is None else model)
        if path not in self._models:
            self._models.clear()  # one at a time: memory is what machines lack
            self._worn, self._vae = BARE, None
            load = load_folder if path.is_dir() else load_single
            self._models[path] = load(
                path, dtype=self.choice.dtype, device=self.device, allow_nonfinite=self.allow_nonfinite
            )
        return self._models[path]

    def run(
        self,
        request: Txt2Img,
        on_step: Callable[[Progress], None] = ignore,
        on_batch: Callable[[Result], None] = ignore,
    ) -> Result:
        """Carry out a request; an exception raised by one that is told of its progress cancels it.

        >>> studio.run(request, on_batch=lambda batch: batch.save("outputs/"))  # each as soon as it is painted

        Args:
            on_step: is told of each sampling step.
            on_batch: is given each batch of pictures when it is painted.

        Raises:
            SfumatoError: of the kind that says what is wrong.
        """
        model = self._load(request.model)
        exact = resolve(model, request)
        return txt2img(self._decoding(model, exact), exact, on_step, on_batch, self._dressed(model, exact))

    def _dressed(self, model: Model, request: Txt2Img) -> Worn:
        """Put on what a request asks for, unless it is on already."""
        adapters = wanted(request)
        if adapters != self._worn.wanted:
            self._undress(model)
            self._worn = put_on(model, adapters)
        return self._worn

    def _decoding(self, model: Model, request: Txt2Img) -> Model:
        """The model with the autoencoder that a request asks for."""
        if request.vae is None:
            return model
        file = File.of(find_beside("vae", request.vae))
        if self._vae is None or self._vae[:2] != (model.path, file):
            digest = remembered_sha256(file.path)
            vae = load_vae(file.path, model, allow_nonfinite=self.allow_nonfinite)
            self._vae = model.path, file, replace(model, autoencoder=vae, vae_hash=digest)
        return self._vae[2]

    def _undress(self, model: Model) -> None:
        take_off(model, self._worn)
        self._worn = BARE

    def txt2img(self, prompt: str, **options: object) -> Result:
        """Paint `prompt`; options are those of `Txt2Img`."""
        return self.run(Txt2Img.build(**{"prompt": prompt, "model": self.default, **options}))
