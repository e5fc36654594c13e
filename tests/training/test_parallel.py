"""Several processes: the same weights as one process makes of the same micro-batches."""

import multiprocessing
import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sfumato.errors import TrainingError
from sfumato.training.parallel import Share, WorkerPool, flatten, views
from sfumato.training.run import train
from tests.training.conftest import adversarial_toml

STATE = "checkpoints/00000006/state.safetensors"


def test_two_processes_make_the_weights_of_one(squares: Path, classifier: Path, tmp_path: Path) -> None:
    """Model, average, opponent and both optimisers, after a kill-free and a resumed half."""
    for processes in (1, 2):
        toml = tmp_path / f"{processes}.toml"
        toml.write_text(adversarial_toml(squares, classifier, start=2, accumulate=2, processes=processes))
        train(toml, tmp_path / str(processes))
    one, two = (load_file(tmp_path / str(processes) / STATE) for processes in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-4, atol=1e-6, msg=name)


def test_the_micro_batches_must_share_out_evenly(squares: Path, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(adversarial_toml(squares, classifier, accumulate=3, processes=2))
    with pytest.raises(TrainingError, match="accumulate=3 must be a multiple of processes=2"):
        train(tmp_path / "run.toml", tmp_path / "run")


def test_a_block_keeps_shapes_strides_and_values() -> None:
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters = list(net.parameters())
    before = [(p.detach().clone(), p.stride()) for p in parameters]
    block = flatten(parameters)
    assert block.is_shared()
    for p, view, (value, stride) in zip(parameters, views(parameters, block), before, strict=True):
        assert torch.equal(p, value)
        assert p.stride() == stride
        assert p.data_ptr() == view.data_ptr()


def die(step: int, rank: int) -> dict[str, float]:
    """A share that ends its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def fail(step: int, rank: int) -> dict[str, float]:
    """A share that cannot be computed."""
    raise ValueError("no such share")


def doomed(net: nn.Linear, share: Share) -> tuple[list[nn.Parameter], Share]:
    return list(net.parameters()), share


@pytest.mark.parametrize(("share", "message"), [(die, "has died"), (fail, "failed, of the error above")])
def test_a_dead_process_ends_the_run_in_one_line(share: Share, message: str) -> None:
    net = nn.Linear(2, 2)
    with (
        WorkerPool(list(net.parameters()), 2, partial(doomed, nn.Linear(2, 2), share)) as pool,
        pytest.raises(TrainingError, match=message),
    ):
        pool.compute(0, lambda step, rank: {"loss": 0.0})


def in_its_process(x: torch.Tensor) -> torch.Tensor:
    """Twice `x`, but where another process than the test's computes it."""
    return 2 * x + (0 if multiprocessing.parent_process() is None else 1000)


def idle(net: nn.Linear) -> tuple[list[nn.Parameter], Share]:
    return list(net.parameters()), lambda step, rank: {}


def test_tensors_are_shared_out_by_cost_and_come_back_in_order() -> None:
    tensors = [torch.full(shape, float(i)) for i, shape in enumerate([(2, 3), (8, 8), (3, 2), (8, 8), (1, 4)])]
    net = nn.Linear(16, 16)
    with WorkerPool(list(net.parameters()), 2, partial(idle, nn.Linear(16, 16))) as pool:
        results = pool.map(in_its_process, tensors)
    elsewhere = [bool((result >= 1000).all()) for result in results]
    assert elsewhere == [False, False, True, True, False]  # 512 + 12 + 4 and 512 + 12
    for tensor, result, there in zip(tensors, results, elsewhere, strict=True):
        assert torch.equal(result, 2 * tensor + 1000 * there)
    with WorkerPool(list(net.parameters()), 1, None) as pool:
        assert [float(x.flatten()[0]) for x in pool.map(in_its_process, tensors)] == [0, 2, 4, 6, 8]
