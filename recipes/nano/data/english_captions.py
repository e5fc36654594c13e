"""English words for a picture: tag lists and sentences. A colour stands before the thing that it colours."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from .phrasing import STYLE_FIRST_SHARE, Attributes, Choose, Phrasing, plainest
from .things import things
from .words import STYLES
from .words.objects import ENGLISH as POSITIONS

ALONE: Final[Mapping[str, str]] = {"clothing": "clothes", "terrain": "ground"}
"""What a colour stands before when its thing goes unmentioned, where the key itself is not the word."""

# For a picture whose style goes unmentioned.
ANY_STYLE: Final[Mapping[str, tuple[str, ...]]] = {
    "portrait": ("portrait", "person", "avatar"),
    "character": ("character", "game character"),
    "plant": ("plant", "potted plant"),
    "planet": ("planet",),
    "landscape": ("landscape", "scenery"),
    "scene": ("scene", "scenery", "view"),
}

# The first is the plain word, used in full captions.
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "afro": ("afro", "afro hair"),
    "autumn": ("autumn", "fall"),
    "bald head": ("bald head", "no hair"),
    "beach umbrella": ("beach umbrella", "parasol", "umbrella"),
    "beach": ("beach", "seaside", "seashore"),
    "big smile": ("big smile", "smile"),
    "blonde": ("blonde", "blond"),
    "bob hair with bangs": ("bob hair with bangs", "bob with bangs"),
    "bob hair": ("bob hair", "bob haircut", "bob"),
    "cap": ("cap", "baseball cap"),
    "city skyline": ("city skyline", "city", "skyline"),
    "dark grey": ("dark grey", "dark gray"),
    "fancy moustache": ("fancy moustache", "curly moustache"),
    "fish": ("fish", "fishes"),
    "flat illustration": ("flat illustration", "flat vector illustration"),
    "full beard": ("full beard", "beard"),
    "garden": ("garden", "flower garden"),
    "gradient poster": ("gradient poster", "gradient illustration"),
    "grey": ("grey", "gray"),
    "harbour": ("harbour", "harbor", "port"),
    "hoodie": ("hoodie", "hooded sweater"),
    "hot air balloon": ("hot air balloon", "balloon"),
    "light grey": ("light grey", "light gray"),
    "long dreadlocks": ("long dreadlocks", "dreadlocks"),
    "long straight hair": ("long straight hair", "straight long hair", "long hair"),
    "long wavy hair": ("long wavy hair", "wavy long hair"),
    "meadow": ("meadow", "field", "grassland"),
    "mohawk": ("mohawk", "mohawk hair"),
    "mountain landscape": ("mountain landscape", "mountain scenery"),
    "moustache": ("moustache", "mustache"),
    "outer space": ("outer space", "space"),
    "oval sunglasses": ("oval sunglasses", "sunglasses"),
    "paper cut illustration": ("paper cut illustration", "papercut illustration", "paper cutout art"),
    "plaid shirt": ("plaid shirt", "checkered shirt"),
    "pompom winter hat": ("pompom winter hat", "winter hat", "hat"),
    "rectangular glasses": ("rectangular glasses", "glasses"),
    "round glasses": ("round glasses", "glasses"),
    "rowing boat": ("rowing boat", "boat", "rowboat"),
    "sailboat": ("sailboat", "sailing boat"),
    "sea": ("sea", "ocean"),
    "serious mouth": ("serious mouth", "serious face"),
    "short curly hair": ("short curly hair", "curly short hair"),
    "snowfall": ("snowfall", "falling snow"),
    "snowy landscape": ("snowy landscape", "winter landscape", "snow landscape"),
    "soft painting": ("soft painting", "painting", "painterly illustration"),
    "starry sky": ("starry sky", "many stars"),
    "t-shirt": ("t-shirt", "shirt", "tee"),
    "thunderstorm": ("thunderstorm", "storm", "lightning storm"),
    "turtleneck": ("turtleneck", "turtleneck sweater"),
    "underwater world": ("underwater world", "underwater scene"),
    "village": ("village", "small village"),
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

BEFORE: Final[Mapping[str, str]] = {
    "bald head": "bald",
    "full beard": "bearded",
    **{thing: doing for thing, doing in DOING.items() if " " not in doing},
}
"""What can stand before a person: a smiling girl."""
BEFORE_SHARE: Final = 0.3

BARE_NOUNS: Final = frozenset(
    {
        "hair",
        "skin",
        "stubble",
        "fire",
        "bacon",
        "broccoli",
        "garlic",
        "popcorn",
        "butter",
        "spaghetti",
        "sushi",
        "corn",
        "bread",
        "shrimp",
        "earth",
        "saturn",
        "space",
        "grassland",
        "seaweed",
        "water",
        "scenery",
    }
)
"""Nouns which take no article, besides plurals."""
SINGULAR_ENDS: Final = ("ss", "us", "is", "bus", "lens", "gas", "iris", "atlas", "canvas", "pancreas")
"""Ends in s of nouns which are no plurals."""

PERSONS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("person",),
    "man": ("man", "man", "guy", "boy"),
    "woman": ("woman", "girl"),
}
DOERS: Final = ("eyes", "eyebrows", "mouth")
WHEN: Final[Mapping[str, str]] = {
    "daytime": "in the daytime",
    "night": "at night",
    "sunrise": "at sunrise",
    "sunset": "at sunset",
    "dusk": "at dusk",
    "spring": "in spring",
    "summer": "in summer",
    "autumn": "in autumn",
    "winter": "in winter",
    "rain": "in the rain",
    "thunderstorm": "in a thunderstorm",
    "fog": "in the fog",
    "snowfall": "in falling snow",
    "cloudy": "on a cloudy day",
}
"""Hours, seasons and weather as a sentence says them."""
WORN: Final = ("headwear", "clothing")


def _sentence(attributes: Attributes, rng: Random) -> str:
    """One sentence, as one tells a friend what to draw: a smiling red-haired girl with glasses, blue background."""
    before: list[str] = []
    has: list[str] = []
    wears: list[str] = []
    does: list[str] = []
    when: list[str] = []
    for key, (thing, colour) in things(attributes).items():
        if thing is not None and thing in WHEN:
            (when if attributes["kind"] == "scene" else does).append(WHEN[thing])
        elif key == "place":
            continue
        elif thing is not None and thing in BEFORE and rng.random() < BEFORE_SHARE:
            before.insert(0 if key in DOERS else len(before), BEFORE[thing])
        elif key == "hair" and colour is not None and rng.random() < BEFORE_SHARE:
            before.append(f"{_word(colour, rng.choice)}-haired")
        elif key in DOERS and thing is not None and thing in DOING:
            does.append(DOING[thing])
        else:
            (wears if key in WORN else has).append(with_article(_phrase(key, thing, colour, rng.choice)))
    rng.shuffle(has)
    rng.shuffle(wears)
    style = _word(STYLES[attributes["style"]], rng.choice) if attributes["style"] else ""
    if attributes["kind"] == "portrait":
        subject = ENGLISH.person(attributes, rng)
    elif "place" in attributes:
        subject = _word(attributes["place"], rng.choice)
    else:
        subject, style = style or rng.choice(ANY_STYLE[attributes["kind"]]), ""
    subject = " ".join([with_article(" ".join([*before, subject])), *when])
    subject += f" with {_join(has)}" if has else ""
    parts = ([f"wearing {_join(wears)}"] if wears else []) + ([_join(does)] if does else [])
    rng.shuffle(parts)
    if "background" in attributes:
        background = _word(attributes["background"], rng.choice)
        parts.append(rng.choice((f"on {with_article(background)} background", f"{background} background")))
    if style and rng.random() < STYLE_FIRST_SHARE:
        return ", ".join([f"{with_article(style)} of {subject}", *parts])
    return ", ".join([subject, *parts, *([style] if style else [])])


def _emoji(attributes: Attributes, rng: Random) -> str:
    """A thing by its name, with or without its look, a tag and the background."""
    name = _sized(attributes)
    thing = with_article(name)
    if attributes["style"]:
        style = STYLES[attributes["style"]]
        forms = (f"{style} of {thing}", f"{name}, {style}", f"{style} of {name}")
    else:
        forms = (thing, name, f"{name} emoji")
    form = rng.choices(forms, weights=(3, 2, 1))[0]
    subject = ENGLISH.tagged(form, attributes["name"], attributes.get("tags", ""), rng)
    setting = "".join(f", {words}" for words in _setting(attributes, rng.choice))
    if "background" not in attributes:
        return subject + setting
    background = _word(attributes["background"], rng.choice)
    return subject + rng.choice((f" on {with_article(background)} background", f", {background} background")) + setting


def _full_emoji(attributes: Attributes) -> str:
    """Look, name and background."""
    thing = with_article(_sized(attributes))
    said = [f"{STYLES[attributes['style']]} of {thing}", f"{attributes['background']} background"]
    return ", ".join([*said, *_setting(attributes, plainest)])


def _sized(attributes: Attributes) -> str:
    """A thing's name with its size, if that is known."""
    return f"{attributes['size']} {attributes['name']}" if "size" in attributes else attributes["name"]


