"""Weights in one byte each, with a step for every tensor by what its rounding does to the paintings.

Rounding a tensor of n weights to multiples of s changes what the model answers by a s^2; the a differ by thousands from
tensor to tensor and are measured. Of all steps that change the answers by so much in sum, those with s^2 in proportion
to n / a leave the fewest bits: each bit that is saved costs the same everywhere (Lagrange; in information theory,
reverse water-filling). A file's compression, git's or a wheel's, then finds the bits that are not used.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sfumato.checkpoints.folder import part_file
from sfumato.checkpoints.tensors import read_tensors
from sfumato.diffusion.samplers import Descent, euler
from sfumato.model import Model
from sfumato.studio import Studio
from sfumato.training.objectives import network_input

NOISE = 10**-3.2
"""What rounding may add to the velocities in sum, in proportion to their energy."""
LARGEST = 127


def lighten(
    folder: Path, prompts: Sequence[str], noise: float = NOISE, parts: Sequence[str] = ("unet", "text_encoder")
) -> None:
    """Round the U-Net and text encoder of a model to whole numbers of one byte, in place; see
    `sfumato.checkpoints.scaled` for the form. Vectors stay as they are, and so do the few weights that are worth more
    bits than a byte has. One of the `parts` alone may add its share of the noise."""
    model = Studio(folder, device="cpu", precision="fp32").load()
    modules: Mapping[str, nn.Module] = {"unet": model.network, "text_encoder": model.texts["text_encoder"].encoder}
    weights = {
        f"{part}.{name}": weight
        for part, module in modules.items()
        for name, weight in module.named_parameters()
        if weight.ndim > 1
    }
    rounded = {name: weight for name, weight in weights.items() if name.partition(".")[0] in parts}
    share = _count(rounded) / _count(weights)
    steps = steps_of(rounded, at_work(model, prompts), noise * share)
    for part in parts:
        file = part_file(folder / part)
        save_file(dict(_stored(read_tensors(file), part, steps)), file)


@torch.no_grad()
def at_work(model: Model, prompts: Sequence[str]) -> Callable[[], Tensor]:
    """What the model answers, whenever that is asked, in the midst of painting the prompts: the first one at the first
    of as many steps as there are prompts, the last one at the last."""
    denoiser, path = model.denoiser(), model.sampling.parameterisation.path
    cond = model.encode_text(prompts)
    sigmas = model.sampling.sigmas(len(prompts), None)
    shape = (len(prompts), model.network.config.in_channels, *(side // model.autoencoder.factor for side in model.size))
    x = path.prior(torch.randn(shape, generator=torch.Generator().manual_seed(0)), sigmas[0])
    states = [x[0]]
    for step in euler(Descent(lambda x, sigma: denoiser(x, sigma, cond), x, sigmas, path=path)):
        if len(states) < len(prompts):
            states.append(step.x[len(states)])
    seen = network_input(denoiser.parameterisation, torch.stack(states), sigmas[:-1])
    label = denoiser.schedule.label(sigmas[:-1]).float()
    return torch.no_grad()(lambda: denoiser.network(seen, label, model.encode_text(prompts)))


@torch.no_grad()
def steps_of(weights: Mapping[str, Tensor], answer: Callable[[], Tensor], noise: float) -> dict[str, float]:
    """The step of each tensor, with which all together add `noise` to the answers' energy, to first order; none is
    longer than the weights' deviation."""
    rng = torch.Generator().manual_seed(0)
    right = answer()
    total = _count(weights)
    found = {}
    for name, weight in weights.items():
        kept, deviation = weight.clone(), float(weight.std())
        trial = deviation / 4
        weight += trial * (torch.rand(weight.shape, generator=rng) - 0.5)
        change = float((answer() - right).square().mean()) / trial**2
        weight.copy_(kept)
        allowed = noise * float(right.square().mean()) * weight.numel() / total
        found[name] = min((allowed / max(change, 1e-30)) ** 0.5, deviation)
    return found


def _count(weights: Mapping[str, Tensor]) -> int:
    return sum(weight.numel() for weight in weights.values())


def _stored(tensors: Mapping[str, Tensor], part: str, steps: Mapping[str, float]) -> list[tuple[str, Tensor]]:
    stored = []
    for name, tensor in tensors.items():
        step = steps.get(f"{part}.{name}", 0.0)
        if step * LARGEST <= float(tensor.abs().max()):
            stored.append((name, tensor.clone()))
        else:
            rounded = (tensor.float() / step).round().to(torch.int8)
            stored += [(name, rounded), (name.removesuffix("weight") + "weight_scale", torch.tensor(step))]
    return stored
