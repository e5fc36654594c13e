"""Portraits: prompts of attributes in the words that the model learned, and characters who stay the same."""

from pathlib import Path

import pytest

from sfumato import Portrait, Studio
from sfumato.errors import RequestError, UnknownNameError
from sfumato.prompts.builder import character, worded
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.tasks.portrait import built

ABOUT = {
    "portrait": {
        "style": ("toon portrait", "comic portrait"),
        "background": ("red", "lavender"),
        "skin": ("tan", "pale"),
        "hair": ("mohawk", "bob hair", "braids"),
        "hair_color": ("pink", "blue", "black"),
        "mouth": ("smile", "frown", "laugh"),
        "headwear": ("cap",),
        "headwear_color": ("green", "white"),
    },
    "planet": {"planet_color": ("red",), "ring": ("thin ring",)},
}
VOCABULARY = Vocabulary(("x",), ABOUT)


def test_attributes_are_worded_as_captions_are() -> None:
    request = Portrait(
        traits=("hair=mohawk", "background=lavender", "style=toon portrait", "skin=tan", "hair_color=pink")
    )
    done = built(request, "m", VOCABULARY)
    assert done.prompt == "toon portrait, tan skin, pink mohawk, lavender background"
    assert (done.traits, done.seed) == ((), None)
    assert built(done, "m", VOCABULARY) == done
    more = request.changed(traits=(*request.traits, "hair="), prompt="a scar")
    assert built(more, "m", VOCABULARY).prompt == "toon portrait, tan skin, lavender background, a scar"
    assert worded(VOCABULARY, "planet", {"planet_color": "red", "ring": "thin ring"}) == "red planet, thin ring"


def test_a_character_stays_what_is_not_asked_to_change() -> None:
    names = [f"c{i}" for i in range(40)]
    drawn = [character(VOCABULARY, "portrait", name) for name in names]
    assert drawn == [character(VOCABULARY, "portrait", name) for name in names]
    assert len({str(each) for each in drawn}) > 30
    assert len({seed for _, seed in drawn}) == 40
    assert all(("headwear" in traits) == ("headwear_color" in traits) for traits, _ in drawn)
    assert 0 < sum("headwear" in traits for traits, _ in drawn) < 25
    plain = built(Portrait(character="anna"), "m", VOCABULARY)
    moved = built(Portrait(character="anna", traits=("mouth=frown",)), "m", VOCABULARY)
    traits, seed = character(VOCABULARY, "portrait", "anna")
    assert moved.seed == plain.seed == seed
    assert moved.prompt == plain.prompt.replace(traits["mouth"], "frown")
    assert built(Portrait(character="anna", seed=5), "m", VOCABULARY).seed == 5


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        (("hare=mohawk",), "attribute of portraits.*hair"),
        (("hair=mohauk",), "hair that m knows.*mohawk"),
        (("hair",), "give NAME=VALUE"),
    ],
)
def test_what_the_model_does_not_know(traits: tuple[str, ...], words: str) -> None:
    with pytest.raises((UnknownNameError, RequestError), match=words):
        built(Portrait(traits=traits), "m", VOCABULARY)


def test_a_model_that_says_nothing_of_itself_takes_a_prompt_alone(tiny: Path) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    with pytest.raises(RequestError, match="does not say which attributes it knows"):
        studio.portrait(character="anna")
    plain = studio.portrait(prompt="a face", seed=1, steps=2)
    assert plain[0].tobytes() == studio.txt2img("a face", seed=1, steps=2)[0].tobytes()
