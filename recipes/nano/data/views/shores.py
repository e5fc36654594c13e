"""Views by the water: sea, beach, island, lake, harbour."""

import math

from ..words.views import GRASS, SAND
from . import land
from .ink import box, curve, height_at, light, mix, num, oval, shape
from .scene import Scene, boats, ripples
from .sky import glitter
from .things import THINGS, is_dark


def _rock(scene: Scene, x: float, y: float) -> None:
    """A lighthouse on its rock."""
    ink = scene.ink
    edge = [
        (x - 15, y + 2),
        (x - 11, y - 1.5),
        (x - 7, y - 4.5),
        (x - 2, y - 6),
        (x + 4, y - 5.6),
        (x + 8, y - 3),
        (x + 12, y - 0.5),
        (x + 16, y + 2),
    ]
    d = curve(edge) + "Z"
    color = ink.air.tone("#6b6470", 0.1)
    ink.shadow(d)
    ink.path(d, color)
    ink.path(curve([(px + 2, py) for px, py in edge[4:]] + [(x + 2, y + 2)]) + "Z", light(color, -0.25), 0.7)
    if ink.look == "painterly":
        ink.brush((x - 13, y - 5, x + 13, y + 2), color, lambda px, py: py > height_at(edge, px) + 0.6, size=0.5)
    scene.put("building", x, y - 5, 0.95, shadow=False)
    ink.line(f"M{num(x - 16)} {num(y + 2.3)}q4 -1.2 8 0t8 0t8 0t9 0", light(scene.water(), 0.6), 0.8, 0.8)


def _starfish(scene: Scene, x: float, y: float) -> None:
    points = [
        (
            x + (2 if k % 2 == 0 else 0.9) * math.sin(k * math.pi / 5),
            y - (1.4 if k % 2 == 0 else 0.65) * math.cos(k * math.pi / 5),
        )
        for k in range(10)
    ]
    scene.ink.path("M" + "L".join(f"{num(a)} {num(b)}" for a, b in points) + "Z", scene.ink.air.lit("#e8734a"))


def sea(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.42, 0.58))
    if "land" in scene.shown:
        land.islands(ink, horizon, 1 if scene.shown["land"] == "island" else ink.across(2.6))
    land.open_water(ink, horizon, scene.water(), scene.orb)
    x = scene.side()
    if "building" in scene.shown:
        _rock(scene, x, horizon + 9)
        x = scene.across(x)
    boats(scene, horizon, bottom=scene.height, x=x)
    animal = scene.shown.get("animal")
    if animal is not None:
        at = scene.across(x) if "building" not in scene.shown else scene.width * 0.5
        scene.put(
            "animal",
            at,
            horizon + (scene.height - horizon) * scene.between(0.55, 0.72),
            0.95 if animal == "whale" else 0.8,
            shadow=False,
        )
        if animal == "whale":
            y = horizon + (scene.height - horizon) * 0.72
            ink.line(f"M{num(at - 14)} {num(y)}q7 -1.6 14 0t14 0", light(scene.water(), 0.5), 0.7, 0.7)


def beach(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.38, 0.5))
    if "land" in scene.shown:
        land.islands(ink, horizon, 1 if scene.shown["land"] == "island" else ink.across(2.4))
    sand = horizon + (scene.height - horizon) * scene.between(0.46, 0.6)
    land.open_water(ink, horizon, scene.water(), scene.orb, bottom=sand + 16)
    on_left = scene.side() < scene.width / 2
    share = (
        0.52
        if "prop" in scene.shown and "plants" in scene.shown
        else scene.between(0.3, 0.42)
        if "prop" in scene.shown
        else 0.7
    )
    boats(scene, horizon, bottom=sand, x=scene.width * (share if on_left else 1 - share))
    slope = ink.rng.choice((-1, 1)) * scene.between(3, 10)
    edge = land.shore(ink, sand, slope)
    kind = scene.shown.get("plants")
    if kind is not None:
        count = 1 if kind == "palm tree" else 3
        for k in range(count):
            off = (6 + 14 * k + scene.between(-2, 2)) * (1 if on_left else -1)
            at = (0 if on_left else scene.width) + off
            foot = height_at(edge, at) + 5 + (9 - 5 * k if k < 2 else 1)
            size = (1.8, 1.3, 0.95)[k] * (1.1 if count == 1 else 1) * scene.between(0.95, 1.1)
            land.palms(ink, [(at, foot, size, not on_left)])
    if "prop" in scene.shown:
        at = scene.width * (0.7 if on_left else 0.3) + scene.between(-4, 4)
        foot = height_at(edge, at) + 13
        towel = THINGS["beach umbrella"]
        ink.add(oval(at + 3, foot + 0.6, 13, 1.9, "#10173a", 0.2))
        color = scene.paint("prop")
        ink.put(
            at + 6,
            foot + 1.6,
            0.95,
            shape("M-8 0L-4.5 -3.6H8L4.5 0Z", mix(color, "#ffffff", 0.3))
            + shape("M-3 0L.5 -3.6H3L-.5 0Z", ink.air.lit("#ffffff")),
        )
        ink.put(at, foot, 1.12, towel(ink, color))
    if ink.rng.random() < 0.5:
        _starfish(scene, scene.width * scene.between(0.3, 0.7), scene.height - scene.between(4, 8))


