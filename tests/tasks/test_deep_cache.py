"""DeepCache: what is kept from step to step, when, and what it does not go with; the preset `fast`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import RequestError, Studio, Txt2Img
from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.unet import UNet
from sfumato.tasks.session import resolve

SMALL = {"prompt": "a red fox", "width": 32, "height": 32, "seed": 1}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of `whole` and `shallow` the U-Nets run, in turn."""
    made: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        plain = getattr(UNet, name)

        def call(self: UNet, *given: Any) -> Any:
            made.append(name)
            return plain(self, *given)

        return call

    for name in ("whole", "shallow"):
        monkeypatch.setattr(UNet, name, noted(name))
    return made


@torch.inference_mode()
def test_with_its_own_deep_features_the_shallow_network_is_the_whole(tiny: Path) -> None:
    network = Studio(tiny, precision="fp32").load().network
    assert isinstance(network, UNet)
    generator = torch.Generator().manual_seed(0)
    x, tokens = torch.randn(2, 4, 8, 6, generator=generator), torch.randn(2, 16, 16, generator=generator)
    label, cond = torch.tensor([500.0, 500.0]), Conditioning(tokens)
    whole, deep = network.whole(x, label, cond)
    assert torch.equal(network.shallow(x, label, cond, deep), whole)
    assert torch.equal(network(x, label, cond), whole)
    assert not torch.equal(network.shallow(x, label, cond, torch.zeros_like(deep)), whole)


@pytest.mark.parametrize(
    ("every", "sampler", "right"),
    [
        (1, "euler", "wwwww"),
        (2, "euler", "wswsw"),
        (3, "euler", "wssws"),
        (8, "euler", "wssss"),
        # Heun calls twice a step, the second time at the level of the next step, and once in the last.
        (2, "heun", "wsswsssws"),
    ],
)
def test_every_so_many_steps_run_whole(tiny: Path, calls: list[str], every: int, sampler: Any, right: str) -> None:
    request = Txt2Img(**SMALL, steps=5, guidance=3.0, sampler=sampler, deep_cache=every)  # type: ignore[arg-type]
    Studio(tiny, precision="fp32").run(request.changed(model=str(tiny)))
    assert "".join(call[0] for call in calls)[: len(right)] == right
    assert len(calls) == (5 if sampler == "euler" else 10)


def test_nothing_is_kept_from_one_batch_to_the_next(tiny: Path) -> None:
    studio = Studio(tiny, precision="fp32")
    request = Txt2Img(**SMALL, steps=4, guidance=3.0, deep_cache=8)  # type: ignore[arg-type]
    request = request.changed(model=str(tiny))
    both = studio.run(request.changed(count=2, batch=1)).images
    alone = studio.run(request.changed(seed=2)).images
    assert both[1].tobytes() == alone[0].tobytes()
    assert both[0].tobytes() != both[1].tobytes()


def test_guidance_that_ends_changes_the_batch_and_runs_whole(tiny: Path, calls: list[str]) -> None:
    studio = Studio(tiny, precision="fp32")
    request = Txt2Img(**SMALL, steps=4, guidance=3.0, guidance_low=0.9, deep_cache=4)  # type: ignore[arg-type]
    studio.run(request.changed(model=str(tiny)))
    assert calls == ["whole", "shallow", "whole", "shallow"]


@pytest.mark.parametrize("other", [{"freeu": 1.0}, {"pag": 3.0}, {"tile": 16, "tile_overlap": 8}])
def test_what_looks_into_the_network_is_refused_beside_it(tiny: Path, other: dict[str, Any]) -> None:
    request = Txt2Img(**SMALL, steps=2, deep_cache=2, **other)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="deep_cache is 2, which does not go with freeu, pag"):
        Studio(tiny, precision="fp32").run(request.changed(model=str(tiny)))


def test_fast_fills_in_what_is_left_open(tiny: Path) -> None:
    model = Studio(tiny, precision="fp32").load()
    model = replace(model, family=replace(model.family, steps=24))
    fast = Txt2Img(**SMALL, fast=True)  # type: ignore[arg-type]

    def filled(request: Txt2Img) -> tuple[int | None, int]:
        exact = resolve(model, request)
        assert resolve(model, exact) == exact
        return exact.steps, exact.deep_cache

    assert filled(fast) == (16, 2)
    assert filled(fast.changed(steps=30)) == (30, 2)
    assert filled(fast.changed(deep_cache=3)) == (16, 3)
    assert filled(fast.changed(pag=2.0)) == (16, 1)
    assert filled(fast.changed(fast=False)) == (24, 1)
    model = replace(model, family=replace(model.family, steps=4))  # as distilled ones have
    assert filled(fast) == (4, 1)
