"""The denoiser of a checkpoint, entered at the noise that a picture has: none is added, and it is taken away.

What diffusion models learn is to take noise out of latents. How much noise in latents the noise of a picture is, its
autoencoder says: the same amount is added once more, and what that changes is measured. The autoencoder's own loss is
the ceiling of this method.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Txt2Img
from sfumato.restoration.noise import Noise
from sfumato.tasks.session import prepare, resolve, takes_latents_alone

Pixels = Float[np.ndarray, "h w *c"]
STEPS = 8
"""From the picture's level of noise down."""


@dataclass(frozen=True)
class Entered:
    """A checkpoint as a denoiser of pictures."""

    model: Model
    seed: int = 0

    @torch.inference_mode()
    def denoised(self, noisy: Pixels, noise: Noise) -> Pixels:
        """The picture without its noise.

        Raises:
            RequestError: a picture larger than the model takes at once, or a model made for something else.
        """
        latents, size = self._encoded(noisy)
        again = noise.added(noisy, self.seed) if noise.kind == "gaussian" else _more(noisy, noise, self.seed)
        ratio = float((self._encoded(again)[0] - latents).std())
        takes_latents_alone(self.model, "denoise by diffusion")
        request = resolve(self.model, Txt2Img(prompt="", guidance=1.0, seed=self.seed), (size[0], size[1]))
        session = prepare(Applied(self.model, self.model), request, size)
        path = session.plan.path
        first = path.level(torch.tensor(ratio))
        sigmas = torch.cat([torch.linspace(1, 0, STEPS + 1)[:-1] * first, torch.zeros(1)])
        x = latents * path.alpha(first).to(latents)
        for index in range(STEPS):
            sigma, below = sigmas[index], sigmas[index + 1]
            clean = session.denoise(x, sigma)
            x = clean + (x - clean) * (below / sigma).to(x)  # Euler's step, see `sfumato.diffusion.step`
        return self._decoded(x, noisy)

    @torch.inference_mode()
    def round_trip(self, clean: Pixels) -> Pixels:
        """What the autoencoder gives back of a picture: nothing that goes through it comes nearer than that."""
        return self._decoded(self._encoded(clean)[0], clean)

    def _encoded(self, pixels: Pixels) -> tuple[Tensor, tuple[int, int]]:
        planes = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
        grain = self.model.grain
        h, w = planes.shape[:2]
        size = (-(-w // grain) * grain, -(-h // grain) * grain)
        if self.model.largest is not None and max(size) > self.model.largest:
            raise RequestError(f"the picture is {w}x{h}; {self.model.name} takes up to {self.model.largest} at once")
        padded = np.pad(planes, ((0, size[1] - h), (0, size[0] - w), (0, 0)), mode="edge")
        x = torch.from_numpy(np.ascontiguousarray(padded, np.float32)).permute(2, 0, 1)[None] * 2 - 1
        return self.model.encode_pixels(x), size

    def _decoded(self, latents: Tensor, like: Pixels) -> Pixels:
        h, w = like.shape[:2]
        found = (self.model.decode(latents)[0].float().cpu() / 2 + 0.5).permute(1, 2, 0).numpy()[:h, :w]
        return np.ascontiguousarray(found.mean(2) if like.ndim == 2 else found)


def _more(noisy: Pixels, noise: Noise, seed: int) -> Pixels:
    drawn = np.random.default_rng(seed).standard_normal(noisy.shape, np.float32)
    return np.asarray(noisy + drawn * noise.deviation(noisy), np.float32)
