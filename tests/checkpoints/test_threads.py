"""Models loaded in many threads at once, each as if alone."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.rules import check_finite
from sfumato.checkpoints.single import load_single
from sfumato.checkpoints.tensors import read_tensors
from sfumato.model import Model

CPU = torch.device("cpu")
THREADS = 8


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
def test_weights_are_read_and_given_back_in_threads(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    alone = read_tensors(file)

    def read(_: int) -> bool:
        state = read_tensors(file)
        check_finite(state, "a file")
        return all(torch.equal(tensor, alone[name]) for name, tensor in state.items())

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(read, range(4 * THREADS)))


def test_models_are_loaded_in_threads(folder: Path, single: Path) -> None:
    def load(path: Path) -> Model:
        return (load_folder if path.is_dir() else load_single)(path, dtype=torch.float32, device=CPU)

    alone = load(folder).network.state_dict()
    with ThreadPoolExecutor(THREADS) as pool:
        for model in pool.map(load, [folder, single] * (THREADS // 2)):
            assert all(torch.equal(tensor, alone[name]) for name, tensor in model.network.state_dict().items())
