"""Where in a picture its words are: where the clean estimate changes when they are left out of the prompt.

The picture is noised a little short of wholly, and D is asked twice, with a prompt that has the words and with the same
prompt without them (Couairon et al. 2022, arXiv:2210.11427, section 3.2). It needs nothing of the network, so any will
do; on nano it finds more than maps of cross-attention (``benchmarks/where.py``). Where the words lead D no nearer to
the picture, they are not in it.

A latent is 8 to 16 pixels wide, and parts are drawn finer. So the mask is refined by colours, as GrabCut begins (Rother
et al. 2004): of the part is what has a colour that lies within the mask for the most part, in it and near it, and that
the words explain: without them D, decoded, is farther from the picture there. Eyes behind glasses are not of these.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.errors import RequestError
from sfumato.families import INPAINTING
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.prompts.lexicon import lexicon_of
from sfumato.recognition.judge import bundled
from sfumato.requests import Painting
from sfumato.tasks.plan import Plan, plan
from sfumato.tasks.session import encode_prompts, resolve, takes_latents_alone
from sfumato.tasks.sources import padded_to

RATIOS = (4.0, 9.0, 19.0)
"""Noise to signal, at which D is asked."""
NOISES = 3
LEAST = 0.05
"""Share of D's error that words must explain to be in the picture; see ``benchmarks/where.py``."""
BITS = 4
"""Bits of a colour's values, by which colours are the same."""
NEAR = 12
"""Pixels around the mask within which a part may reach on."""
EXPLAINED = 0.05
"""The least share of what the words explain of their best colour that makes another colour the part's."""


@dataclass(frozen=True)
class Difference:
    """What two conditions make of a picture."""

    change: Tensor
    """How far D is apart, (h, w), with the largest of each level of noise 1."""
    explained: float
    """The share of D's error there that the first condition explains."""
    estimates: Tensor
    """The mean of D at each level of noise under each, (levels, 2, c, h, w)."""


@torch.inference_mode()
def located(applied: Applied, request: Painting, image: Image.Image, words: str, prompt: str) -> Image.Image:
    """A mask of the picture: 255 where the words are, 0 elsewhere.

    Args:
        request: what else conditions depend on: its syntax, clip skip ...
        prompt: what the picture shows; `words` are added where it does not have them.

    Raises:
        RequestError: the words say nothing, or the picture has nothing of them; the message names those parts of the
            prompt that it has.
    """
    model = applied.model
    if model.task != INPAINTING:
        takes_latents_alone(model, request.task)
    small = _fitting(model, image)
    padded = padded_to(small, model.grain)
    exact = resolve(model, request.changed(width=padded.width, height=padded.height), padded.size)
    how = plan(model.sampling_of(*padded.size), exact)
    clean = model.encode_pixels(to_tensor(padded))
    channels = None
    if model.task == INPAINTING:  # all is masked
        hidden = model.encode_pixels(torch.zeros_like(to_tensor(padded)))
        channels = torch.cat([torch.ones_like(clean[:, :1]), hidden], dim=1)

    def asked_about(phrase: str) -> Difference:
        texts = with_and_without(prompt, phrase)
        conds = [replace(condition(applied, exact, how, text), channels=channels) for text in texts]
        return difference(how.labelled(model.denoiser()), how, clean, conds)

    found = asked_about(words)
    if found.explained < LEAST:
        others = [part for part in _parts(prompt) if bare(words).lower() not in part.lower()]
        there = [part for part in others if asked_about(part).explained >= LEAST]
        known = f"; of the prompt it has {', '.join(there)}" if there else ""
        raise RequestError(
            f"{bare(words)!r} is not found in the picture by {model.name}{known}; {_remedy(request, words)}"
        )
    mask = refined(marked(found.change, model.autoencoder.factor, small.size), small, gained(model, found, small))
    return mask.resize(image.size, Image.Resampling.BILINEAR).point(lambda value: 255 * (value >= 128))


def _remedy(request: Painting, words: str) -> str:
    if "box" in type(request).model_fields:
        return f"describe the picture with {bare(words)!r} in the prompt, say other words, or give a --box"
    return f"give a --description of the whole picture with {bare(words)!r} in it, or say other words"


def described(model: Model, image: Image.Image, words: str, given: str) -> str:
    """A prompt of what a picture shows: of a model with a lexicon (of the judge's world) what the judge recognises
    in it, where that has the words, else what is given. With a whole prompt more is found than with a word.
    """
    if lexicon_of(model.path) is None:
        return given
    found = bundled().recognise([image])[0]
    seen = found.caption() if found.known else ""
    return seen if replaced(seen, words, "") != seen else given


def marked(change: Tensor, factor: int, size: tuple[int, int]) -> Image.Image:
    """A map of latents, (h, w), as a mask of pixels: 255 in the higher of two classes (`otsu`), cut to `size`."""
    larger = torch.nn.functional.interpolate(
        change[None, None], scale_factor=factor, mode="bicubic", align_corners=False
    )
    found = (larger[0, 0, : size[1], : size[0]] > otsu(change)).cpu().numpy()
    return Image.fromarray(found.astype(np.uint8) * 255)


