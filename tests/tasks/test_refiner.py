"""A model that ends what another began: when it takes over, what is written down, what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import Studio
from sfumato.diffusion.guidance import in_turn
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.metadata.provenance import Provenance
from sfumato.output import read_request

OPTIONS = {"seed": 3, "steps": 4, "guidance": 3.0}


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_each_is_asked_on_its_side_of_the_level() -> None:
    denoise = in_turn(lambda x, sigma: x + 1, lambda x, sigma: x + 2, 0.5)
    assert [float(denoise(torch.zeros(1), torch.tensor(sigma))) for sigma in (0.6, 0.5, 0.4)] == [1, 2, 2]


def test_switch_at_the_ends_is_one_model_alone(studio: Studio, tiny: Path, tiny_twin: Path) -> None:
    first = studio.txt2img("a fox", **OPTIONS)[0]  # type: ignore[arg-type]
    never = studio.txt2img("a fox", refiner=str(tiny_twin), switch=1.0, **OPTIONS)[0]  # type: ignore[arg-type]
    assert never.tobytes() == first.tobytes()
    same = studio.txt2img("a fox", refiner=str(tiny), switch=0.5, **OPTIONS)[0]  # type: ignore[arg-type]
    assert same.tobytes() == first.tobytes()
    other = studio.txt2img("a fox", refiner=str(tiny_twin), switch=0.5, **OPTIONS)[0]  # type: ignore[arg-type]
    assert np.abs(np.asarray(other, int) - np.asarray(first, int)).max() > 4


def test_it_is_written_down_and_done_again(studio: Studio, tiny_twin: Path, tmp_path: Path) -> None:
    made = studio.txt2img("a fox", refiner=str(tiny_twin), switch=0.6, **OPTIONS)  # type: ignore[arg-type]
    fields = describe(made.request, made.provenance).fields
    assert (fields["Refiner"], fields["Refiner switch at"]) == ("twin", "0.6")
    assert Provenance.read(describe(made.request, made.provenance)) != made.provenance  # whose hashes are whole
    assert len(fields["Refiner hash"]) == 10
    [file] = made.save(tmp_path / "a.png")
    assert studio.run(read_request(file))[0].tobytes() == made[0].tobytes()


def test_what_does_not_fit_is_said(studio: Studio) -> None:
    with pytest.raises(RequestError, match="cannot refine what tiny paints: the latents of sfumato nano and"):
        studio.txt2img("a fox", refiner="nano", **OPTIONS)  # type: ignore[arg-type]


def test_what_lies_between_takes_none(studio: Studio, tiny_twin: Path) -> None:
    with pytest.raises(RequestError, match="between takes no refiner"):
        studio.between("a fox", "a house", refiner=str(tiny_twin), **OPTIONS)  # type: ignore[arg-type]
