"""Random scenes with known attributes: plants in pots, planets, landscapes.

Like `portraits.py`, whose `svg` draws them. Words live in `words.scenes`; this module only knows which
choices go together.
"""

from collections.abc import Collection
from random import Random

from PIL import ImageColor

from . import words
from .portraits import Portrait, finish, pick, pick_by_words
from .words.scenes import (
    BLOOMS,
    DARK,
    FULL_MOONS,
    GREENS,
    KINDS,
    LAKES,
    LAYERS,
    MOONS,
    NIGHT,
    PLANETS,
    POTS,
    RARE_LEAVES,
    SKIES,
    SPACE,
    SUNS,
    TERRAINS,
    VARIANTS,
    WATERS,
)

SCENE_STYLES = tuple(KINDS)

GREEN_SHARE = 0.75  # of leaves
CHEEKS_SHARE = 0.3
SPACE_SHARE = 0.6  # black or navy blue behind a planet
SURFACE_SHARE = 0.85
RING_SHARE = 0.45
MOONS_SHARE = 0.4
STARS_SHARE = 0.85
ORB_SHARE = 0.8  # a sun or a moon in the sky
LAKE_SHARE = 0.3
DUSK = 0.35  # how much of the land's colour the night takes


def draw(style: str, rng: Random) -> Portrait:
    """A random scene of the style, its attributes noted and its split decided."""
    scene = Portrait(style, {"kind": KINDS[style], "style": style})
    scene.options["seed"] = str(rng.getrandbits(32))  # shifts and turns hills, stars, rings
    scene.show("animation", None)
    DRAWERS[style](scene, rng)
    return finish(scene, rng)


def _vary(scene: Portrait, rng: Random, component: str, *, share: float = 1.0) -> None:
    """Draw a component's variant by its words, or hide it; its attribute has the component's name."""
    if rng.random() >= share:
        scene.show(component, None)
        return
    table = VARIANTS[scene.style][component]
    variant = pick_by_words(rng, table)
    scene.show(component, variant)
    scene.say(component, table[variant])


def _tint(
    scene: Portrait, rng: Random, color: str, table: words.Words, attribute: str = "", avoid: Collection[str] = ()
) -> None:
    """Draw a colour by name, and note it as `attribute` if there is one."""
    value = pick_by_words(rng, table, avoid)
    scene.paint(color, value)
    if attribute:
        scene.say(attribute, table[value])


def _draw_sprouts(scene: Portrait, rng: Random) -> None:
    _tint(scene, rng, "background", words.BACKGROUNDS, "background")
    background = {scene.attributes["background"]}
    for component in ("plant", "pot", "eyes", "mouth"):
        _vary(scene, rng, component)
    _vary(scene, rng, "cheeks", share=CHEEKS_SHARE)
    scene.show("pattern", None)
    _tint(scene, rng, "pot", POTS, "pot_color", avoid=background)

    leaves = GREENS if rng.random() < GREEN_SHARE else RARE_LEAVES
    match scene.attributes["plant"]:
        case "flower" | "tulip" | "flower buds":  # the colour of a flower is that of its petals
            _tint(scene, rng, "plant", GREENS, avoid=background)
            _tint(scene, rng, "bloom", BLOOMS, "plant_color", avoid=background)
        case "bush" | "round cactus" as plant:
            _tint(scene, rng, "plant", leaves, "plant_color", avoid=background)
            bloom = "berries" if plant == "bush" else "flower"
            scene.say(bloom, bloom)
            taken = background | {scene.attributes["plant_color"]}
            _tint(scene, rng, "bloom", BLOOMS, f"{bloom}_color", avoid=taken)
        case _:
            _tint(scene, rng, "plant", leaves, "plant_color", avoid=background)


def _draw_planets(scene: Portrait, rng: Random) -> None:
    names = SPACE if rng.random() < SPACE_SHARE else DARK - SPACE
    backgrounds = {value: name for value, name in words.BACKGROUNDS.items() if name in names}
    _tint(scene, rng, "background", backgrounds, "background")
    _tint(scene, rng, "planet", PLANETS, "planet_color", avoid={scene.attributes["background"]})
    scene.paint("moon", pick(rng, MOONS))
    for component, share in {
        "planet": 1.0,
        "shade": 1.0,
        "surface": SURFACE_SHARE,
        "ring": RING_SHARE,
        "moons": MOONS_SHARE,
        "star": STARS_SHARE,
    }.items():
        _vary(scene, rng, component, share=share)
    if "star" in scene.attributes:
        scene.attributes["stars"] = scene.attributes.pop("star")


def _draw_landscape(scene: Portrait, rng: Random) -> None:
    time = pick(rng, SKIES)
    sky = pick(rng, SKIES[time])
    scene.say("time_of_day", time)
    scene.say("sky_color", sky)
    top, horizon = SKIES[time][sky]
    scene.options["backgroundColor"] = [top, horizon, horizon]  # evenly spread, and the land hides the lower half
    scene.options |= {"backgroundColorFill": ["linear"], "backgroundColorOrder": "fixed", "backgroundColorAngle": [90]}

    if rng.random() < ORB_SHARE:
        orb = pick(rng, VARIANTS["landscape"]["orb"])
        halo = VARIANTS["landscape"]["orb"][orb]
        name, attribute, table = ("full moon", "moon", FULL_MOONS) if time == "night" else ("sun", "sun", SUNS)
        scene.show("orb", orb)
        scene.say(attribute, f"{name} with a {halo}" if halo else name)
        _tint(scene, rng, "orb", table, f"{attribute}_color", avoid=_lost_in(sky))
    else:
        scene.show("orb", None)

    terrain = pick(rng, TERRAINS)
    shapes, colors = TERRAINS[terrain]
    color = pick(rng, [each for each in colors if each not in sky.split(" and ")])
    scene.say("terrain", terrain)
    scene.say("terrain_color", color)
    layers: list[tuple[str | None, str]] = [(pick(rng, shapes), value) for value in LAYERS[color]]
    if terrain == "sea":
        layers[0] = (None, LAYERS[color][0])  # a low horizon
    if terrain in LAKES and rng.random() < LAKE_SHARE:
        water = pick(rng, [each for each in WATERS if each != color])
        scene.say("water", "lake")
        scene.say("water_color", water)
        layers[2:] = [("gentle", value) for value in LAYERS[water][1:3]]
    for hill, (shape, value) in enumerate(layers, start=1):
        scene.show(f"hill{hill}", shape)
        dark = time == "night" and value not in LAYERS["white"]
        scene.paint(f"hill{hill}", _mix(value, NIGHT, DUSK) if dark else value)


def _lost_in(sky: str) -> set[str]:
    """The names of colours in which a sun or a moon would vanish."""
    return {"white", sky.removeprefix("light ")} if sky.startswith("light ") else set(sky.split(" and "))


def _mix(value: str, other: str, share: float) -> str:
    """A hex colour with a share of another."""
    mixed = (
        round(ours + share * (theirs - ours))
        for ours, theirs in zip(ImageColor.getrgb(value), ImageColor.getrgb(other), strict=True)
    )
    return "#" + bytes(mixed).hex()


DRAWERS = {"sprouts": _draw_sprouts, "planets": _draw_planets, "landscape": _draw_landscape}
