"""Views off the ground: under water, above the clouds, in space."""

import math

from ..words.views import PAINTS, WATERS
from . import land
from .ink import curve, disc, height_at, light, mix, num, oval, ring, round_path, stroke
from .scene import Scene
from .sky import cloud, sparkle
from .things import THINGS, coral, seaweed


def underwater_world(scene: Scene) -> None:
    ink, rng = scene.ink, scene.ink.rng
    water = WATERS[scene.shown["water_color"]]
    top, bottom = mix(water, "#b9f3f5", 0.55), mix(water, "#06183f", 0.5)
    width, height = scene.width, scene.height
    whole = f"M-2 -2H{num(width + 2)}V{num(height + 2)}H-2Z"
    if ink.look in {"flat", "papercut"}:
        ink.path(whole, top)
        rows = 6
        for k in range(1, rows):
            t = k / (rows - 1)
            edge = land.swell(ink, height * (0.02 + 0.82 * (k / rows) ** 0.95), 2.4, waves=1.3)
            d = f"{curve(edge)}V{num(height + 3)}H-3Z"
            ink.shadow(curve(edge), 0.7)
            ink.path(d, mix(mix(top, water, min(1, 2 * t)), bottom, max(0, 2 * t - 1)))
    else:
        ink.path(whole, ink.linear((0, top), (0.4, water), (1, bottom)))
        if ink.look == "painterly":
            ink.brush((-2, 0, width + 2, height), water)
    for x in ink.spread(ink.across(5), jitter=0.4):
        w = rng.uniform(3, 7)
        ray = (
            f"M{num(x)} -2L{num(x + w)} -2L{num(x + w * 2.2 - 14)} {num(height * 0.8)}L{num(x - w * 1.2 - 14)}"
            f" {num(height * 0.8)}Z"
        )
        name = f"v{len(ink.defs)}"
        ink.defs.append(
            f'<linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#eaffff"'
            ' stop-opacity=".42"/><stop offset="1" stop-color="#eaffff" stop-opacity="0"/></linearGradient>'
        )
        ink.path(ray, f"url(#{name})")
    far = land.swell(ink, height * 0.74, 6, waves=1.4)
    ink.layer(far, mix(water, "#0c2a55", 0.45), toned=False, mist=0)
    middle = land.swell(ink, height * 0.82, 3.5)
    rocks = mix(water, "#16264f", 0.62)
    ink.layer(middle, rocks, toned=False, mist=0)
    plants = scene.shown.get("plants")
    animal = scene.shown["animal"]
    color = PAINTS[scene.shown["animal_color"]]
    _sea_animals(scene, animal, color)
    sand = mix("#efd9a6", water, 0.28)
    front = land.swell(ink, height * 0.9, 2)
    ink.layer(front, sand, toned=False, mist=0)
    if plants == "corals":
        tint = PAINTS[scene.shown["plants_color"]]
        for at in ink.spread(ink.across(6), margin=3, jitter=0.35):
            ink.put(
                at,
                height_at(front, at) + 1.5,
                rng.uniform(1.0, 2.0),
                coral(ink, light(tint, rng.uniform(-0.1, 0.15))),
                flip=rng.random() < 0.5,
            )
    elif plants == "seaweed":
        for at in ink.spread(ink.across(8), margin=2, jitter=0.4):
            ink.put(
                at,
                height_at(front, at) + 1.5,
                rng.uniform(1.1, 2.3),
                seaweed(ink, rng.choice(("#2f9a5a", "#4fb56a", "#1f7f55"))),
            )
    for at in ink.spread(ink.across(3), margin=6, jitter=0.4):
        ink.add(oval(at, height * 0.965, rng.uniform(3, 6), rng.uniform(1.4, 2.4), light(sand, -0.25)))
    bubbles = "".join(
        disc(rng.uniform(0, width), rng.uniform(0.05, 0.85) * height, rng.uniform(0.5, 1.5), "#ffffff", 0.35)
        for _ in range(ink.across(15))
    )
    ink.add(bubbles)


