"""One studio, many threads: every picture is that of its request alone, and the studio stays what it was."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import save_file

from sfumato import Studio
from sfumato.requests import Txt2Img
from tests.adapters.conftest import lora

OPTIONS = ({}, {"sampler": "euler_a"}, {"pag": 2.0}, {"freeu": 1.0}, {"sampler": "dpmpp_2m_sde", "count": 2})


@pytest.fixture
def requests(tiny: Path, tmp_path: Path) -> list[Txt2Img]:
    ink = [str(tmp_path / f"ink{seed}.safetensors") for seed in (1, 2)]
    for seed, path in enumerate(ink):
        save_file(lora(seed=seed), path)
    after = ([], [ink[0]], [f"{ink[0]}:0.4", ink[1]])
    return [
        Txt2Img.build(
            prompt="a red fox", model=str(tiny), steps=2, seed=5, width=32, height=32, loras=list(loras), **options
        )
        for options in OPTIONS
        for loras in after
    ]


def painted(studio: Studio, request: Txt2Img) -> list[bytes]:
    return [image.tobytes() for image in studio.run(request)]


def test_eight_threads_paint_what_one_paints(tiny: Path, requests: list[Txt2Img]) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    alone = [painted(studio, request) for request in requests]
    assert len({one[0] for one in alone}) == len(requests)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda request: painted(studio, request), requests))
    assert together == alone
    assert painted(studio, requests[0]) == alone[0]


def test_two_models_at_once(tiny: Path, tiny_twin: Path) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    asked = [
        Txt2Img.build(prompt="a fox", model=str(model), steps=2, seed=5, width=32, height=32)
        for model in (tiny, tiny_twin)
    ]
    alone = [painted(studio, request) for request in asked]
    assert alone[0] != alone[1]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda request: painted(studio, request), asked * 4)) == alone * 4
