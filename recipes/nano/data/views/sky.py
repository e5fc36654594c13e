"""Skies: gradients, sun and moon, stars, clouds, aurora, rainbow, and the weather in front of everything."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..words.views import AURORAS, MOON_COLORS, SUN_COLORS
from .ink import Ink, Point, curve, disc, light, mix, num, oval, ovals, ring, round_path, shape

DARK_TIMES: Final = frozenset({"night", "dusk"})


@dataclass(frozen=True)
class Orb:
    """The sun or the moon where it stands."""

    x: float
    y: float
    radius: float
    color: str


def draw_sky(ink: Ink, shown: Mapping[str, str], horizon: float) -> Orb | None:
    """The sky down to the horizon, with all that is in it; returns its sun or moon."""
    orb = _orb(ink, shown, horizon)
    _ground(ink, horizon, orb)
    if "stars" in shown:
        _stars(ink, horizon, dense=shown["stars"] == "starry sky")
    if "aurora" in shown:
        _aurora(ink, horizon, shown["aurora_color"])
    if "shooting_star" in shown:
        _shooting_star(ink, horizon)
    if orb is not None:
        _draw_orb(ink, orb, crescent=shown.get("moon") == "crescent moon", glows="sun" in shown)
    if shown.get("weather") == "rainbow":
        _rainbow(ink, horizon)
    if "clouds" in shown:
        _clouds(ink, shown["clouds"], horizon, orb)
    if shown.get("weather") == "thunderstorm":
        _lightning(ink, horizon)
    if "birds" in shown:
        birds(ink, horizon)
    return orb


def _orb(ink: Ink, shown: Mapping[str, str], horizon: float) -> Orb | None:
    width, rng = ink.width, ink.rng
    side = rng.choice((rng.uniform(0.2, 0.42), rng.uniform(0.58, 0.8)))
    if "sun" in shown:
        radius = rng.uniform(6.5, 8.5)
        middle = rng.uniform(0.38, 0.62)
        x, y = {
            "sun": (side * width, horizon * rng.uniform(0.3, 0.5)),
            "sun high in the sky": (side * width, max(radius + 5, horizon * rng.uniform(0.16, 0.26))),
            "low sun": (rng.choice((middle, side)) * width, horizon - radius * rng.uniform(1.5, 2.2)),
            "sun on the horizon": (middle * width, horizon - radius * rng.uniform(0.05, 0.35)),
        }[shown["sun"]]
        return Orb(x, y, radius * (1.15 if "horizon" in shown["sun"] else 1), SUN_COLORS[shown["sun_color"]])
    if "moon" in shown:
        return Orb(side * width, horizon * rng.uniform(0.22, 0.42), rng.uniform(5, 7), MOON_COLORS[shown["moon_color"]])
    return None


def _ground(ink: Ink, horizon: float, orb: Orb | None) -> None:
    air, width, rng = ink.air, ink.width, ink.rng
    ink.path(f"M-1 {num(horizon)}H{num(width + 1)}V{num(ink.height + 1)}H-1Z", air.horizon)  # seen between hills
    whole = f"M-1 -1H{num(width + 1)}V{num(horizon + 4)}H-1Z"
    stops = [(0, air.top), (0.55, air.middle), (1, air.horizon)]
    match ink.look:
        case "flat":  # broad bands
            ink.path(whole, air.top)
            count = 6
            for k in range(1, count):
                share = k / (count - 1)
                y = horizon * (k / count) ** 0.9
                color = (
                    mix(air.top, air.middle, share * 2) if share < 0.5 else mix(air.middle, air.horizon, share * 2 - 1)
                )
                wave = [(x * width / 4, y + rng.uniform(-1.6, 1.6)) for x in range(5)]
                ink.path(f"{curve(wave)}V{num(horizon + 4)}H0Z", color)
        case "papercut":  # sheets about the light
            ink.path(whole, air.top)
            x, y = (orb.x, orb.y) if orb else (width * rng.uniform(0.3, 0.7), horizon)
            reach = math.hypot(max(x, width - x), max(y, horizon - y))
            count = 5
            for k in range(1, count):
                radius = reach * (1 - k / count) ** 1.1
                share = k / (count - 1)
                color = (
                    mix(air.top, air.middle, share * 2) if share < 0.5 else mix(air.middle, air.horizon, share * 2 - 1)
                )
                rim = [
                    (
                        x + radius * math.cos(turn) * (1 + 0.035 * math.sin(3 * turn + k)),
                        y + radius * math.sin(turn) * (1 + 0.035 * math.sin(4 * turn + 2 * k)),
                    )
                    for turn in (i * math.tau / 14 for i in range(14))
                ]
                d = ring(rim)
                ink.shadow(d, 0.75)
                ink.path(d, color)
        case "poster" | "painterly":
            ink.path(whole, ink.linear(*((at, color) for at, color in stops)))
            if ink.look == "painterly":
                _sky_strokes(ink, horizon)


def _sky_strokes(ink: Ink, horizon: float) -> None:
    """Broad strokes that follow the gradient; each has a neighbour's colour."""
    air, rng = ink.air, ink.rng
    for k in range(12):
        share = (k + 0.5) / 12
        color = (
            mix(air.top, air.middle, share / 0.55)
            if share < 0.55
            else mix(air.middle, air.horizon, (share - 0.55) / 0.45)
        )
        for shade in (light(color, 0.12), mix(color, air.horizon, 0.3), mix(color, air.top, 0.35)):
            strokes = []
            for _ in range(ink.across(2.4)):
                x, y = rng.uniform(-5, ink.width), horizon * (share + rng.uniform(-0.09, 0.09))
                length, rise = rng.uniform(8, 24), rng.uniform(-1.6, 1.6)
                strokes.append(
                    f"M{num(x)} {num(max(y, 0))}q{num(length / 2)} {num(rise)} {num(length)} {num(rise / 2)}"
                )
            ink.line("".join(strokes), shade, rng.uniform(1.6, 3.4), 0.3)


