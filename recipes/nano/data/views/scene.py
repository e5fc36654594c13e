"""A view in the making: what it shows, where the sun stands, and the things that several places have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from ..words.views import PAINTS, RELIEFS, WATERS
from .ink import Ink, Point, height_at, light, mix, num, oval
from .sky import Orb, draw_sky
from .things import THINGS

LOWEST: Final = {"sailboat": 0.62, "ship": 0.62, "rowing boat": 0.78}


@dataclass
class Scene:
    """A view in the making: the ink and what is to be shown."""

    ink: Ink
    shown: Mapping[str, str]
    orb: Orb | None = None

    @property
    def width(self) -> float:
        return self.ink.width

    @property
    def height(self) -> float:
        return self.ink.height

    @property
    def season(self) -> str:
        return self.shown.get("season", "winter" if self.shown.get("weather") == "snowfall" else "summer")

    @property
    def snowy(self) -> bool:
        return self.season == "winter" or self.shown["place"] == "snowy landscape"

    def between(self, low: float, high: float) -> float:
        return self.ink.rng.uniform(low, high)

    def sky(self, horizon: float) -> float:
        """The sky down to the horizon, given as a share of the height; returns it in units."""
        self.orb = draw_sky(self.ink, self.shown, horizon * self.height)
        return horizon * self.height

    def side(self) -> float:
        """A place to the left or the right, away from the sun or the moon."""
        left, right = self.between(0.16, 0.34), self.between(0.66, 0.84)
        if self.orb is not None:
            return (right if self.orb.x < self.width / 2 else left) * self.width
        return self.ink.rng.choice((left, right)) * self.width

    def across(self, x: float) -> float:
        """A place on the other side."""
        return self.width - x + self.between(-0.05, 0.05) * self.width

    def paint(self, attribute: str) -> str:
        """The colour of a thing as the light shows it."""
        name = self.shown.get(f"{attribute}_color", "white")
        return self.ink.air.lit(PAINTS[name])

    def relief(self) -> str:
        """The colour of mountains, hills or dunes."""
        colors = RELIEFS[self.shown["relief"]]
        return colors[self.shown.get("relief_color", next(iter(colors)))]

    def water(self) -> str:
        """Its colour: the one that is said, or the sky's."""
        if "water_color" in self.shown:
            return self.ink.air.lit(WATERS[self.shown["water_color"]])
        air = self.ink.air
        blue = {"sunset": "#3b2f78", "sunrise": "#3f7cc0", "daytime": "#3a78b8"}.get(
            self.shown["time_of_day"], "#152a66"
        )
        fresh = self.shown["place"] in {"river", "lake"}  # no path, so bluer than the sky
        return mix(mix(air.top, air.middle, 0.45), blue, 0.66 if fresh else 0.45)

    def put(self, attribute: str, x: float, y: float, size: float, *, turn: float = 0.0, shadow: bool = True) -> None:
        """The thing that the attribute names, standing here; nothing if there is none."""
        name = self.shown.get(attribute, "")
        if name not in THINGS:
            return
        if shadow:
            self.ink.add(oval(x + 1.2 * size, y, 5.5 * size, 0.9 * size, "#10173a", 0.18))
        drawn = THINGS[name](self.ink, self.paint(attribute))
        self.ink.put(x, y, size, drawn, flip=self.ink.rng.random() < 0.5, turn=turn)

    def stand(self, document: str, rng: Random) -> None:
        """A square SVG document on the ground in front."""
        side = rng.uniform(34, 46)
        x, y = self.width * rng.uniform(0.36, 0.64), self.height - rng.uniform(5, 9)
        self.ink.add(oval(x, y - 0.02 * side, 0.44 * side, 0.07 * side, "#10173a", 0.24))
        box = f'x="{num(x - side / 2)}" y="{num(y - side)}" width="{num(side)}" height="{num(side)}"'
        self.ink.add(document.replace("<svg ", f"<svg {box} ", 1))

    def afloat(self, attribute: str, x: float, y: float, size: float) -> None:
        """The same on water, with its image below it."""
        name = self.shown.get(attribute, "")
        if name not in THINGS:
            return
        drawn = THINGS[name](self.ink, self.paint(attribute))
        flip = self.ink.rng.random() < 0.5
        scale = -size if flip else size
        self.ink.add(
            f'<g transform="translate({num(x)} {num(y + 0.5 * size)}) scale({num(scale)} {num(-0.55 * size)})"'
            f' opacity="0.3">{drawn}</g>'
        )
        self.ink.put(x, y, size, drawn, flip=flip)
        foam = light(self.water(), 0.5)
        self.ink.line(
            f"M{num(x - 10 * size)} {num(y + 0.9 * size)}h{num(20 * size)}M{num(x - 6 * size)} {num(y + 2.2 * size)}"
            f"h{num(15 * size)}",
            foam,
            0.45,
            0.65,
        )


