"""Views of open land: mountains, woods, rivers, meadows, hills, desert, snow."""

from ..words.views import GRASS
from . import land
from .ink import height_at, light, mix, oval, shape
from .scene import Scene, balloon, on_ground, smoke


def mountain_landscape(scene: Scene) -> None:
    ink = scene.ink
    base = scene.sky(scene.between(0.6, 0.68))
    snowy = scene.shown["relief"] == "snowy mountains"
    land.mountains(ink, base, scene.relief(), snowy=snowy, height=scene.between(0.4, 0.47) * min(scene.height, 150))
    balloon(scene, base)
    ground = GRASS["winter"] if scene.shown.get("weather") == "snowfall" else "#6f9f58"
    near = ground if ground != "#6f9f58" else "#4f8a4e"
    back = land.swell(ink, base + 1, 2.5)
    ink.layer(back, ground, 0.42)
    if "plants" in scene.shown:
        land.wood(ink, back, 26, 9, 0.4, snowy=scene.snowy)
    middle = land.swell(ink, base + 11, 3.5)
    ink.layer(middle, mix(ground, near, 0.5), 0.2)
    if "plants" in scene.shown:
        land.wood(ink, middle, 11, 15, 0.16, snowy=scene.snowy)
    front = land.swell(ink, scene.height - 12, 3)
    ink.layer(front, near, 0)
    on_ground(scene, front)
    if "plants" in scene.shown:
        for x in (scene.between(0.02, 0.1), scene.between(0.9, 0.98)):
            land.pines(ink, [(0, scene.height - 2)], [x * scene.width], 36, 0, snowy=scene.snowy)
    land.tufts(ink, scene.height - 8, scene.height, ink.air.tone(near), 14)


def forest(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(0.62)
    pine_wood = scene.shown["plants"] == "pine trees"
    season = scene.season
    ground = (
        GRASS["winter"] if season == "winter" else ("#b98a4a" if season == "autumn" and not pine_wood else "#5d8f4a")
    )
    for depth, y, size, count in ((0.88, 0.56, 24, 22), (0.62, 0.63, 31, 15), (0.34, 0.72, 40, 9)):
        edge = land.swell(ink, y * scene.height, 2.5)
        if pine_wood:
            land.wood(ink, edge, count, size, depth, snowy=season == "winter")
        else:
            land.leafy(ink, edge, ink.spread(ink.across(count * 0.8), jitter=0.5), size * 0.85, depth, season)
        ink.layer(edge, ground, depth * 0.8)
    if "path" in scene.shown:
        land.path(
            ink,
            0.725 * scene.height,
            scene.height + 2,
            scene.width * scene.between(0.42, 0.58),
            ink.air.tone("#d9bd8c" if season != "winter" else "#cfdbe8"),
            width=20,
        )
    front = land.swell(ink, 0.86 * scene.height, 2.0)
    if "path" not in scene.shown:
        ink.layer(front, mix(ground, "#2f5a3a", 0.25) if season != "winter" else ground, 0)
    on_ground(scene, front, drop=3)
    for side in (0.04, 0.95):
        edge = [(side * scene.width - 12, 0.95 * scene.height), (side * scene.width + 12, 0.95 * scene.height)]
        if pine_wood:
            land.pines(ink, edge, [side * scene.width], 82, 0, snowy=season == "winter")
        else:
            land.leafy(ink, edge, [side * scene.width], 72, 0, season)
    color = ink.air.tone(ground)
    land.tufts(ink, 0.86 * scene.height, scene.height, color, 24 if season != "winter" else 5)
    _ = horizon


def river(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.42, 0.5))
    relief, season = scene.shown["relief"], scene.season
    if relief == "hills":
        land.far_hills(ink, horizon, GRASS[season] if "relief_color" not in scene.shown else scene.relief(), 20, 2)
    else:
        land.mountains(ink, horizon, scene.relief(), snowy=relief == "snowy mountains", height=30)
    meadow = land.swell(ink, horizon, 1.6)
    land.grass(ink, meadow, season, 0.28)
    x = scene.width * scene.between(0.42, 0.58)
    if scene.shown.get("plants") == "pine trees":
        land.wood(ink, meadow, 18, 11, 0.42, snowy=season == "winter")
    elif "plants" in scene.shown:
        land.leafy(ink, meadow, ink.spread(ink.across(9), jitter=0.5), 11, 0.4, season)
    near = land.swell(ink, horizon + (scene.height - horizon) * 0.52, 2.2)
    land.grass(ink, near, season, 0.04)
    banks = land.stream(ink, horizon + 1.5, scene.height + 2, x, scene.water())
    y, left, right = banks[6]
    if "prop" in scene.shown:
        scene.put("prop", (left + right) / 2, y + 1.5, max(0.75, (right - left) / 27), shadow=False)
    if "vehicle" in scene.shown:
        y, left, right = banks[8]
        scene.afloat("vehicle", (left + right) / 2, y + 2, 0.95)
    if scene.shown.get("animal") == "swan":
        y, left, right = banks[9]
        scene.afloat("animal", left + (right - left) * 0.72, y - 1, 1.25)
    elif "animal" in scene.shown:
        on_ground(scene, [(-5, scene.height * 0.78), (scene.width + 5, scene.height * 0.78)])
    color = ink.air.tone(GRASS[season])
    near_y = scene.height * 0.74
    wide = next(b for b in banks if b[0] >= near_y)
    trees = [t * scene.width for t in (0.06, 0.16, 0.86, 0.95)]
    trees = [t for t in trees if t < wide[1] - 5 or t > wide[2] + 5]
    edge = [(-6, near_y), (scene.width + 6, near_y)]
    if scene.shown.get("plants") == "pine trees":
        for t in trees:
            land.pines(ink, edge, [t], 30, 0.05, snowy=season == "winter")
    elif "plants" in scene.shown:
        land.leafy(ink, edge, trees, 25, 0.05, season)
    land.tufts(ink, horizon + 8, scene.height, color, 34 if season != "winter" else 6)
    for y, left, right in banks[7:]:
        land.bushes(ink, [(0, y)], (left - 2, right + 2), 0.9, light(color, -0.15 if season != "winter" else 0))


