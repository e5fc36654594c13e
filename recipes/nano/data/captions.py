"""Captions for a picture's attributes, made anew each time: what a person might type to get this picture.

`caption` varies order, words and how much is said; `full_caption` says everything, always in the same way. A
colour always stands before the thing it colours.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from .words import STYLES

Choose = Callable[[Sequence[str]], str]

DROP_SHARE: Final = 0.15  # of the attributes, in most captions
TERSE_SHARE: Final = 0.15  # of the captions: these lose most attributes
TERSE_DROP_SHARE: Final = 0.7
TAGS_SHARE: Final = 0.5  # tag lists; the others are sentences
STYLE_FIRST_SHARE: Final = 0.75
STYLE_DROP_SHARE: Final = 0.05

THINGS: Final = (
    "hair",
    "headwear",
    "skin",
    "eyes",
    "eyebrows",
    "accessory",
    "mouth",
    "facial_hair",
    "clothing",
)

# What a colour is called when the thing it belongs to goes unmentioned: "red hair", "blue clothes".
GENERIC: Final[Mapping[str, str]] = {"hair": "hair", "clothing": "clothes"}

# For a picture whose style goes unmentioned.
ANY_STYLE: Final = ("portrait", "person", "avatar")

# The first is the plain word, used in full captions.
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "afro": ("afro", "afro hair"),
    "bald head": ("bald head", "no hair"),
    "big smile": ("big smile", "smile"),
    "blonde": ("blonde", "blond"),
    "bob hair": ("bob hair", "bob haircut", "bob"),
    "bob hair with bangs": ("bob hair with bangs", "bob with bangs"),
    "cap": ("cap", "baseball cap"),
    "dark grey": ("dark grey", "dark gray"),
    "fancy moustache": ("fancy moustache", "curly moustache"),
    "full beard": ("full beard", "beard"),
    "grey": ("grey", "gray"),
    "hoodie": ("hoodie", "hooded sweater"),
    "light grey": ("light grey", "light gray"),
    "long dreadlocks": ("long dreadlocks", "dreadlocks"),
    "long straight hair": ("long straight hair", "straight long hair", "long hair"),
    "long wavy hair": ("long wavy hair", "wavy long hair"),
    "mohawk": ("mohawk", "mohawk hair"),
    "moustache": ("moustache", "mustache"),
    "oval sunglasses": ("oval sunglasses", "sunglasses"),
    "plaid shirt": ("plaid shirt", "checkered shirt"),
    "pompom winter hat": ("pompom winter hat", "winter hat", "hat"),
    "rectangular glasses": ("rectangular glasses", "glasses"),
    "round glasses": ("round glasses", "glasses"),
    "serious mouth": ("serious mouth", "serious face"),
    "short curly hair": ("short curly hair", "curly short hair"),
    "t-shirt": ("t-shirt", "shirt", "tee"),
    "turtleneck": ("turtleneck", "turtleneck sweater"),
    "wide hat": ("wide hat", "hat"),
    "winking eye": ("winking eye", "wink"),
    "winter beanie": ("winter beanie", "beanie"),
}

# Expressions as a sentence says them.
DOING: Final[Mapping[str, str]] = {
    "angry mouth": "looking angry",
    "big smile": "smiling broadly",
    "crying eyes": "crying",
    "frown": "frowning",
    "grimace": "grimacing",
    "laugh": "laughing",
    "sad mouth": "looking sad",
    "scream": "screaming",
    "serious mouth": "looking serious",
    "sideways glance": "looking sideways",
    "smile": "smiling",
    "smirk": "smirking",
    "surprised mouth": "looking surprised",
    "tongue out": "sticking out the tongue",
    "winking eye": "winking",
    "worried mouth": "looking worried",
}

# fmt: off
# Nouns which take no article.
BARE_NOUNS: Final = frozenset({
    "hair", "eyes", "eyebrows", "glasses", "sunglasses", "dreadlocks", "pigtails", "cheeks", "skin",
    "lips", "stubble", "clothes", "overalls", "jeans", "socks", "scissors", "books", "headphones",
    "fireworks", "fire", "hearts", "pins", "cherries", "grapes", "blueberries", "pancakes", "fries",
    "bacon", "broccoli", "garlic", "popcorn", "butter", "spaghetti", "sushi", "corn", "bread", "shrimp",
    "earth", "saturn",
})
# fmt: on


def caption(attributes: Mapping[str, str], rng: Random) -> str:
    """A caption drawn at random; the same state of `rng` gives the same caption."""
    if attributes["kind"] == "emoji":
        return _emoji_caption(attributes, rng)
    share = TERSE_DROP_SHARE if rng.random() < TERSE_SHARE else DROP_SHARE
    told = {key: words for key, words in attributes.items() if rng.random() >= share}
    style = STYLES[attributes["style"]] if rng.random() >= STYLE_DROP_SHARE else ""
    return _tag_list(told, style, rng) if rng.random() < TAGS_SHARE else _sentence(told, style, rng)


def full_caption(attributes: Mapping[str, str]) -> str:
    """The caption which says everything, for validation and documentation."""
    style = STYLES[attributes["style"]]
    if attributes["kind"] == "emoji":
        return f"{style} of {_with_article(attributes['name'])}, {attributes['background']} background"
    return ", ".join([style, *_tags(attributes, lambda words: words[0])])


def _tag_list(attributes: Mapping[str, str], style: str, rng: Random) -> str:
    tags = _tags(attributes, rng.choice)
    rng.shuffle(tags)
    if not style:
        return ", ".join([rng.choice(ANY_STYLE), *tags])
    return ", ".join([style, *tags] if rng.random() < STYLE_FIRST_SHARE else [*tags, style])


def _sentence(attributes: Mapping[str, str], style: str, rng: Random) -> str:
    has = _things(attributes, ("hair", "skin", "accessory", "facial_hair"), rng.choice)
    wears = _things(attributes, ("headwear", "clothing"), rng.choice)
    does: list[str] = []
    for key in ("eyes", "eyebrows", "mouth"):
        if attributes.get(key) in DOING:
            does.append(DOING[attributes[key]])
        else:
            has += _things(attributes, (key,), rng.choice)
    rng.shuffle(has)
    rng.shuffle(wears)

    subject = "a person" + (f" with {_join([_with_article(words) for words in has])}" if has else "")
    parts: list[str] = []
    if wears:
        parts.append(f"wearing {_join([_with_article(words) for words in wears])}")
    if does:
        parts.append(_join(does))
    rng.shuffle(parts)
    if "background" in attributes:
        background = _word(attributes["background"], rng.choice)
        parts.append(rng.choice((f"on {_with_article(background)} background", f"{background} background")))
    if style and rng.random() < STYLE_FIRST_SHARE:
        return ", ".join([f"{_with_article(style)} of {subject}", *parts])
    return ", ".join([subject, *parts, *([style] if style else [])])


def _emoji_caption(attributes: Mapping[str, str], rng: Random) -> str:
    name, style = attributes["name"], STYLES[attributes["style"]]
    thing = _with_article(name)
    forms = (f"{style} of {thing}", f"{name}, {style}", f"{name} emoji", thing, name)
    subject = rng.choices(forms, weights=(3, 1, 1, 2, 1))[0]
    if rng.random() < DROP_SHARE:
        return subject
    background = _word(attributes["background"], rng.choice)
    return subject + rng.choice((f" on {_with_article(background)} background", f", {background} background"))


def _tags(attributes: Mapping[str, str], choose: Choose) -> list[str]:
    tags = _things(attributes, THINGS, choose)
    if "background" in attributes:
        tags.append(f"{_word(attributes['background'], choose)} background")
    return tags


def _things(attributes: Mapping[str, str], keys: Sequence[str], choose: Choose) -> list[str]:
    """Phrases for those of the attributes which are told, each with its colour in front."""
    phrases: list[str] = []
    for key in keys:
        colour = attributes.get(f"{key}_color")
        thing = attributes.get(key, GENERIC.get(key) if colour else None)
        if thing is not None:
            words = f"{thing} skin" if key == "skin" else _word(thing, choose)
            phrases.append(f"{_word(colour, choose)} {words}" if colour else words)
    return phrases


def _word(words: str, choose: Choose) -> str:
    return choose(SYNONYMS.get(words, (words,)))


def _with_article(words: str) -> str:
    noun = words.split(" with ")[0].split()[-1]
    if noun in BARE_NOUNS or words.startswith("one "):
        return words
    vowel = words[0] in "aeiou" and not words.startswith(("uni", "ufo"))
    return f"{'an' if vowel or words.startswith('hour') else 'a'} {words}"


def _join(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