def tropical_island(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.45, 0.55))
    land.open_water(ink, horizon, scene.water(), scene.orb)
    x, y = scene.width * (0.41 if scene.side() < scene.width / 2 else 0.59), horizon + (scene.height - horizon) * 0.45
    reach = 33
    foam = ink.air.lit("#ffffff")
    ink.add(oval(x, y + 3.6, reach * 1.12, 6.6, mix(scene.water(), "#7ff0e0", 0.45), 0.6))
    ink.add(oval(x, y + 2.6, reach * 1.04, 4.9, foam, 0.75))
    edge = [
        (x - reach, y + 3),
        (x - reach * 0.7, y - 1),
        (x - reach * 0.3, y - 4.6),
        (x + reach * 0.1, y - 5.2),
        (x + reach * 0.5, y - 2.6),
        (x + reach * 0.8, y + 0.4),
        (x + reach, y + 3),
    ]
    d = curve(edge) + f"Q{num(x)} {num(y + 7)} {num(x - reach)} {num(y + 3)}Z"
    sand = ink.air.tone(SAND)
    ink.shadow(d)
    ink.path(d, ink.linear((0, light(sand, 0.1)), (1, light(sand, -0.1))) if ink.look != "flat" else sand)
    if ink.look == "painterly":
        ink.brush((x - reach, y - 5, x + reach, y + 3), sand, lambda px, py: py > height_at(edge, px) + 0.6, size=0.7)
    green = [
        (x - reach * 0.5, y - 2.4),
        (x - reach * 0.25, y - 7),
        (x + reach * 0.1, y - 8.4),
        (x + reach * 0.4, y - 5.4),
        (x + reach * 0.56, y - 2),
    ]
    ink.path(curve(green) + "Z", ink.air.tone("#5ba653", 0.1))
    if "building" in scene.shown:
        scene.put("building", x + reach * 0.32, y - 1.6, 1.05)
    palms = [(x - 8, y - 4, 1.15, True), (x + 1, y - 5.4, 1.42, False), (x - 16, y - 1.4, 0.95, True)]
    land.palms(ink, palms if "building" in scene.shown else [*palms, (x + 14, y - 2.4, 1.0, False)])
    land.bushes(ink, [(0, y - 0.4)], (x - 20, x + 22, x + 5), 0.9, ink.air.tone("#4a9a4a"))
    boats(scene, y + 2, bottom=scene.height, x=scene.width * (0.85 if x < scene.width / 2 else 0.15))


def lake(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.5, 0.57))
    first = len(ink.parts)
    relief = scene.shown["relief"]
    if relief == "hills":
        land.far_hills(ink, horizon, scene.relief(), 26, 3)
    else:
        land.mountains(
            ink,
            horizon,
            scene.relief(),
            snowy=relief == "snowy mountains",
            height=scene.between(0.32, 0.4) * min(scene.height, 150),
        )
    bank = land.swell(ink, horizon - 0.4, 1.0)
    ground = GRASS["winter"] if scene.snowy else "#5f9a58"
    ink.layer(bank, ground, 0.35, bottom=horizon + 2)
    if "plants" in scene.shown:
        land.wood(ink, bank, 24, 11, 0.3, snowy=scene.snowy)
    house_x = scene.across(scene.side())
    if "building" in scene.shown:
        scene.put("building", house_x, horizon + 0.6, 0.95, shadow=False)
    drawn = list(ink.parts[first:])
    land.open_water(ink, horizon + 1.2, scene.water(), None, calm=True)
    land.mirror(ink, drawn, horizon + 0.8, opacity=0.36)
    if scene.orb is not None:
        glitter(ink, scene.orb, horizon + 4, scene.height, spread=0.8)
    ripples(scene, horizon + 5)
    x = scene.side()
    boats(scene, horizon + 4, bottom=scene.height - 6, x=x)
    if "animal" in scene.shown:
        at = scene.across(x)
        scene.afloat("animal", at, horizon + (scene.height - horizon) * 0.5, 1.2)
    front = [
        (-4, scene.height - 9),
        (scene.width * 0.22, scene.height - 7),
        (scene.width * 0.5, scene.height - 1.5),
        (scene.width * 0.75, scene.height + 1),
        (scene.width + 4, scene.height + 3),
    ]
    if ink.rng.random() < 0.5:
        front = [(scene.width - px, y) for px, y in reversed(front)]
    ink.layer(front, mix(ground, "#2f6a44", 0.35) if not scene.snowy else ground, 0)
    at = 6 if front[0][1] < front[-1][1] else scene.width - 6
    if "plants" in scene.shown:
        land.pines(ink, [(0, scene.height - 4)], [at - 5, at + 7], 38, 0, snowy=scene.snowy)
    land.tufts(ink, scene.height - 7, scene.height, ink.air.tone("#3f7a48" if not scene.snowy else ground), 10)