def meadow(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.5, 0.58))
    season = scene.season
    land.far_hills(ink, horizon, GRASS[season], 16, 2)
    balloon(scene, horizon)
    back = land.swell(ink, horizon + 3, 2.5)
    land.grass(ink, back, season, 0.3)
    kind = scene.shown.get("plants")
    x = scene.side()
    if kind == "leafy trees":
        land.leafy(ink, back, ink.spread(ink.across(6), jitter=0.5), 14, 0.25, season)
    middle = land.swell(ink, horizon + (scene.height - horizon) * 0.4, 2.5)
    land.grass(ink, middle, season, 0.1)
    if kind == "leafy tree":
        land.leafy(ink, middle, [x], 40, 0.03, season, sink=1.5)
    color = ink.air.tone(GRASS[season])
    on_ground(scene, middle, drop=7)
    land.tufts(ink, horizon + 16, scene.height, color, 44 if season != "winter" else 8)
    if "flowers" in scene.shown:
        land.flowers(ink, horizon + 12, scene.height + 1, scene.paint("flowers"), count=58)


def rolling_hills(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.5, 0.58))
    season = scene.season
    base = GRASS[season]
    land.far_hills(ink, horizon, base, 22, 3)
    balloon(scene, horizon)
    x = scene.side()
    hill = [
        (-4, horizon + 16),
        (x - 34, horizon + 12),
        (x - 16, horizon + 4),
        (x, horizon + 1),
        (x + 16, horizon + 4),
        (x + 34, horizon + 12),
        (scene.width + 4, horizon + 16),
    ]
    hill = [(px, y) for px, y in hill if -5 <= px <= scene.width + 5]
    hill = (
        [(-4, hill[0][1] + 1), *hill[1:-1], (scene.width + 4, hill[-1][1] + 1)]
        if len(hill) > 2
        else land.swell(ink, horizon + 5, 3)
    )
    ink.layer(hill, light(base, 0.05) if season != "winter" else base, 0.22)
    if "building" in scene.shown:
        scene.put(
            "building",
            x,
            height_at(hill, x) + 1,
            {"castle": 1.25, "windmill": 1.35, "house": 1.2}[scene.shown["building"]],
            shadow=False,
        )
    if scene.shown.get("plants") == "leafy trees":
        places = [p for p in ink.spread(ink.across(7), jitter=0.4) if abs(p - x) > 11]
        land.leafy(ink, hill, places, 13, 0.22, season)
    middle = land.swell(ink, horizon + (scene.height - horizon) * 0.5, 4)
    ink.layer(middle, light(base, -0.05) if season != "winter" else light(base, -0.04), 0.06)
    if scene.shown.get("plants") == "leafy tree":
        land.leafy(ink, middle, [scene.across(x)], 36, 0, season, sink=2)
    front = land.swell(ink, scene.height - 9, 3)
    ink.layer(front, light(base, -0.12) if season != "winter" else base, 0)
    if "path" in scene.shown:
        way = scene.width * scene.between(0.42, 0.58)
        sand = ink.air.tone("#e5cf9c" if season != "winter" else "#cfdbe8")
        land.path(ink, height_at(middle, way) + 0.5, scene.height + 2, way, sand)
    on_ground(scene, [(px, y - 9) for px, y in front])
    land.tufts(ink, scene.height - 8, scene.height, ink.air.tone(base), 26 if season != "winter" else 6)


