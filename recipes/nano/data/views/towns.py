"""Views where people live: village, city, garden."""

from ..words.views import GRASS, PINES
from . import land
from .ink import box, height_at, light, mix, num
from .scene import Scene, balloon, ripples, smoke
from .things import house, is_dark, snowy_house


def village(scene: Scene) -> None:
    ink, rng = scene.ink, scene.ink.rng
    horizon = scene.sky(scene.between(0.46, 0.53))
    season = scene.season
    base = GRASS[season]
    land.far_hills(ink, horizon, base, 22, 3)
    color = scene.paint("building")
    draw_house = snowy_house if season == "winter" else house
    rows = ((0.42, horizon + 4, 0.62, 7), (0.2, horizon + 15, 0.95, 5), (0.0, horizon + 30, 1.4, 3))
    for depth, y, size, count in rows:
        edge = land.swell(ink, y, 2.2)
        ink.layer(edge, base, depth)
        shown = mix(color, ink.air.horizon, depth * ink.air.haze * 0.55)
        if depth == 0 and "path" in scene.shown:
            land.path(
                ink,
                y,
                scene.height + 2,
                scene.width * 0.5,
                ink.air.tone("#e5cf9c" if season != "winter" else "#d3deea"),
                width=16,
            )
        places = ink.spread(ink.across(count), jitter=0.16)
        if depth == 0 and "path" in scene.shown:
            places = [p for p in places if abs(p - scene.width / 2) > 13]
        for x in places:
            roof = light(shown, rng.uniform(-0.06, 0.1))
            ink.put(x, height_at(edge, x) + 1.5 * size, size, draw_house(ink, roof))
            if (season == "winter" or is_dark(ink)) and rng.random() < 0.4:
                smoke(scene, x + 3.1 * size, height_at(edge, x) - 12.5 * size)
        if "plants" in scene.shown:
            step = scene.width / (len(places) + 1)
            land.leafy(
                ink,
                edge,
                [x + 0.5 * step * rng.choice((0.85, 1.0)) for x in places],
                10 * size + 3,
                depth,
                season,
                sink=1.2 * size,
            )
    land.tufts(ink, horizon + 36, scene.height, ink.air.tone(base), 22 if season != "winter" else 5)


def city_skyline(scene: Scene) -> None:
    ink = scene.ink
    on_water = "river" in scene.shown
    base = scene.sky(0.66 if on_water else 0.84)
    tall = base * 0.78
    balloon(scene, base * 0.7)
    first = len(ink.parts)
    land.skyline(ink, base + 1, tall * 0.72, 0.86, "#6f84a8", windows=False, width=8)
    land.skyline(ink, base + 1, tall, 0.5, "#5a6f98", windows=True, width=10)
    land.skyline(ink, base + 1, tall * 0.56, 0.1, "#46587f", windows=True, width=12)
    if on_water:
        copied = ink.parts[first:]
        land.open_water(ink, base, scene.water(), None, calm=True)
        land.mirror(ink, copied, base, opacity=0.34, squeeze=0.62)
        ripples(scene, base + 2)
        if is_dark(ink):
            _lamps(scene, base)
    else:
        edge = land.swell(ink, base + 0.5, 0.6)
        ink.layer(edge, "#4f8f5a", 0.05)
        land.leafy(ink, edge, ink.spread(ink.across(12), jitter=0.4), 8, 0.05, "summer")
        street = base + (scene.height - base) * 0.42
        ink.path(f"M-2 {num(street)}H{num(scene.width + 2)}V{num(scene.height + 2)}H-2Z", ink.air.tone("#5b6070"))
        y = (street + scene.height) / 2 + 0.3
        ink.line(
            "".join(f"M{num(x)} {num(y)}h5" for x in ink.spread(ink.across(8), jitter=0)),
            ink.air.lit("#f4e8c0"),
            0.7,
            0.85,
        )


def _lamps(scene: Scene, base: float) -> None:
    rng = scene.ink.rng
    strokes = [
        f"M{num(x)} {num(base + rng.uniform(1, 5))}v{num(rng.uniform(5, 18))}"
        for x in scene.ink.spread(scene.ink.across(15), jitter=0.45)
    ]
    scene.ink.line("".join(strokes), "#ffd873", 0.7, 0.4)


def garden(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.4, 0.47))
    season = scene.season
    base = GRASS[season]
    land.far_hills(ink, horizon, base, 12, 2)
    hedge = land.swell(ink, horizon + 2, 0.8)
    ink.layer(hedge, base, 0.25)
    land.bushes(
        ink,
        [(px, y + 1.5) for px, y in hedge],
        ink.spread(ink.across(15), jitter=0.3),
        2.0,
        ink.air.tone(light(PINES[2], 0.12), 0.3),
    )
    x = scene.side()
    ground = land.swell(ink, horizon + 8, 0.8)
    ink.layer(ground, base, 0.12)
    if "building" in scene.shown:
        scene.put("building", x, horizon + 11, 1.75, shadow=False)
    _fence(scene, horizon + 12, x if "building" in scene.shown else -99)
    kind = scene.shown.get("plants")
    places = [scene.across(x), 0.04 * scene.width if x > scene.width / 2 else 0.96 * scene.width]
    if "building" not in scene.shown:
        places[1] = x
    if kind == "cherry trees":
        land.leafy(
            ink,
            [(-9, horizon + 14), (scene.width + 9, horizon + 14)],
            places,
            31,
            0.04,
            "spring",
            colors=("#f7b6ca", "#f49cba", "#fbcbd8"),
        )
    elif kind == "leafy trees":
        land.leafy(ink, [(-9, horizon + 14), (scene.width + 9, horizon + 14)], places, 29, 0.04, season)
    if "prop" in scene.shown:
        at = scene.width * scene.between(0.42, 0.58)
        scene.put("prop", at, horizon + 19, 1.55)
    land.flower_rows(
        ink,
        horizon + 19,
        scene.height,
        scene.paint("flowers"),
        ink.air.tone("#4f9448"),
        tulips=scene.shown["flowers"] == "tulips",
    )
    if scene.shown.get("animal") == "butterfly":
        for dx, dy, size in ((-4, 0, 1.5), (17, -8, 1.15), (-20, -10, 1.0)):
            scene.put(
                "animal",
                scene.width / 2 + dx,
                scene.height * 0.66 + dy,
                size,
                turn=scene.between(-25, 25),
                shadow=False,
            )


def _fence(scene: Scene, y: float, gap: float) -> None:
    ink = scene.ink
    white = ink.air.lit("#fdfaf2")
    posts = []
    x = 1.2
    while x < scene.width:
        if abs(x - gap) > 9.5:
            posts.append(
                f"M{num(x - 0.75)} {num(y)}V{num(y - 5)}L{num(x)} {num(y - 6)}L{num(x + 0.75)} {num(y - 5)}V{num(y)}Z"
            )
        x += 2.6
    spans = [(0, gap - 9.5), (gap + 9.5, scene.width)] if gap > 0 else [(0, scene.width)]
    for left, right in spans:
        if right > left:
            ink.add(
                box(left, y - 4.3, right - left, 0.7, light(white, -0.08))
                + box(left, y - 1.9, right - left, 0.7, light(white, -0.08))
            )
    ink.path("".join(posts), white)