def gained(model: Model, found: Difference, image: Image.Image) -> NDArray[np.float64]:
    """How much the first condition brings D, decoded, nearer to a picture: differences of squares, (h, w).

    At each level by itself: a mean over levels is blurred, and finds less (glasses 0.54 in the place of 0.70).
    """
    picture, gain = to_tensor(image)[0], torch.zeros(image.height, image.width)
    for pair in found.estimates:
        pixels = model.decode(pair)[..., : image.height, : image.width].float().cpu().clamp(-1, 1)
        ours, theirs = ((pixels - picture) ** 2).mean(1)
        gain += theirs - ours
    return gain.double().numpy()


def refined(mask: Image.Image, image: Image.Image, gain: NDArray[np.float64]) -> Image.Image:
    """A coarse mask of a picture along what is drawn, in it and within `NEAR` pixels of it: the colours of which more
    than half is inside, and which the words explain. As it was where there are none.

    Args:
        gain: by how much the words explain each pixel, see `gained`.
    """
    inside = np.asarray(mask) > 0
    colours = np.asarray(image.convert("RGB")).astype(np.int64) >> (8 - BITS)
    bins = (colours @ (1 << BITS * np.arange(3))).ravel()
    around = torch.from_numpy(inside).float()[None, None]
    near = torch.nn.functional.max_pool2d(around, 2 * NEAR + 1, 1, NEAR)[0, 0].numpy() > 0

    def mean(values: NDArray[Any], of: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(bins, (values * of).ravel()) / np.maximum(np.bincount(bins, of.ravel()), 1)

    worth = np.where(mean(inside, np.ones_like(inside)) > 0.5, mean(gain, near), -np.inf)
    found = near & (worth > max(EXPLAINED * worth.max(), 0.0))[bins].reshape(near.shape)
    return Image.fromarray(found.astype(np.uint8) * 255) if found.any() else mask


def bare(words: str) -> str:
    """Without an article."""
    return re.sub(r"^(the|an?)(\s+|$)", "", words.strip(), flags=re.IGNORECASE)


def with_and_without(prompt: str, words: str) -> tuple[str, str]:
    """A prompt that has the words, at its end where it did not, and the same without them.

    Raises:
        RequestError: there are no words.
    """
    phrase = bare(words)
    if not re.search(r"\w", phrase):
        raise RequestError(f"{words!r} names nothing; say what to look for, for example 'the hat'")
    without = replaced(prompt, phrase, "")
    if without != prompt:
        return prompt, without
    return f"{prompt}, {phrase}" if prompt.strip() else phrase, prompt


def replaced(prompt: str, words: str, others: str) -> str:
    """A prompt with other words in the place of some, and of what they end a part of it with: "hair" is all of "blonde
    bob hair". The others alone where it is empty."""
    if not prompt.strip():
        return others
    phrase = bare(words)
    ended = (part for part in _parts(prompt) if re.search(rf"(?<!\w){re.escape(phrase)}$", part, re.IGNORECASE))
    if (part := next(ended, prompt.strip())) != prompt.strip():
        phrase = bare(part)
    found = re.compile(rf"(?<!\w)((?:the|an?)\s+)?{re.escape(phrase)}(?!\w)", re.IGNORECASE)
    whole = not others or bare(others) != others.strip()  # with an article of its own
    return found.sub(lambda match: others if whole else (match[1] or "") + others, prompt)


def otsu(values: Tensor) -> float:
    """The threshold that parts values into two classes of the least variance (Otsu 1979)."""
    counts, edges = np.histogram(values.float().cpu().numpy(), 64)
    centres = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    between = (mass[-1] * below / below[-1] - mass) ** 2 / np.maximum(below * above, 1)
    return float(centres[between >= between.max() * (1 - 1e-9)].mean())


def difference(denoiser: Denoiser, how: Plan, clean: Tensor, conds: Sequence[Conditioning]) -> Difference:
    """What two conditions make of clean latents, (1, c, h, w)."""
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in range(NOISES)]
    ).to(clean)
    change, errors = torch.zeros_like(clean[0, 0]), torch.zeros(2, *clean.shape[2:], device=clean.device)
    estimates = []
    for ratio in RATIOS:
        sigma = how.path.level(torch.tensor(ratio)).clamp(max=how.schedule.sigma_max)
        x = how.path.mix(clean.expand_as(noise), noise, sigma.to(noise))
        each = torch.stack([denoiser(x, sigma, cond.expand(NOISES)) for cond in conds])
        apart = (each[0] - each[1]).abs().mean(dim=(0, 1))
        change += apart / apart.max().clamp_min(1e-12)
        errors += ((each - clean) ** 2).mean(dim=(1, 2))
        estimates.append(each.mean(dim=1))
    inside = change > otsu(change)
    ours, theirs = (float(error[inside].mean()) if inside.any() else 0.0 for error in errors)
    return Difference(change, 1 - ours / theirs if theirs else 0.0, torch.stack(estimates))


def condition(applied: Applied, request: Painting, how: Plan, text: str) -> Conditioning:
    """The condition of a text's first reading."""
    prompts = encode_prompts(
        applied.model, request.changed(prompt=text, negative="", as_written=True), how, applied.words
    )
    return prompts.conditions[0][0]


def _parts(prompt: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,.;]|\b(?:and|with)\b", prompt) if part.strip()]


def _fitting(model: Model, image: Image.Image) -> Image.Image:
    """The picture, reduced to the area that the model was made for."""
    scale = (model.size[0] * model.size[1] / (image.width * image.height)) ** 0.5
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)