def desert(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.46, 0.54))
    color = scene.relief()
    if "building" in scene.shown:
        scene.put("building", scene.side(), horizon + 4, 1.3, shadow=False)
    edges = land.dunes(ink, horizon, color)
    near = edges[-1]
    x = scene.side()
    if "plants" in scene.shown:
        from .things import cactus

        for at, edge, size in (
            (scene.across(x), edges[2], 1.0),
            (x + 12, edges[1], 0.7),
            (scene.width * 0.08, near, 2.0),
            (scene.width * 0.93, near, 1.6),
        ):
            at = min(max(at, 6), scene.width - 6)
            y = height_at(edge, at) + 2
            ink.add(oval(at + 2 * size, y, 4.4 * size, 0.7 * size, "#3a1a2a", 0.2))
            ink.put(at, y, size, cactus(ink, ink.air.tone("#3f8f5a", 0.05)))
    camel = scene.shown.get("animal")
    if camel:
        edge = edges[2]
        for k in range(3):
            at = scene.width * 0.34 + 15 * k
            scene.put("animal", at, height_at(edge, at) + 1.5, 0.98)
    prop = scene.shown.get("prop")
    if prop:
        at = scene.width * scene.between(0.4, 0.6)
        scene.put("prop", at, height_at(near, at) + 8, 1.45 if prop == "tent" else 1.2)


def snowy_landscape(scene: Scene) -> None:
    ink = scene.ink
    horizon = scene.sky(scene.between(0.5, 0.58))
    white = GRASS["winter"]
    land.mountains(ink, horizon + 1, "#7b93bd", snowy=True, height=24) if ink.rng.random() < 0.5 else land.far_hills(
        ink, horizon, "#c3d3e6", 17, 2
    )
    back = land.swell(ink, horizon + 3, 2.5)
    ink.layer(back, "#dbe7f3", 0.3)
    pines = "plants" in scene.shown
    if pines:
        land.wood(ink, back, 18, 13, 0.4, snowy=True)
    middle = land.swell(ink, horizon + (scene.height - horizon) * 0.38, 3)
    ink.layer(middle, "#e6eef7", 0.12)
    x = scene.side()
    if "building" in scene.shown:
        y = height_at(middle, x) + 2
        scene.put("building", x, y, 1.6 if scene.shown["building"] == "cabin" else 1.35)
        if scene.shown["building"] == "cabin":
            snow = ink.air.lit("#f8fbff")
            ink.put(x, y, 1.6, shape("M-6.8 -5.4L0 -12.6L6.8 -5.4L5.9 -4.9Q3 -7.6 0 -10.6Q-3 -7.6 -5.9 -4.9Z", snow))
            smoke(scene, x - 4.6, y - 18.5)
    if pines:
        edge_places = [
            p for p in ink.spread(ink.across(6), jitter=0.4) if abs(p - x) > 14 or "building" not in scene.shown
        ]
        for p in edge_places:
            land.pines(ink, middle, [p], 23, 0.1, snowy=True)
    front = land.swell(ink, scene.height - 15, 3)
    ink.layer(front, white, 0)
    prop_x = scene.across(x)
    if "prop" in scene.shown:
        scene.put("prop", prop_x, height_at(front, prop_x) + 8, 1.75)
    animal = scene.shown.get("animal")
    if animal:
        at = x if "prop" in scene.shown else prop_x
        for k in range(3 if animal == "penguin" else 1):
            scene.put("animal", at + (0, 10, -9)[k], height_at(front, at) + (6, 8.5, 9)[k], (1.35, 1.15, 1.0)[k])
    if pines:
        side = 0.03 if prop_x > scene.width / 2 else 0.97
        land.pines(ink, [(0, scene.height - 2)], [side * scene.width], 48, 0, snowy=True)