def _setting(attributes: Attributes, choose: Choose) -> list[str]:
    """Where a thing is in the picture and where it looks, as far as it is known."""
    said = [choose(POSITIONS[attributes["position"]])] if "position" in attributes else []
    return [*said, f"facing {attributes['facing']}"] if "facing" in attributes else said


def _background(colour: str, choose: Choose) -> str:
    return f"{_word(colour, choose)} background"


def _phrase(key: str, thing: str | None, colour: str | None, choose: Choose) -> str:
    """The thing with its colour in front; a colour alone takes the plain word for its thing."""
    words = _word(thing, choose) if thing is not None else ALONE.get(key, key)
    words += " skin" if key == "skin" else ""
    return f"{_word(colour, choose)} {words}" if colour else words


def _word(words: str, choose: Choose) -> str:
    return choose(SYNONYMS.get(words, (words,)))


def with_article(words: str) -> str:
    noun = words.split(" with ")[0].split(" of ")[0].split()[-1]
    plural = noun.endswith("s") and not noun.endswith(SINGULAR_ENDS)
    if plural or noun in BARE_NOUNS or words.startswith(("one ", "two ")):
        return words
    vowel = words[0] in "aeiou" and not words.startswith(("uni", "ufo"))
    return f"{'an' if vowel or words.startswith('hour') else 'a'} {words}"


def _join(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


ENGLISH: Final = Phrasing(
    comma=", ",
    any_style=ANY_STYLE,
    persons=PERSONS,
    style=lambda style, choose: _word(STYLES[style], choose),
    phrase=_phrase,
    background=_background,
    sentence=_sentence,
    emoji=_emoji,
    full_emoji=_full_emoji,
)