def harbour(scene: Scene) -> None:
    ink, rng = scene.ink, scene.ink.rng
    horizon = scene.sky(scene.between(0.44, 0.5))
    land.far_hills(ink, horizon, "#6f9a70", 18, 2)
    first = len(ink.parts)
    quay = horizon + 5
    x = -2.0
    fronts = ("#e8734a", "#f2b84b", "#f4e3c0", "#6fb0c9", "#e79aa0", "#8fbf8a", "#d9574a")
    previous = ""
    while x < scene.width + 2:
        w, tall = rng.uniform(8, 11.5), rng.uniform(11, 18)
        paint = rng.choice([each for each in fronts if each != previous])
        previous = paint
        _town_house(scene, x, quay, w, tall, ink.air.tone(paint, 0.18))
        x += w
    ink.add(box(-2, quay - 0.2, scene.width + 4, 2.4, ink.air.tone("#8d8078", 0.1)))
    copied, top = ink.parts[first:], quay + 2
    land.open_water(ink, top, scene.water(), None, calm=True)
    land.mirror(ink, copied, top, opacity=0.3)
    ripples(scene, top + 3)
    side = rng.choice((-1, 1))
    if "building" in scene.shown:
        at = scene.width * (0.13 if side < 0 else 0.87)
        edge = [(at - 18, top + 10), (at - 12, top + 6.4), (at, top + 5.4), (at + 12, top + 6.4), (at + 18, top + 10)]
        ink.path(curve(edge) + "Z", ink.air.tone("#8d8078", 0.02))
        scene.put("building", at, top + 7, 1.15, shadow=False)
    name_of = scene.shown["vehicle"]
    middle = scene.width * (0.5 - 0.1 * side)
    places = ((middle, 0.34, 1.0), (middle - 24 * side, 0.62, 1.25), (middle + 23 * side, 0.7, 1.15))
    for at, near, size in places[: 1 if name_of == "ship" else 3]:
        big = 1.5 if name_of == "ship" else 1.0
        scene.afloat("vehicle", at, top + (scene.height - top) * near, size * big * 0.95)


def _town_house(scene: Scene, x: float, y: float, width: float, tall: float, wall: str) -> None:
    ink = scene.ink
    roof = ink.air.tone("#a04a38", 0.15)
    form = ink.rng.choice(("gable", "flat", "hip"))
    ink.add(box(x, y - tall, width + 0.2, tall, wall))
    match form:
        case "gable":
            ink.path(
                f"M{num(x)} {num(y - tall)}L{num(x + width / 2)} {num(y - tall - 5)}L{num(x + width)} {num(y - tall)}Z",
                roof,
            )
        case "hip":
            ink.path(
                f"M{num(x - 0.4)} {num(y - tall)}L{num(x + 2)} {num(y - tall - 3.4)}H{num(x + width - 2)}"
                f"L{num(x + width + 0.4)} {num(y - tall)}Z",
                roof,
            )
        case _:
            ink.add(box(x - 0.3, y - tall - 0.9, width + 0.6, 1.2, light(wall, -0.25)))
    ink.add(box(x + width * 0.82, y - tall, width * 0.18 + 0.2, tall, "#10173a", opacity=0.1))
    dark = is_dark(ink)
    columns = 2 if width < 10 else 3
    rows = int((tall - 4) / 3.6)
    for row in range(rows):
        for k in range(columns):
            lit = dark and ink.rng.random() < 0.7
            glass = "#ffd873" if lit else mix(light(wall, -0.4), "#7fb0d0", 0.3)
            ink.add(box(x + width * (k + 0.5) / columns - 0.85, y - tall + 1.6 + 3.6 * row, 1.7, 2.1, glass, 0.2))
    ink.add(box(x + width / 2 - 0.9, y - 3, 1.8, 3, light(wall, -0.45), 0.3))
