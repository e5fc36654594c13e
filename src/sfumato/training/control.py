"""Training what steers a U-Net by a picture.

A ControlNet begins as the U-Net's own way down (Zhang et al. 2023); a T2I-Adapter (Mou et al. 2023) is smaller, and
costs nothing at each step.

Pictures come from any folder; what is shown beside each is made of it by one of our preprocessors (edges, lines,
colours), or lies in a folder of its own by the same name. The U-Net never changes.
"""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from sfumato.adapters.applied import Applied
from sfumato.adapters.written import metadata
from sfumato.checkpoints.controls import check_control
from sfumato.checkpoints.save import write_json, write_tensors
from sfumato.choices import Preprocessor
from sfumato.decoding import RejectedPicture, decoded
from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import CheckpointError, TrainingError
from sfumato.images import contact_sheet, to_tensor
from sfumato.lettering import captioned
from sfumato.model import Model
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.t2i_adapter import XL, T2IAdapter, T2IAdapterConfig
from sfumato.models.unet import UNet, UNetConfig
from sfumato.preprocess import preprocessed
from sfumato.requests import Control, Txt2Img
from sfumato.results import Result
from sfumato.tasks.table import runner
from sfumato.training.examples import Example, said
from sfumato.training.finetune import FineTuneRun, FineTuneTask, load_base, require_trainable

EMBEDDING = (16, 32, 96, 256, 256, 256)
"""Widths of the picture's embedding, as published; of latents of a larger factor it has more of them."""


class ControlRun(FineTuneRun):
    """A training TOML with `task = "control"`."""

    task: Literal["control"]
    network: Literal["controlnet", "t2i-adapter"] = "controlnet"
    preprocessor: Preprocessor = "canny"
    """What makes of a picture what is shown; "none" with `shown`."""
    shown: Path | None = None
    """A folder of what is shown, by the names of the pictures, with any ending of a picture."""
    embedding: tuple[int, ...] = ()
    """Widths of a ControlNet's layers for the picture, each half as large as the one before, one more than the latents
    are halvings smaller; without, as published, which takes a small model longer than all the rest of it."""
    from_scratch: bool = False
    """Begin with random numbers instead of the U-Net's own, as a T2I-Adapter always does."""
    sheets: int = Field(4, ge=1, le=16)
    """Pictures on a sheet."""


def control_of(unet: UNet, factor: int, *, embedding: Sequence[int] = (), from_scratch: bool = False) -> ControlNet:
    """A ControlNet for a U-Net on latents of that factor, which adds nothing yet: its last layers are zero.

    Raises:
        TrainingError: another number of `embedding`s than the factor takes.
    """
    config: UNetConfig = unet.config
    known = {field.name for field in fields(ControlNetConfig)}
    same = {f.name: getattr(config, f.name) for f in fields(config) if f.name in known and f.name != "up_block_types"}
    widths = tuple(embedding) or EMBEDDING[: factor.bit_length()]
    if len(widths) != factor.bit_length():
        raise TrainingError(f"embedding has {len(widths)} widths; latents of 1/{factor} take {factor.bit_length()}")
    control = ControlNet(ControlNetConfig(**same, conditioning_embedding_out_channels=widths))
    if not from_scratch:
        ours = control.state_dict()
        control.load_state_dict({**ours, **{k: v.float() for k, v in unet.state_dict().items() if k in ours}})
    for layer in control.controlnet_cond_embedding.modules():
        if isinstance(layer, nn.Conv2d):  # so that a line still counts behind ten of them (He et al. 2015)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    for last in (
        *control.controlnet_down_blocks,
        control.controlnet_mid_block,
        control.controlnet_cond_embedding.conv_out,
    ):
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
    return control.requires_grad_(True)


def adapter_of(base: Model) -> T2IAdapter:
    """A T2I-Adapter with random weights for the U-Net of a model.

    Raises:
        TrainingError: its levels are of no form that T2I-Adapters have.
    """
    unet = cast("UNet", base.network).config
    widths, factor = unet.block_out_channels, base.autoencoder.factor
    config = T2IAdapterConfig(channels=widths, downscale_factor=factor)
    if not unet.down_block_types[0].startswith("CrossAttn"):  # SDXL's form
        config = T2IAdapterConfig(channels=(*widths, widths[-1]), downscale_factor=2 * factor, adapter_type=XL)
    adapter = T2IAdapter(config)
    try:
        check_control(adapter, base, Path("what is to be trained"))
    except CheckpointError as error:
        raise TrainingError(f"{error}, or train a controlnet") from None
    return adapter