def _sea_animals(scene: Scene, animal: str, color: str) -> None:
    ink, rng = scene.ink, scene.ink.rng
    width, height = scene.width, scene.height
    draw = THINGS[animal]
    match animal:
        case "fish":
            places = [(x, height * rng.uniform(0.18, 0.7)) for x in ink.spread(ink.across(6), margin=8, jitter=0.35)]
            places.sort(key=lambda p: -abs(p[1] - height * 0.45))
            flip = rng.random() < 0.5
            for k, (x, y) in enumerate(places):
                size = 1.75 if k == len(places) - 1 else rng.uniform(0.75, 1.25)
                ink.put(
                    x, y, size, draw(ink, light(color, rng.uniform(-0.06, 0.1))), flip=flip, turn=rng.uniform(-8, 8)
                )
        case "jellyfish":
            for x, y, size in ((0.5, 0.42, 2.3), (0.2, 0.28, 1.3), (0.8, 0.62, 1.4)):
                ink.put(x * width + rng.uniform(-5, 5), y * height, size, draw(ink, color), turn=rng.uniform(-14, 14))
        case _:
            size = 2.3 if animal == "whale" else 2.4
            ink.put(
                width * rng.uniform(0.42, 0.58),
                height * rng.uniform(0.4, 0.5),
                size,
                draw(ink, color),
                flip=rng.random() < 0.5,
                turn=rng.uniform(-9, 6),
            )
            small = THINGS["fish"]
            for x in ink.spread(ink.across(4), margin=6):
                ink.put(x, height * rng.choice((0.16, 0.66)) + rng.uniform(-3, 3), 0.5, small(ink, "#cfe6ee"))


def sky(scene: Scene) -> None:
    ink, rng = scene.ink, scene.ink.rng
    base = scene.sky(1.0)
    lit = mix("#ffffff", ink.air.horizon, 0.25) if ink.air.dark < 0.45 else mix(ink.air.middle, "#ffffff", 0.28)
    for k in range(3):
        y = base * (0.8 + 0.1 * k)
        for x in sorted(ink.spread(ink.across(4 - 0.5 * k), margin=-6, jitter=0.4), key=lambda _: rng.random()):
            shade = mix(lit, ink.air.middle, 0.42 - 0.21 * k)
            cloud(ink, x, y + rng.uniform(-2, 3), rng.uniform(34, 50) + 6 * k, shade, mix(shade, ink.air.middle, 0.4))
    match scene.shown.get("vehicle"):
        case "hot air balloon":
            x = scene.side()
            scene.put("vehicle", x, base * scene.between(0.6, 0.7), scene.between(1.9, 2.3), shadow=False)
            scene.put("vehicle", scene.across(x), base * scene.between(0.4, 0.5), 0.95, shadow=False)
        case "airplane":
            scene.put(
                "vehicle",
                scene.width * scene.between(0.42, 0.6),
                base * scene.between(0.4, 0.52),
                scene.between(1.9, 2.3),
                turn=scene.between(-10, -3),
                shadow=False,
            )