def _draw_orb(ink: Ink, orb: Orb, *, crescent: bool, glows: bool) -> None:
    x, y, radius, color = orb.x, orb.y, orb.radius, orb.color
    if ink.look in {"flat", "papercut"}:
        for share, opacity in ((2.1, 0.13), (1.5, 0.2)):
            ink.disc(x, y, radius * share, mix(color, "#ffffff", 0.25), opacity)
    else:
        halo = radius * (5.5 if glows else 4)
        ink.disc(
            x,
            y,
            halo,
            ink.radial(
                (x, y), halo, (0, color, 0.75), (0.18, color, 0.55), (0.5, ink.air.glow, 0.2), (1, ink.air.glow, 0)
            ),
        )
    if crescent:
        ink.path(
            f"M{num(x)} {num(y - radius)}A{num(radius)} {num(radius)} 0 1 1 {num(x - radius)} {num(y + radius * 0.25)}"
            f"A{num(radius * 0.8)} {num(radius * 0.8)} 0 0 0 {num(x)} {num(y - radius)}Z",
            color,
        )
        return
    ink.shadow(round_path(x, y, radius))
    ink.disc(x, y, radius, color)
    if not glows:  # seas of the full moon
        for dx, dy, size in ((-0.3, -0.25, 0.24), (0.32, 0.1, 0.3), (-0.15, 0.45, 0.17)):
            ink.disc(x + dx * radius, y + dy * radius, size * radius, mix(color, "#8f95b0", 0.28))


def _stars(ink: Ink, horizon: float, *, dense: bool) -> None:
    rng = ink.rng
    small = []
    for _ in range(ink.across(85 if dense else 32)):
        x, y = rng.uniform(0, ink.width), horizon * rng.uniform(0, 0.88) ** 1.15
        small.append(disc(x, y, rng.choice((0.28, 0.35, 0.45)), "#ffffff", rng.choice((0.5, 0.75, 0.95))))
    ink.add("".join(small))
    for _ in range(ink.across(7 if dense else 4)):
        x, y, size = rng.uniform(2, ink.width - 2), horizon * rng.uniform(0.04, 0.75), rng.uniform(0.9, 1.7)
        ink.add(sparkle(x, y, size, "#fffbe6"))


def sparkle(x: float, y: float, size: float, color: str) -> str:
    """A star of four rays."""
    waist = 0.16 * size
    points = []
    for k in range(8):
        reach = size if k % 2 == 0 else waist
        points.append((x + reach * math.sin(k * math.pi / 4), y - reach * math.cos(k * math.pi / 4)))
    return f'<path d="M{"L".join(f"{num(a)} {num(b)}" for a, b in points)}Z" fill="{color}"/>'


def _shooting_star(ink: Ink, horizon: float) -> None:
    x, y = ink.width * ink.rng.uniform(0.45, 0.85), horizon * ink.rng.uniform(0.12, 0.35)
    for length, width, opacity in ((22, 0.5, 0.25), (15, 0.8, 0.45), (8, 1.1, 0.8)):
        ink.line(f"M{num(x)} {num(y)}l{num(length)} {num(-length * 0.45)}", "#fffbe6", width, opacity)
    ink.add(sparkle(x, y, 1.9, "#ffffff"))


