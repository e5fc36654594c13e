"""Results show themselves, and save with what painted them."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sfumato.metadata.provenance import Provenance
from sfumato.output import read_request
from sfumato.requests import Txt2Img
from sfumato.results import Result


def result(count: int) -> Result:
    request = Txt2Img.build(prompt="a <b>", seed=4, count=count, width=16, height=16, batch=count, steps=2)
    images = [Image.new("RGB", (16, 16), (i, 2, 3)) for i in range(count)]
    return Result(images, request, [4 + i for i in range(count)], {"sample": 1.0}, Provenance("ab"))


def test_a_result_is_a_sequence_of_its_pictures() -> None:
    three = result(3)
    assert len(three) == 3
    assert list(three) == three.images
    assert three[-1] is three.images[2]


def test_it_says_what_it_is() -> None:
    assert repr(result(1)) == "<1 picture of 'a <b>', 16x16, seed 4, nano>"
    assert repr(result(3)) == "<3 pictures of 'a <b>', 16x16, seeds 4 to 6, nano>"


def test_a_notebook_gets_the_picture_with_its_request(tmp_path: Path) -> None:
    file = tmp_path / "shown.png"
    file.write_bytes(result(1)._repr_png_())
    assert read_request(file) == result(1).request.single(0)


@pytest.mark.parametrize("count", [2, 5])
def test_a_notebook_gets_several_pictures_on_a_sheet(count: int) -> None:
    with Image.open(io.BytesIO(result(count)._repr_png_())) as shown:
        assert shown.size == result(count).sheet().size


def test_a_sheet_in_a_notebook_is_of_a_showable_size() -> None:
    request = Txt2Img.build(prompt="a", seed=0, count=4, width=2048, height=1024)
    big = Result([Image.new("RGB", (2048, 1024))] * 4, request, [0, 1, 2, 3], {}, Provenance(""))
    with Image.open(io.BytesIO(big._repr_png_())) as shown:
        assert max(shown.size) <= 2100


def test_batches_saved_one_by_one_are_the_files_of_the_whole(tmp_path: Path) -> None:
    whole = result(3)
    for first, end in ((0, 2), (2, 3)):
        batch = replace(whole, images=whole.images[first:end], seeds=whole.seeds[first:end])
        assert batch.first == first
        for output in ("a.png", "numbered/", "{seed}.png", "{index}.png"):
            (tmp_path / "parts" / "numbered").mkdir(parents=True, exist_ok=True)
            batch.save(f"{tmp_path}/parts/{output}")
    for output in ("a.png", "numbered/", "{seed}.png", "{index}.png"):
        for path in whole.save(f"{tmp_path}/whole/{output}"):
            same = tmp_path / "parts" / path.relative_to(tmp_path / "whole")
            assert same.read_bytes() == path.read_bytes()
    file = tmp_path / "shown.png"
    file.write_bytes(batch._repr_png_())
    assert read_request(file).seed == 6


def test_saving_gives_a_file_for_each_seed(tmp_path: Path) -> None:
    paths = result(2).save(tmp_path / "{seed}.png")
    assert [path.name for path in paths] == ["4.png", "5.png"]
    assert read_request(paths[1]).seed == 5
