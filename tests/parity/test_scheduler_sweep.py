"""Random scheduler configurations: diffusers' picture, a difference that decision 0003 lists, or a clear refusal."""

import inspect
import random

import diffusers
import pytest
from diffusers import StableDiffusionPipeline

from sfumato.checkpoints.scheduler_classes import CLASSES, NEAR
from sfumato.checkpoints.scheduler_keys import ANYTHING, DEFAULTS, VALUES
from sfumato.errors import CheckpointError
from tests.parity.scheduler_sweep import Bench, case, known

pytestmark = pytest.mark.parity

LEVELS = 2.0
REFUSED = ("log_linear", "none of the computed levels", "use_flow_sigmas goes with neither")
"""What diffusers paints and we refuse: levels with timesteps that are not theirs, a turn that ends in no step, and the
levels of betas on the straight path."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    from tests.parity.conftest import make_pipeline

    pipeline: StableDiffusionPipeline = make_pipeline(tmp_path_factory.mktemp("sweep"))
    return Bench(pipeline)


@pytest.mark.parametrize("name", NEAR)
def test_what_is_near_another_class_is_one_of_ours(name: str) -> None:
    assert hasattr(diffusers, name)
    assert name not in CLASSES
    assert NEAR[name].partition(" ")[0] in CLASSES


@pytest.mark.parametrize("name", CLASSES)
def test_the_keys_are_those_of_the_constructor(name: str) -> None:
    taken = set(inspect.signature(getattr(diffusers, name).__init__).parameters) - {"self"}
    assert CLASSES[name].keys == taken


@pytest.mark.parametrize("name", CLASSES)
def test_the_defaults_are_those_of_the_constructor(name: str) -> None:
    """But for DEIS, whose algorithm and solver are called after it and are the only ones."""
    kind = CLASSES[name]
    own = {"algorithm_type", "solver_type"} if name.startswith("DEIS") else set()
    for key, parameter in inspect.signature(getattr(diffusers, name).__init__).parameters.items():
        if key in kind.keys - own and VALUES[key] is not ANYTHING:
            ours = {**DEFAULTS, **kind.defaults}[key]
            assert (ours or None) == (parameter.default or None), key


def apart(bench: Bench, draw: random.Random) -> tuple[str, float | None]:
    config, steps = case(draw)
    try:
        distance = bench.apart(config, steps)
    except CheckpointError as error:
        if any(words in str(error) for words in REFUSED):
            return "", None
        raise
    return f"{steps} steps of {config}", None if known(config, steps) else distance


@pytest.mark.parametrize("seed", range(12))
def test_a_sample_of_the_sweep(bench: Bench, seed: int) -> None:
    what, distance = apart(bench, random.Random(1000 + seed))
    assert distance is None or distance <= LEVELS, f"{distance} levels apart: {what}"


@pytest.mark.slow
def test_the_sweep(bench: Bench) -> None:
    """500 configurations; at least 300 of them are compared and not among the known differences."""
    found = [apart(bench, random.Random(seed)) for seed in range(500)]
    compared = [(distance, what) for what, distance in found if distance is not None]
    assert len(compared) > 300
    worst = max(compared)
    assert worst[0] <= LEVELS, f"{worst[0]} levels apart: {worst[1]}"