def _aurora(ink: Ink, horizon: float, color: str) -> None:
    """Curtains: ribbons of rays that fade upwards, brightest at their lower hem."""
    rng = ink.rng
    main, other = AURORAS[color]
    for k in range(3):
        base = horizon * (0.42 + 0.16 * k) + rng.uniform(-3, 3)
        tall = horizon * rng.uniform(0.34, 0.5)
        phase, waves = rng.uniform(0, math.tau), rng.uniform(1.1, 1.8)
        count = ink.across(26)
        hem: list[Point] = []
        for i in range(count + 1):
            t = i / count
            swing = math.sin(phase + t * waves * math.tau) + 0.35 * math.sin(2.3 * phase + t * waves * 2.4 * math.tau)
            hem.append((t * (ink.width + 10) - 5, base + 6.5 * swing))
        top = [(x + 3, y - tall * (0.75 + 0.25 * math.sin(phase + x * 0.21))) for x, y in reversed(hem)]
        paint_name = f"v{len(ink.defs)}"
        first, second = (main, other) if k != 1 else (mix(main, other, 0.45), main)
        ink.defs.append(
            f'<linearGradient id="{paint_name}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{second}" '
            f'stop-opacity="0"/><stop offset=".55" stop-color="{mix(first, second, 0.5)}" stop-opacity=".32"/>'
            f'<stop offset=".92" stop-color="{first}" stop-opacity=".8"/><stop offset="1" stop-color="{first}" '
            'stop-opacity="0.15"/></linearGradient>'
        )
        body = curve(hem) + "L" + curve(top)[1:] + "Z"
        ink.path(body, f"url(#{paint_name})", 0.85)
        rays = []
        for x, y in hem[:: 2 if ink.look != "flat" else 3]:
            reach = tall * rng.uniform(0.35, 0.85)
            rays.append(f"M{num(x)} {num(y - 1)}l{num(2.2)} {num(-reach)}")
        ink.line("".join(rays), light(first, 0.45), 0.7, 0.3)
        ink.line(curve(hem), light(first, 0.4), 0.8, 0.65)


RAINBOW: Final = ("#e8443c", "#f5903a", "#f7d94a", "#5fc264", "#4a90e2", "#8a5ccc")


def _rainbow(ink: Ink, horizon: float) -> None:
    x, radius = ink.width * ink.rng.uniform(0.42, 0.58), min(ink.width * 0.46, horizon * 0.95)
    for k, color in enumerate(RAINBOW):
        r = radius - k * 1.9
        ink.line(
            f"M{num(x - r)} {num(horizon + 8)}V{num(horizon + 2)}A{num(r)} {num(r)} 0 0 1 {num(x + r)}"
            f" {num(horizon + 2)}V{num(horizon + 8)}",
            color,
            2.0,
            0.72,
        )


def _cloud_colors(ink: Ink, dark: bool) -> tuple[str, str]:
    air = ink.air
    if dark:
        return mix(air.middle, "#2a2f3d", 0.45), mix(air.top, "#1c202c", 0.5)
    body = mix(mix("#ffffff", air.horizon, 0.3), air.middle, 0.15)
    if air.dark > 0.45:  # night: the sky is darker than any cloud by day
        body = mix(air.middle, "#ffffff", 0.2)
    elif air.dark > 0.2:
        body = mix(air.horizon, "#fff3dc", 0.45)
    return body, mix(body, air.middle, 0.45)


