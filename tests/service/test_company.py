"""Which jobs may share batches."""

import pytest

from sfumato.requests import Denoise, Txt2Img
from sfumato.service.company import company


@pytest.mark.parametrize(
    ("changed", "apart"),
    [
        ({"prompt": "I <3 cats, a<b>c"}, False),
        ({"seed": 7, "steps": 4, "sampler": "heun", "guidance": 2.0, "negative": "<lora:ink:1>"}, False),
        ({"prompt": "a cat <lora:ink:1>"}, True),
        ({"prompt": "a cat <lora:ink:1>", "prompt_syntax": "plain"}, False),
        ({"pag": 3.0}, True),
    ],
)
def test_what_keeps_a_job_by_itself(changed: dict[str, object], apart: bool) -> None:
    assert (company(Txt2Img(prompt="a cat").changed(**changed)) is None) == apart


def test_tasks_that_do_not_paint_have_no_company() -> None:
    assert company(Denoise.build(image="a.png")) is None


def test_jobs_of_other_sizes_are_of_other_companies() -> None:
    assert company(Txt2Img(prompt="a")) == company(Txt2Img(prompt="b", seed=3))
    assert company(Txt2Img(prompt="a")) != company(Txt2Img(prompt="a", width=128))