class ControlTask(FineTuneTask):
    """The U-Net, held by what is trained to the pictures that are shown."""

    run: ControlRun
    model: ControlNet | T2IAdapter

    def __init__(self, run: ControlRun, folder: Path, base: Model | None = None) -> None:
        base = load_base(run) if base is None else base
        require_trainable(base)
        if not isinstance(base.network, UNet):
            raise TrainingError(f"{base.name} ({base.family.title}) has no U-Net, which a {run.network} steers")
        torch.manual_seed(run.loop.seed)
        if run.network == "t2i-adapter":
            self.model = adapter_of(base)
        else:
            self.model = control_of(
                base.network, base.autoencoder.factor, embedding=run.embedding, from_scratch=run.from_scratch
            )
        super().__init__(run, folder, base, base, keep_pixels=True)
        self._shown = {example.digest: self._seen(example) for example in self.examples.all}

    def _seen(self, example: Example) -> Image.Image:
        """What is shown beside a picture, at its size."""
        assert example.pixels is not None
        if self.run.shown is None:
            return preprocessed(example.pixels, self.run.preprocessor)
        stem = Path(example.name).with_suffix("")
        found = sorted(self.run.shown.glob(f"{stem}.*"))
        if not found:
            raise TrainingError(f"{self.run.shown} has nothing to show beside {example.name}; name it {stem}.png")
        try:
            image = decoded(found[0]).image
        except RejectedPicture as fault:
            raise TrainingError(f"{found[0]} cannot be shown: {fault}") from fault
        left, top = example.shape.corner
        image = image.resize(example.shape.resized, Image.Resampling.LANCZOS)
        cut = image.crop((left, top, left + example.shape.size[0], top + example.shape.size[1]))
        return preprocessed(cut, self.run.preprocessor)

    def acting(self, model: nn.Module, rng: torch.Generator | None = None) -> AbstractContextManager[object]:
        """Nothing of the U-Net changes."""
        return nullcontext()

    def predict(
        self, model: nn.Module, x: Tensor, label: Tensor, cond: Conditioning, chosen: Sequence[Example]
    ) -> Float[Tensor, "b c h w"]:
        """The U-Net's output with the residuals of the pictures shown."""
        assert isinstance(model, ControlNet | T2IAdapter)
        shown = torch.cat([(to_tensor(self._shown[e.digest]) + 1) / 2 for e in chosen])
        residuals = model(x, label, cond, model.embedded(shown.to(memory_format=torch.channels_last)))
        output: Tensor = self.own.network(x, label, cond, residuals)
        return output

    def sheet(self, model: nn.Module) -> Image.Image:
        """What is shown over what is painted of it, of the first pictures that are judged."""
        chosen = [self.examples.all[i] for i in self.examples.validation[: self.run.sheets]]
        painted = [self.painted(model, example) for example in chosen]
        shown = [self._shown[example.digest] for example in chosen]
        captions = [said(example, self.run.sources[example.source], None) for example in chosen]
        return contact_sheet([*shown, *captioned(painted, captions)], columns=len(chosen))

    def painted(self, model: nn.Module, example: Example, *, weight: float = 1.0, steps: int = 12) -> Image.Image:
        """A picture of the example's caption, held to what is shown beside it."""
        assert isinstance(model, ControlNet | T2IAdapter)
        width, height = example.shape.size
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            file = Path(folder) / "shown.png"
            self._shown[example.digest].save(file)
            control = Control.build(model=self.run.name, image=str(file), preprocess="none", weight=weight)
            prompt = said(example, self.run.sources[example.source], None)
            request = Txt2Img(
                prompt=prompt,
                seed=1,
                steps=steps,
                width=width,
                height=height,
                controls=(control,),
                prompt_syntax="plain",
            )
            applied = replace(Applied(self.own, self.base), controls=[model], control_hashes={self.run.name: ""})
            for event in runner("txt2img")(applied, request, 0.0):
                if isinstance(event, Result):
                    return event.images[0].convert("RGB")
        raise AssertionError("painting gives a result")

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """`config.json` and `diffusion_pytorch_model.safetensors`, as diffusers and `--control` load them."""
        assert isinstance(model, ControlNet | T2IAdapter)
        write_json(folder / "config.json", model.config.to_json())
        state = {name: tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
        facts = {
            "preprocessor": self.run.preprocessor,
            "num_train_images": str(len(self.examples.train)),
            "steps": str(self.run.loop.steps),
        }
        stated = metadata(self.base, self.run.name, facts, what=self.run.network)
        write_tensors(folder / "diffusion_pytorch_model.safetensors", state, stated, torch.float16)


def edge_agreement(a: Image.Image, b: Image.Image, *, reach: int = 2) -> float:
    """F1 of the edges (canny) of two pictures of one size; edges that lie within `reach` pixels agree."""
    first, second = (np.asarray(preprocessed(image, "canny").convert("L")) > 127 for image in (a, b))
    if not first.any() or not second.any():
        return float(not first.any() and not second.any())

    def near(edges: np.ndarray) -> np.ndarray:
        whole = torch.from_numpy(edges)[None, None].float()
        return nn.functional.max_pool2d(whole, 2 * reach + 1, 1, reach)[0, 0].numpy() > 0

    precision = float((first & near(second)).sum() / first.sum())
    recall = float((second & near(first)).sum() / second.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