def _clouds(ink: Ink, kind: str, horizon: float, orb: Orb | None) -> None:
    rng = ink.rng
    dark = kind == "dark clouds"
    lit, shaded = _cloud_colors(ink, dark)
    if kind == "streaky clouds":
        for _ in range(ink.across(8)):
            x, y = rng.uniform(-10, ink.width - 10), horizon * rng.uniform(0.18, 0.86)
            length, thick = rng.uniform(18, 42), rng.uniform(0.8, 2.2)
            d = (
                f"M{num(x)} {num(y)}Q{num(x + length * 0.3)} {num(y - thick)} {num(x + length)} {num(y + thick * 0.3)}"
                f"Q{num(x + length * 0.55)} {num(y + thick * 0.9)} {num(x)} {num(y)}Z"
            )
            ink.shadow(d, 0.5)
            ink.path(d, rng.choice((lit, shaded)), 0.9 if ink.look in {"flat", "papercut"} else 0.65)
        return
    if dark:
        for row, share in enumerate((0.02, 0.14, 0.27)):
            for x in ink.spread(ink.across(3.4), margin=-8):
                cloud(
                    ink,
                    x,
                    horizon * share + 8,
                    rng.uniform(34, 48),
                    mix(shaded, lit, row / 2),
                    mix(shaded, "#0c0f1a", 0.2),
                )
        return
    many = kind == "many clouds"
    for x in sorted(ink.spread(ink.across(5 if many else 2.4), margin=2), key=lambda _: rng.random()):
        y = horizon * rng.uniform(0.14, 0.72 if many else 0.55)
        size = (30 - 16 * y / horizon) * rng.uniform(0.8, 1.2)
        if orb is not None and math.hypot(x - orb.x, y - orb.y) < size * 0.5 + orb.radius and not many:
            x += (size * 0.55 + orb.radius) * (1 if x >= orb.x else -1)
        cloud(ink, x, y, size, lit, shaded)


def cloud(ink: Ink, x: float, y: float, width: float, lit: str, shaded: str) -> None:
    """A heap of cloud on a flat base whose middle is at the point."""
    rng = ink.rng
    if ink.look == "painterly":
        _painted_cloud(ink, x, y, width, lit, shaded)
        return
    count = rng.choice((4, 5, 5, 6))
    points: list[Point] = []
    peak = rng.uniform(0.35, 0.65)
    for k in range(count + 1):
        t = k / count
        rise = math.sin(math.pi * t ** (0.7 if peak < 0.5 else 1.25)) * width * 0.28
        points.append((x + (t - 0.5) * width, y - rise * rng.uniform(0.8, 1.12)))
    points[0], points[-1] = (x - width / 2, y - width * 0.03), (x + width / 2, y - width * 0.03)
    d = f"M{num(points[0][0])} {num(points[0][1])}"
    for a, b in itertools.pairwise(points):
        radius = math.hypot(b[0] - a[0], b[1] - a[1]) * 0.56
        d += f"A{num(radius)} {num(radius)} 0 0 1 {num(b[0])} {num(b[1])}"
    corner = width * 0.06
    d += f"A{num(corner)} {num(corner)} 0 0 1 {num(x + width / 2 - corner)} {num(y + corner)}"
    d += f"H{num(x - width / 2 + corner)}"
    d += f"A{num(corner)} {num(corner)} 0 0 1 {num(points[0][0])} {num(points[0][1])}Z"
    ink.shadow(d, 0.6)
    if ink.look == "flat":
        ink.path(d, lit)
        name = ink.clip(d)
        below = oval(x + width * 0.12, y + width * 0.06, width * 0.5, width * 0.12, shaded, 0.55)
        ink.add(f'<g clip-path="url(#{name})">{below}</g>')
    else:
        ink.path(d, ink.linear((0, lit), (0.55, lit), (1, mix(shaded, lit, 0.2))))


def _painted_cloud(ink: Ink, x: float, y: float, width: float, lit: str, shaded: str) -> None:
    rng = ink.rng
    tiers = (
        (shaded, -0.02, 0.5, 0.55),
        (mix(lit, shaded, 0.55), 0.0, 0.75, 0.5),
        (mix(lit, shaded, 0.2), 0.08, 0.9, 0.5),
        (lit, 0.15, 1.0, 0.55),
        (lit, 0.35, 1.0, 0.7),
    )
    for color, low, high, opacity in tiers:
        puffs = []
        for _ in range(11):
            t = rng.uniform(0, 1)
            rise = math.sin(math.pi * t) * width * 0.27
            size = width * rng.uniform(0.05, 0.11) * (0.5 + math.sin(math.pi * t) * 0.6)
            puffs.append((x + (t - 0.5) * width, y - rise * rng.uniform(low, high), size * 1.35, size * 0.85))
        ink.add(ovals(puffs, color, opacity))