def outer_space(scene: Scene) -> None:
    ink, rng = scene.ink, scene.ink.rng
    air, width, height = ink.air, scene.width, scene.height
    whole = f"M-2 -2H{num(width + 2)}V{num(height + 2)}H-2Z"
    ink.path(whole, air.top)
    for k in range(3):
        x, y, reach = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.9), rng.uniform(38, 66)
        color = rng.choice(("#7a3fd0", "#2f6fe0", "#d0408f", "#1fa0a0"))
        if ink.look in {"flat", "papercut"}:
            blob = [
                (
                    x + reach * 0.6 * (1 + 0.18 * math.sin(3 * a + k)) * math.cos(a),
                    y + reach * 0.4 * (1 + 0.18 * math.sin(2 * a)) * math.sin(a),
                )
                for a in (i * math.tau / 12 for i in range(12))
            ]
            d = ring(blob)
            ink.shadow(d, 0.5)
            ink.path(d, mix(air.top, mix(air.middle, color, 0.45), 0.5 + 0.12 * k))
        else:
            ink.disc(x, y, reach, ink.radial((x, y), reach, (0, color, 0.42), (0.5, color, 0.16), (1, color, 0)))
    if ink.look == "painterly":
        ink.brush((-2, 0, width + 2, height), mix(air.top, air.middle, 0.6))
    stars = "".join(
        disc(
            rng.uniform(0, width),
            rng.uniform(0, height),
            rng.choice((0.25, 0.35, 0.5, 0.7)),
            "#ffffff",
            rng.choice((0.5, 0.8, 1)),
        )
        for _ in range(round(95 * width * height / 1e4))
    )
    ink.add(stars)
    for _ in range(ink.across(6)):
        ink.add(sparkle(rng.uniform(3, width - 3), rng.uniform(3, height - 3), rng.uniform(1.2, 2.4), "#fff7d8"))
    x = width * rng.choice((0.42, 0.58))
    y = height * rng.uniform(0.36, 0.62)
    if "planet" in scene.shown:
        radius = rng.uniform(16, 21)
        _planet(
            scene, x, y, radius, PAINTS[scene.shown["planet_color"]], ringed=scene.shown["planet"] == "ringed planet"
        )
        small = rng.uniform(2.6, 4.2)
        ink.disc(x - radius * 1.5, y - radius * 0.9, small, "#cfd3e0")
        ink.disc(x - radius * 1.5 - 0.8, y - radius * 0.9 - 0.6, small * 0.3, "#b3b8c9")
        place = (scene.across(x), height * (0.78 if y < height / 2 else 0.34))
    else:
        place = (width * 0.5, height * 0.6)
    big = 1.35 if "planet" in scene.shown else 2.3
    if scene.shown.get("vehicle") == "rocket":
        scene.put("vehicle", place[0], place[1], big, turn=rng.uniform(18, 42), shadow=False)
    elif "vehicle" in scene.shown:
        scene.put("vehicle", place[0], place[1] - 6, big, turn=rng.uniform(-12, 12), shadow=False)


def _planet(scene: Scene, x: float, y: float, radius: float, color: str, *, ringed: bool) -> None:
    ink, rng = scene.ink, scene.ink.rng
    circle = round_path(x, y, radius)
    pale = light(color, 0.45)
    tilt = rng.choice((-18, 16))

    def band(sweep: int) -> None:
        half = f"M{num(-radius * 1.75)} 0A{num(radius * 1.75)} {num(radius * 0.42)} 0 0 {sweep} {num(radius * 1.75)} 0"
        inner = f"M{num(-radius * 1.42)} 0A{num(radius * 1.42)} {num(radius * 0.3)} 0 0 {sweep} {num(radius * 1.42)} 0"
        ink.put(x, y, 1, stroke(half, pale, 2.6) + stroke(inner, light(color, 0.15), 1.4), turn=tilt)

    if ink.look in {"poster", "painterly"}:
        ink.disc(x, y, radius * 1.6, ink.radial((x, y), radius * 1.6, (0.55, color, 0.5), (1, color, 0)))
    if ringed:
        band(1)
    ink.shadow(circle)
    ink.disc(x, y, radius, color)
    name = ink.clip(circle)
    stripes = []
    for k in range(5):
        at = y + radius * (-0.75 + 0.38 * k) + rng.uniform(-1, 1)
        edge = [(x - radius * 1.1 + radius * 0.55 * i, at + 1.2 * math.sin(i * 1.7 + k)) for i in range(5)]
        thick = rng.uniform(1.5, 4.2)
        stripes.append(
            f'<path d="{curve(edge)}" fill="none" stroke="{light(color, rng.choice((-0.18, 0.22, 0.34)))}"'
            f' stroke-width="{num(thick)}"/>'
        )
    shade = (
        f'<circle cx="{num(x - radius * 0.42)}" cy="{num(y - radius * 0.38)}" r="{num(radius * 1.22)}"'
        f' fill="none" stroke="#0a0f2c" stroke-opacity=".32" stroke-width="{num(radius * 0.62)}"/>'
    )
    ink.add(f'<g clip-path="url(#{name})">{"".join(stripes)}{shade}</g>')
    if ink.look == "painterly":
        ink.brush(
            (x - radius, y - radius, x + radius, y + radius),
            color,
            lambda px, py: math.hypot(px - x, py - y) < radius * 0.93,
            slope=0.1,
            size=0.8,
        )
    if ringed:
        band(0)
