"""Adapters with random numbers for the tiny model, spelled by trainers' rules from the model's own names."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sfumato import Studio

State = dict[str, Tensor]
Write = Callable[..., Path]

MODULES = {
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (32, 16),
    "unet.down_blocks.0.resnets.0.conv1": (16, 16, 3, 3),
    "unet.mid_block.attentions.0.proj_in": (32, 32, 1, 1),
    "text_encoder.text_model.encoder.layers.1.self_attn.q_proj": (16, 16),
}
"""A few modules of the tiny model, and the shapes of their weights."""


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + 31 * sum(shape)))


def lora(scale: float = 0.1, rank: int = 2, seed: int = 0) -> State:
    """A LoRA of `MODULES` in diffusers' spelling."""
    state = {}
    for i, (name, shape) in enumerate(MODULES.items()):
        state[f"{name}.lora_A.weight"] = numbers(rank, *shape[1:], seed=seed + i)
        state[f"{name}.lora_B.weight"] = scale * numbers(shape[0], rank, *[1] * (len(shape) - 2), seed=seed + i + 9)
    return state


TO_K = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
"""Its weight is (32, 16)."""
KINDS: dict[str, State] = {
    "lora": {"lora_down.weight": numbers(2, 16), "lora_up.weight": numbers(32, 2)},
    "lora, dora": {
        "lora_down.weight": numbers(2, 16), "lora_up.weight": numbers(32, 2), "dora_scale": numbers(32, 1).abs()
    },
    "loha": {
        "hada_w1_a": numbers(32, 2), "hada_w1_b": numbers(2, 16), "hada_w2_a": numbers(32, 2, seed=1),
        "hada_w2_b": numbers(2, 16, seed=1),
    },
    "lokr": {"lokr_w1": numbers(4, 2), "lokr_w2": numbers(8, 8)},
    "ia3": {"weight": numbers(32), "on_input": torch.tensor(False)},
    "diff": {"diff": numbers(32, 16)},
    "oft": {"oft_blocks": numbers(4, 8, 8), "alpha": torch.tensor(0.01), "rescale": numbers(32, 1)},
    "oft, diagonal": {"oft_diag": numbers(4, 8, 8)},
    "oft, columns": {"oft_R.weight": 0.1 * numbers(2, 28)},
    "glora": {
        "a1.weight": numbers(16, 2), "a2.weight": numbers(2, 16), "b1.weight": numbers(32, 2),
        "b2.weight": numbers(2, 16, seed=1),
    },
}  # fmt: skip
"""One of each for `TO_K`."""


def of(kind: str) -> State:
    """The adapter of that kind."""
    return {f"{TO_K}.{part}": tensor for part, tensor in KINDS[kind].items()}


@pytest.fixture(scope="session")
def studio(tiny: Path) -> Studio:
    """On the tiny model, in float32."""
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write `NAME.safetensors` into the folder of LoRAs and embeddings that can be named."""
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))

    def write(state: State, name: str = "ink", **metadata: str) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file(state, path, metadata=metadata or None)
        return path

    return write