def _lightning(ink: Ink, horizon: float) -> None:
    rng = ink.rng
    for x in (ink.width * rng.uniform(0.2, 0.45), ink.width * rng.uniform(0.55, 0.8))[: rng.choice((1, 2))]:
        y, points = horizon * 0.22, []
        while y < horizon:
            points.append((x, y))
            x, y = x + rng.uniform(-6, 6), y + rng.uniform(6, 11)
        points.append((x, horizon))
        bolt = "M" + "L".join(f"{num(a)} {num(b)}" for a, b in points)
        branch_x, branch_y = points[len(points) // 2]
        bolt += f"M{num(branch_x)} {num(branch_y)}l{num(rng.choice((-7, 7)))} 8l{num(rng.uniform(-2, 2))} 7"
        ink.line(bolt, "#cfd6ff", 3.4, 0.22)
        ink.line(bolt, "#fff7b0", 1.5)
        ink.line(bolt, "#ffffff", 0.7)


def birds(ink: Ink, horizon: float) -> None:
    """A few gulls, far away."""
    rng = ink.rng
    color = "#ffffff" if ink.air.dark > 0.4 else mix(ink.air.shade, "#20263a", 0.6)
    x, y = ink.width * rng.uniform(0.2, 0.6), horizon * rng.uniform(0.3, 0.55)
    for k in range(rng.choice((3, 4, 5))):
        size = rng.uniform(1.9, 3.3)
        at_x, at_y = x + 8.5 * k + rng.uniform(-1.5, 1.5), y + (-5, 3, -8, 5, -2)[k] + rng.uniform(-1.5, 1.5)
        ink.line(
            f"M{num(at_x - size)} {num(at_y)}q{num(size * 0.5)} {num(-size * 0.75)} {num(size)} {num(size * 0.1)}"
            f"q{num(size * 0.5)} {num(-size * 0.85)} {num(size)} {num(-size * 0.1)}",
            color,
            0.7,
        )


def draw_weather(ink: Ink, weather: str | None) -> None:
    """What falls or hangs in front of everything."""
    rng, width, height = ink.rng, ink.width, ink.height
    if weather in {"rain", "thunderstorm"}:
        for color, stroke_width, opacity, length, count in (
            ("#dfe8f5", 0.35, 0.5, 6, 55),
            ("#eef4ff", 0.55, 0.6, 9, 30),
        ):
            drops = [
                f"M{num(rng.uniform(-5, width + 8))} {num(rng.uniform(-8, height))}l{num(-length * 0.22)} {num(length)}"
                for _ in range(round(count * width * height / 1e4))
            ]
            ink.line("".join(drops), color, stroke_width, opacity)
    elif weather == "snowfall":
        flakes = [
            disc(
                rng.uniform(0, width),
                rng.uniform(0, height),
                rng.choice((0.45, 0.6, 0.9, 1.25)),
                "#ffffff",
                rng.choice((0.7, 0.9, 1)),
            )
            for _ in range(round(95 * width * height / 1e4))
        ]
        ink.add("".join(flakes))
    elif weather == "fog":
        mist = mix(ink.air.horizon, "#ffffff", 0.35 if ink.air.dark < 0.3 else 0.12)
        for share in (0.42, 0.6, 0.78):
            y, thick = (share + rng.uniform(-0.05, 0.05)) * height, rng.uniform(13, 20)
            name = f"v{len(ink.defs)}"
            ink.defs.append(
                f'<linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{mist}" '
                f'stop-opacity="0"/><stop offset=".55" stop-color="{mist}" stop-opacity=".5"/>'
                f'<stop offset="1" stop-color="{mist}" stop-opacity="0"/></linearGradient>'
            )
            rim = [(width * k / 6 - 1, y + rng.uniform(-3, 3)) for k in range(-1, 8)]
            foot = [(x, at + thick) for x, at in reversed(rim)]
            ink.path(f"{curve(rim)}L{curve(foot)[1:]}Z", f"url(#{name})")


def glitter(ink: Ink, orb: Orb, top: float, bottom: float, *, spread: float = 1.0) -> None:
    """The path of light that the sun or the moon lays on water."""
    rng = ink.rng
    rows = max(6, round((bottom - top) / 2.6))
    color = mix(orb.color, ink.air.glow, 0.3)
    drawn = []
    for k in range(rows):
        t = (k + 0.35) / rows
        y = top + (bottom - top) * t**1.25
        for _ in range(2 if t > 0.25 else 1):
            reach = (orb.radius * (0.75 + 0.5 * t) * rng.uniform(0.35, 1.0)) * spread
            x = orb.x + rng.uniform(-1, 1) * orb.radius * (0.25 + 0.5 * t) * spread
            thick = 0.32 + 0.75 * t
            d = f"M{num(x - reach)} {num(y)}Q{num(x)} {num(y - thick)} {num(x + reach)} {num(y)}"
            d += f"Q{num(x)} {num(y + thick)} {num(x - reach)} {num(y)}Z"
            drawn.append(shape(d, color, 0.92 - 0.45 * t))
    ink.add("".join(drawn))
