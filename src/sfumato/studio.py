"""The studio: the only object with a state. It keeps loaded models and runs requests."""

from collections.abc import Callable
from pathlib import Path

from sfumato.checkpoints.catalogue import find
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.single import load_single
from sfumato.choices import Precision
from sfumato.families import Model
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result, ignore
from sfumato.runtime.devices import choose_device
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

    Models are loaded when first needed; the last one used stays.
    """

    def __init__(self, model: str | Path = "nano", *, device: str = "auto", precision: Precision = "auto") -> None:
        self.default = str(model)
        self.device = choose_device(device)
        self.choice = choose(self.device, precision)
        self._models: dict[Path, Model] = {}

    def load(self, model: str | Path | None = None) -> Model:
        """The model by that name or path, loaded if it is not the one at hand.

        Raises:
            UnknownNameError, CheckpointError: see `find`, `load_folder` and `load_single`.
        """
        path = find(self.default if model is None else model)
        if path not in self._models:
            self._models.clear()  # one at a time: memory is what machines lack
            load = load_folder if path.is_dir() else load_single
            self._models[path] = load(path, dtype=self.choice.dtype, device=self.device)
        return self._models[path]

    def run(self, request: Txt2Img, on_step: Callable[[Progress], None] = ignore) -> Result:
        """Carry out a request; `on_step` is told of each sampling step, and an exception raised in it cancels.

        Raises:
            SfumatoError: of the kind that says what is wrong.
        """
        model = self.load(request.model)
        return txt2img(model, resolve(model, request), on_step)

    def txt2img(self, prompt: str, **options: object) -> Result:
        """Paint `prompt`; options are those of `Txt2Img`."""
        return self.run(Txt2Img.build(**{"prompt": prompt, "model": self.default, **options}))
