"""What pydantic complains about is said in our words, wherever in a model it stands."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sfumato.validation import explained


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vocabulary: int = Field(2048, gt=600)
    window: int = 48

    @model_validator(mode="after")
    def _together(self) -> "Text":
        if self.window > self.vocabulary:
            raise ValueError(f"window={self.window} must be below vocabulary={self.vocabulary}")
        return self


class Run(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: Path
    prompts: tuple[str, ...] = Field(min_length=1, examples=[["a cat"]])
    kind: Literal["flow", "v"] | None = None
    share: float = Field(0.1, ge=0, lt=1)
    views: int = Field(1, gt=0, le=64)
    width: int | None = Field(None, ge=16, le=64, multiple_of=8)
    start: bool | Path = True
    channels: tuple[Annotated[int, Field(gt=0)], ...] = (64,)
    shares: dict[str, float] = {}
    text: Text = Text()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kidn": 1}, "unknown setting 'kidn'; did you mean kind?"),
        ({"text": {"vocab": 1}}, "unknown setting of [text] 'vocab'; did you mean vocabulary?"),
        ({"vocabulary": 900}, "setting 'vocabulary' stands at the wrong place; put it in the table [text]"),
        ({"text": {"views": 2}}, "setting 'text.views' stands at the wrong place; put it above all tables"),
        ({"text": {"vocabulary": 400}}, "text.vocabulary 400 must be at least 601; use 601 or leave it out"),
        ({"text": {"window": 9000}}, "text window=9000 must be below vocabulary=2048"),
        ({"text": 3}, "text must be a table, not 3; write its settings below [text]"),
        ({"prompts": []}, "prompts has 0 entries; give at least 1"),
        ({"prompts": "a"}, "prompts must be a list, not 'a'; put it in [ ]"),
        ({"prompts": ["a", 2]}, "prompts.1 must be text, not 2; put it in quotes"),
        ({"kind": "flwo"}, "unknown kind 'flwo'; did you mean flow?"),
        ({"kind": 2}, "kind 2 must be one of flow, v"),
        ({"share": 1.0}, "share 1.0 must be at least 0 and below 1; leave it out for the default"),
        ({"share": -1}, "share -1 must be at least 0 and below 1; use 0 or leave it out"),
        ({"share": "a"}, "share must be a number, not 'a'; for example share=1.5"),
        ({"share": float("nan")}, "share nan must be at least 0 and below 1; leave it out for the default"),
        ({"views": 65}, "views 65 must be 1 to 64; use 64 or leave it out"),
        ({"views": 1.5}, "views must be a whole number, not 1.5; for example views=8"),
        ({"width": 30}, "width 30 must be a multiple of 8 from 16 to 64; use 24 or 32 or leave it out"),
        ({"start": 5}, "start must be true or false or a path, not 5"),
        ({"channels": [0]}, "channels.0 0 must be at least 1; use 1 or leave it out"),
        ({"shares": {"a": "x"}}, "shares.a must be a number, not 'x'; for example shares.a=1.5"),
    ],
)
def test_one_complaint(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Run.model_validate({"data": "d", "prompts": ["a"], **values})
    assert [str(error) for error in explained(Run, caught.value, noun="setting")] == [said]


def test_all_that_is_missing() -> None:
    with pytest.raises(ValidationError) as caught:
        Run.model_validate({})
    assert [str(error) for error in explained(Run, caught.value)] == [
        "data is missing; give a path",
        "prompts is missing; give it, for example prompts=['a cat']",
    ]