def boats(scene: Scene, top: float, *, bottom: float, x: float | None = None) -> None:
    name = scene.shown.get("vehicle", "")
    if name not in LOWEST:
        return
    at = scene.side() if x is None else x
    near = scene.between(0.25, 0.65) if name != "rowing boat" else scene.between(0.5, 0.8)
    size = (0.55 + 0.75 * near) * (0.9 if name == "ship" else 1.05)
    scene.afloat("vehicle", at, top + (bottom - top) * near * 0.8 + 2, size)


def balloon(scene: Scene, horizon: float) -> None:
    """What flies."""
    match scene.shown.get("vehicle"):
        case "hot air balloon":
            scene.put(
                "vehicle", scene.side(), horizon * scene.between(0.62, 0.75), scene.between(1.15, 1.5), shadow=False
            )
        case "airplane":
            scene.put(
                "vehicle",
                scene.side(),
                horizon * scene.between(0.24, 0.38),
                scene.between(0.95, 1.2),
                turn=scene.between(-9, -3),
                shadow=False,
            )


def on_ground(scene: Scene, edge: list[Point], *, drop: float = 4.0) -> None:
    """Props and animals in front."""
    x = scene.side()
    scales = {"tent": 1.35, "campfire": 1.1, "snowman": 1.25, "bench": 1.5, "mushrooms": 1.3}
    prop = scene.shown.get("prop")
    if prop in scales:
        if prop == "mushrooms":
            for dx, size in ((-5, 1.0), (5, 0.8), (0, 1.35)):
                scene.put("prop", x + dx, height_at(edge, x) + drop + 1.5, size)
        else:
            scene.put("prop", x, height_at(edge, x) + drop, scales[prop])
    animal = scene.shown.get("animal")
    at = scene.across(x)
    ground = {"sheep": (1.15, 3), "cow": (1.25, 2), "deer": (1.25, 1), "camel": (1.35, 1), "penguin": (1.2, 2)}
    if animal in ground:
        size, count = ground[animal]
        for k in range(count):
            place = at + (0, -15, 12)[k] * (1 if at > scene.width / 2 else -1)
            place = min(max(place, 8), scene.width - 8)
            scene.put("animal", place, height_at(edge, place) + drop + (0, -2.4, 2.4)[k], size * (1, 0.8, 1.1)[k])
    elif animal == "butterfly":
        for dx, dy, size in ((0, 0, 1.35), (16, -9, 1.0), (-9, -16, 0.85)):
            scene.put(
                "animal",
                scene.width / 2 + dx,
                height_at(edge, scene.width / 2) - 6 + dy,
                size,
                turn=scene.between(-25, 25),
                shadow=False,
            )


def smoke(scene: Scene, x: float, y: float) -> None:
    for k in range(4):
        scene.ink.disc(
            x + 1.3 * k + math.sin(k * 2) * 0.8,
            y - 2.6 * k,
            1 + 0.55 * k,
            light(scene.ink.air.horizon, 0.3),
            0.5 - 0.09 * k,
        )


def ripples(scene: Scene, top: float) -> None:
    rng, ink = scene.ink.rng, scene.ink
    drawn = []
    for _ in range(ink.across(20)):
        t = rng.uniform(0, 1)
        y, w = top + (scene.height - top) * t, 3 + 9 * t
        drawn.append(f"M{num(rng.uniform(-4, scene.width))} {num(y)}h{num(w)}")
    ink.line("".join(drawn), light(scene.water(), 0.5), 0.45, 0.5)
