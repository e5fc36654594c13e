"""Land and water: hills, mountains with lit and shaded sides, dunes, shores, waves, rows of trees, a town's outline."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ..words.views import GRASS, LEAVES, PINES, SAND
from .ink import Ink, Point, box, curve, disc, height_at, light, line, mix, num, oval
from .sky import Orb, glitter
from .things import bare_tree, bush, flower, is_dark, leafy_tree, palm, pine, snowy_pine, tulip

SNOW: Final = "#f2f7fc"


def swell(ink: Ink, y: float, height: float, *, waves: float = 1.5, points: int = 9) -> list[Point]:
    """The edge of a hill: two slow waves, from left to right."""
    phase, other = ink.rng.uniform(0, math.tau), ink.rng.uniform(0, math.tau)
    scale = waves * max(1.0, ink.width / 130)
    count = max(points, round(points * ink.width / 100))
    edge = []
    for k in range(count):
        t = k / (count - 1)
        bump = 0.7 * math.sin(phase + t * scale * math.tau) + 0.3 * math.sin(other + t * scale * 2.1 * math.tau)
        edge.append((t * (ink.width + 6) - 3, y - height * bump))
    return edge


def ridge(ink: Ink, y: float, height: float, peaks: int) -> list[Point]:
    """A jagged edge with so many peaks."""
    rng = ink.rng
    tops = ink.spread(peaks, margin=-6)
    points: list[Point] = [(-6, y - height * rng.uniform(0.1, 0.4))]
    for k, x in enumerate(tops):
        points.append((x, y - height * rng.uniform(0.65, 1.0)))
        following = tops[k + 1] if k + 1 < len(tops) else ink.width + 6
        points.append(((x + following) / 2 + rng.uniform(-2, 2), y - height * rng.uniform(0.12, 0.4)))
    for _ in range(2):
        finer: list[Point] = [points[0]]
        for (a, b), (c, d) in itertools.pairwise(points):
            finer.append(((a + c) / 2 + rng.uniform(-0.6, 0.6), (b + d) / 2 + rng.uniform(-0.05, 0.05) * height))
            finer.append((c, d))
        points = finer
    return points


def peak(ink: Ink, x: float, base: float, width: float, height: float, color: str, depth: float, snow: float) -> None:
    """A mountain with a lit and a shaded side; `snow` is the share of its height that is white."""
    rng = ink.rng
    steps = 6
    left = [
        (x - width / 2 * k / steps * rng.uniform(0.94, 1.04), base - height * (1 - k / steps) * rng.uniform(0.97, 1.03))
        for k in range(1, steps)
    ]
    right = [
        (x + width / 2 * k / steps * rng.uniform(0.94, 1.04), base - height * (1 - k / steps) * rng.uniform(0.97, 1.03))
        for k in range(1, steps)
    ]
    apex = (x, base - height)
    whole = [(x - width / 2 - 1, base), *reversed(left), apex, *right, (x + width / 2 + 1, base)]
    middle = [
        (x + rng.uniform(-0.02, 0.1) * width * (1 if k % 2 else -0.6), base - height * (1 - k / steps))
        for k in range(1, steps)
    ]
    middle.append((x + width * 0.06, base))
    lit = ink.air.tone(light(color, 0.1), depth)
    shaded = ink.air.tone(light(color, -0.2), depth)
    d = line(whole) + "Z"
    ink.shadow(d)
    foot = mix(lit, ink.air.horizon, 0.28)
    dark_foot = mix(shaded, ink.air.horizon, 0.28)
    smooth_fill = ink.look in {"poster", "painterly"}
    ink.path(d, ink.linear((0, lit), (1, foot)) if smooth_fill else lit)
    shade = line([apex, *right, (x + width / 2 + 1, base), *reversed(middle)]) + "Z"
    ink.path(shade, ink.linear((0, shaded), (1, dark_foot)) if smooth_fill else shaded)
    if ink.look == "painterly":
        ink.brush(
            (x - width / 2, base - height, x + width / 2, base),
            mix(lit, shaded, 0.4),
            lambda px, py: abs(px - x) < width * 0.47 * (py - base + height) / height,
            slope=0.5,
            size=0.7,
        )
    if snow:
        white = ink.air.tone(SNOW, depth * 0.55)
        grey = mix(ink.air.tone("#b9cbe4", depth * 0.55), ink.air.middle, 0.15)
        count = max(2, round(steps * snow))
        low_left, low_right = left[count - 1], right[count - 1]
        hem = []
        for k in range(1, 6):
            t = k / 6
            down = 0.09 * height * (1 if k % 2 else -0.75)
            hem.append(
                (
                    low_right[0] + (low_left[0] - low_right[0]) * t,
                    low_right[1] + (low_left[1] - low_right[1]) * t + down,
                )
            )
        ink.path(line([apex, *right[:count], *hem, *reversed(left[:count])]) + "Z", white)
        split = middle[: count - 1]
        ink.path(line([apex, *right[:count], *hem[:2], *reversed(split)]) + "Z", grey)


def mountains(ink: Ink, base: float, color: str, *, snowy: bool, height: float) -> None:
    """Two far ranges in haze, and peaks before them."""
    rng = ink.rng
    for depth, tall in ((0.92, 0.8), (0.7, 0.62)):
        edge = ridge(ink, base, height * tall, ink.across(3.4))
        ink.layer(edge, mix(color, SNOW, 0.35) if snowy else color, depth, curved=False, bottom=base + 3)
        if snowy and depth < 0.8 and ink.look != "papercut":
            ink.line(line(edge), ink.air.tone(SNOW, depth), 0.8, 0.7)
    count = ink.across(2.6)
    places = ink.spread(count, margin=2, jitter=0.25)
    tallest = rng.randrange(count)
    for k in sorted(range(count), key=lambda k: (k == tallest, rng.random())):
        tall = height * (1.0 if k == tallest else rng.uniform(0.5, 0.75))
        peak(
            ink,
            places[k],
            base + 2,
            tall * rng.uniform(1.5, 1.9),
            tall,
            color,
            0.3 if k == tallest else 0.45,
            0.42 if snowy else 0,
        )


def _below(edge: Sequence[Point], x: float, y: float) -> bool:
    """Whether a point is under an edge."""
    return y > height_at(edge, x) + 0.6


def far_hills(ink: Ink, base: float, color: str, height: float, count: int = 2) -> None:
    """Hills behind hills."""
    for k in range(count):
        depth = 0.85 - 0.5 * k / max(1, count - 1) if count > 1 else 0.6
        ink.layer(
            swell(ink, base - height * (0.75 - 0.5 * k / count), height * 0.32, waves=1.2 + 0.3 * k),
            color,
            depth,
        )


def pines(
    ink: Ink, edge: Sequence[Point], places: Sequence[float], size: float, depth: float, *, snowy: bool = False
) -> None:
    """Firs at these places along an edge, the tallest behind."""
    rng = ink.rng
    for tall, x in sorted(((rng.uniform(0.55, 1.0), x) for x in places), reverse=True):
        color = ink.air.tone(rng.choice(PINES), depth)
        drawn = snowy_pine(ink, color) if snowy else pine(ink, color)
        ink.put(x, height_at(edge, x) + 0.5, size / 10 * tall, drawn)


def wood(ink: Ink, edge: Sequence[Point], count: float, size: float, depth: float, *, snowy: bool = False) -> None:
    """So many firs all along an edge."""
    pines(ink, edge, ink.spread(ink.across(count), margin=-2, jitter=0.6), size, depth, snowy=snowy)


def leafy(
    ink: Ink,
    edge: Sequence[Point],
    places: Sequence[float],
    size: float,
    depth: float,
    season: str,
    *,
    colors: Sequence[str] = (),
    sink: float = 0.4,
) -> None:
    """Trees with leaves of the season at these places along an edge."""
    rng = ink.rng
    for x in places:
        color = ink.air.tone(rng.choice(colors or LEAVES[season]), depth)
        drawn = bare_tree(ink, color) if season == "winter" else leafy_tree(ink, color)
        ink.put(x, height_at(edge, x) + sink, size / 10 * rng.uniform(0.8, 1.15), drawn, flip=rng.random() < 0.5)


def grass(ink: Ink, edge: Sequence[Point], season: str, depth: float = 0.0) -> str:
    """A meadow down from the edge; returns its outline."""
    return ink.layer(edge, GRASS[season], depth)


def tufts(ink: Ink, top: float, bottom: float, color: str, count: float = 26) -> None:
    """Blades of grass in small bunches, larger when nearer."""
    rng = ink.rng
    drawn: dict[bool, list[str]] = {True: [], False: []}
    for _ in range(ink.across(count)):
        t = rng.uniform(0, 1)
        x, y, size = rng.uniform(0, ink.width), top + (bottom - top) * t, 0.8 + 1.5 * t
        drawn[rng.random() < 0.5].append(
            f"M{num(x)} {num(y)}q{num(-0.2 * size)} {num(-size * 0.6)} {num(-0.5 * size)} {num(-size)}"
            f"M{num(x)} {num(y)}v{num(-1.2 * size)}"
            f"M{num(x)} {num(y)}q{num(0.2 * size)} {num(-size * 0.6)} {num(0.5 * size)} {num(-size)}"
        )
    ink.line("".join(drawn[True]), light(color, -0.18), 0.35, 0.7)
    ink.line("".join(drawn[False]), light(color, 0.22), 0.35, 0.7)


def flowers(ink: Ink, top: float, bottom: float, color: str, *, tulips: bool = False, count: float = 30) -> None:
    """Flowers over a meadow: dots far away, blossoms near."""
    rng = ink.rng
    places = sorted((rng.uniform(0, 1) ** 0.8, rng.uniform(-1, ink.width + 1)) for _ in range(ink.across(count)))
    for t, x in places:
        y, shade = top + (bottom - top) * t, light(color, rng.uniform(-0.06, 0.14))
        if t < 0.28:
            ink.disc(x, y, 0.5 + 0.9 * t, shade)
            continue
        ink.put(x, y, 0.35 + 1.05 * t, tulip(ink, shade) if tulips else flower(ink, shade))


def flower_rows(ink: Ink, top: float, bottom: float, color: str, leaf: str, *, tulips: bool) -> None:
    """Beds of one colour, in rows that come nearer."""
    rng = ink.rng
    rows = 4
    for k in range(rows):
        t = (k + 0.5) / rows
        y, size = top + (bottom - top) * t**1.15, 0.5 + 0.95 * t
        edge = swell(ink, y, 0.5, waves=2)
        ink.layer(edge, leaf, 0.12 * (1 - t), bottom=y + 5 + 5 * t, toned=False)
        for x in ink.spread(ink.across(15 / size**0.75), margin=-1, jitter=0.3):
            shade = light(color, rng.uniform(-0.08, 0.14))
            ink.put(x, y + 1.2 * size, size, tulip(ink, shade) if tulips else flower(ink, shade))


def path(ink: Ink, top: float, bottom: float, x: float, color: str, *, width: float = 13.0) -> None:
    """A winding way that comes nearer."""
    rng = ink.rng
    sway = rng.choice((-1, 1)) * rng.uniform(5, 9)
    left, right = [], []
    for k in range(7):
        t = k / 6
        y = top + (bottom - top) * t**1.3
        middle = x + sway * math.sin(t * math.pi * 1.5) * (0.5 + t)
        half = 0.6 + width * t**1.5 / 2 * 1.4
        left.append((middle - half, y))
        right.append((middle + half, y))
    d = curve(left) + "L" + curve(list(reversed(right)))[1:] + "Z"
    ink.path(d, ink.linear((0, mix(color, ink.air.horizon, 0.25)), (1, color)) if ink.look != "flat" else color)
    if ink.look == "painterly":
        ink.brush((0, top, ink.width, bottom), color, _between(left, right), size=0.7)


def _between(left: Sequence[Point], right: Sequence[Point]) -> Callable[[float, float], bool]:
    """Whether a point is between two banks, which run from far to near."""
    banks = [[(y, x) for x, y in bank] for bank in (left, right)]
    return lambda x, y: height_at(banks[0], y) + 0.5 < x < height_at(banks[1], y) - 0.5


def stream(ink: Ink, top: float, bottom: float, x: float, color: str) -> list[tuple[float, float, float]]:
    """A river that winds towards the viewer; returns its left and right bank at each height (y, left, right)."""
    rng = ink.rng
    sway = rng.choice((-1, 1)) * rng.uniform(9, 14)
    banks: list[tuple[float, float, float]] = []
    for k in range(11):
        t = k / 10
        y = top + (bottom - top) * t**1.35
        middle = x + sway * math.sin(t * math.pi * 1.7) * (0.35 + t)
        half = 1.2 + 21 * t**1.7
        banks.append((y, middle - half, middle + half))
    left, right = [(a, y) for y, a, _ in banks], [(b, y) for y, _, b in banks]
    d = curve(left) + "L" + curve(list(reversed(right)))[1:] + "Z"
    near, far = color, mix(color, ink.air.horizon, 0.55)
    rim = curve(left)
    ink.path(d, ink.linear((0, far), (1, near)) if ink.look != "flat" else mix(near, far, 0.25))
    ink.line(rim, light(near, 0.45), 0.5, 0.55)
    ink.line(curve(right), light(near, -0.3), 0.6, 0.5)
    if ink.look == "painterly":
        ink.brush((0, top, ink.width, bottom), near, _between(left, right), size=0.8)
    glints = []
    for _ in range(16):
        y, a, b = banks[rng.randrange(3, len(banks))]
        w = (b - a) * rng.uniform(0.08, 0.2)
        at = rng.uniform(a + w, b - w * 1.5) if b - a > 3 * w else a
        glints.append(f"M{num(at)} {num(y - rng.uniform(0, 3))}q{num(w / 2)} -.5 {num(w)} 0")
    ink.line("".join(glints), light(near, 0.55), 0.5, 0.7)
    return banks


def open_water(
    ink: Ink, top: float, color: str, orb: Orb | None, *, bottom: float | None = None, calm: bool = False
) -> None:
    """Water from its horizon down to the viewer: the sky's colour far away, its own near, waves, a path of light."""
    rng, air = ink.rng, ink.air
    bottom = ink.height + 2 if bottom is None else bottom
    far, near = mix(color, air.horizon, 0.6), color
    d = f"M-3 {num(top)}H{num(ink.width + 3)}V{num(bottom)}H-3Z"
    if ink.look in {"flat", "papercut"}:
        ink.path(d, far)
        rows = 6
        for k in range(rows):
            t = (k + 0.6) / rows
            y = top + (bottom - top) * t**1.35
            high = (0.15 if calm else 0.35) + (0.5 if calm else 1.5) * t
            edge = _waves(ink, y, high, 26 - 12 * (1 - t))
            shade = mix(far, near, t)
            shade = light(shade, 0.05) if k % 2 else shade
            outline = f"{curve(edge)}V{num(bottom)}H-3Z"
            ink.shadow(curve(edge), 0.75)
            ink.path(outline, shade)
            if not calm and ink.look == "papercut":
                ink.line(curve(edge), light(shade, 0.4), 0.3, 0.6)
    else:
        ink.path(d, ink.linear((0, far), (0.35, mix(far, near, 0.6)), (1, light(near, -0.14))))
        if ink.look == "painterly":
            ink.brush((-3, top + 0.8, ink.width + 3, bottom), mix(far, near, 0.6))
    if orb is not None:
        glitter(ink, orb, top, min(bottom, ink.height))
    glints: dict[bool, list[str]] = {True: [], False: []}
    for _ in range(ink.across(34 if calm else 46)):
        t = rng.uniform(0.03, 1)
        y, w = top + (bottom - top) * t**1.3, (1.2 + 6.5 * t) * rng.uniform(0.5, 1.1)
        x = rng.uniform(-2, ink.width)
        rise = 0 if calm else 0.25 + 0.6 * t
        glints[rng.random() < 0.6].append(f"M{num(x)} {num(y)}q{num(w / 2)} {num(-rise)} {num(w)} 0")
    ink.line("".join(glints[True]), light(mix(far, near, 0.4), 0.42), 0.42, 0.65)
    ink.line("".join(glints[False]), light(near, -0.22), 0.42, 0.4)


def _waves(ink: Ink, y: float, height: float, length: float) -> list[Point]:
    count = max(6, round(2 * ink.width / length) * 2)
    phase = ink.rng.uniform(0, math.tau)
    return [(-3 + (ink.width + 6) * k / count, y + height * math.sin(phase + math.pi * k)) for k in range(count + 1)]


def islands(ink: Ink, top: float, count: int) -> None:
    """Far islands on the water's horizon."""
    rng = ink.rng
    for x in ink.spread(count, margin=6, jitter=0.4):
        width, tall = rng.uniform(15, 26), rng.uniform(4, 7.5)
        edge = [
            (x - width / 2, top + 0.3),
            (x - width * 0.3, top - tall * 0.55),
            (x - width * 0.08, top - tall),
            (x + width * 0.15, top - tall * 0.7),
            (x + width * 0.3, top - tall * 0.5),
            (x + width / 2, top + 0.3),
        ]
        d = curve(edge) + "Z"
        ink.shadow(d, 0.6)
        color = ink.air.tone("#4a8a62", 0.35)
        ink.path(d, ink.linear((0, color), (1, mix(color, ink.air.horizon, 0.3))) if ink.look != "flat" else color)
        if ink.look == "painterly":
            ink.brush(
                (x - width / 2, top - tall, x + width / 2, top),
                color,
                partial(_below, edge),
                size=0.6,
            )
        ink.add(oval(x, top + 0.9, width * 0.5, 0.8, light(color, -0.3), 0.35))


def shore(ink: Ink, y: float, slope: float, *, sand: str = SAND) -> list[Point]:
    """Sand in the foreground with wet sand and foam along the water; returns the edge of the dry sand."""
    rng = ink.rng
    count = 8
    phase = rng.uniform(0, math.tau)
    edge = []
    for k in range(count + 1):
        t = k / count
        edge.append((t * (ink.width + 8) - 4, y + slope * (0.5 - t) + 2.2 * math.sin(phase + t * 2.1 * math.tau)))
    shown = ink.air.tone(sand)
    wet = mix(shown, "#8a6a4a", 0.32)
    foam = ink.air.lit("#ffffff")

    def up(by: float) -> list[Point]:
        return [(x, a - by - 0.5 * math.sin(x * 0.5)) for x, a in edge]

    ink.path(f"{curve(up(4.6))}V{num(ink.height + 3)}H-4Z", foam, 0.55)
    ink.layer(up(3.2), foam, toned=False, mist=0)
    ink.path(f"{curve(up(1.6))}V{num(ink.height + 3)}H-4Z", wet)
    ink.layer(edge, shown, toned=False, mist=0.08)
    specks = "".join(
        disc(
            rng.uniform(0, ink.width),
            y + 6 + (ink.height - y - 6) * rng.uniform(0, 1),
            rng.uniform(0.18, 0.4),
            light(shown, rng.choice((-0.16, 0.3))),
        )
        for _ in range(ink.across(34))
    )
    ink.add(specks)
    return edge


def palms(ink: Ink, places: Sequence[tuple[float, float, float, bool]]) -> None:
    """Palms: (x, y, size, leaning to the left)."""
    for x, y, size, leans in places:
        color = ink.air.lit(ink.rng.choice(("#3f9a48", "#358a44", "#52a94c")))
        ink.add(oval(x, y + 0.3, 3.4 * size, 0.8 * size, "#10173a", 0.16))
        ink.put(x, y, size, palm(ink, color), flip=leans, turn=(-4 if leans else 4))


def dunes(ink: Ink, top: float, color: str) -> list[list[Point]]:
    """Dunes with a lit and a shaded flank; returns their edges, far ones first."""
    rng = ink.rng
    edges = []
    rows = 4
    for k in range(rows):
        t = k / (rows - 1)
        y = top + (ink.height - top) * (0.02 + 0.62 * t**1.1)
        edge = swell(ink, y, 3.5 + 4.5 * t, waves=0.75 + 0.25 * rng.random(), points=8)
        edges.append(edge)
        depth = 0.72 * (1 - t)
        ink.layer(edge, color, depth, mist=0.25)
        crest = min(range(1, len(edge) - 1), key=lambda i: edge[i][1])
        x, at = edge[crest]
        drop = ink.height + 3 - at
        fall = f"C{num(x + 22)} {num(at + 0.75 * drop)} {num(x - 11)} {num(at + 0.4 * drop)} {num(x)} {num(at)}Z"
        shade = ink.air.tone(light(color, -0.16), depth)
        flank = curve(edge[crest:]) + f"V{num(ink.height + 3)}H{num(x + 16)}{fall}"
        ink.path(flank, shade, 0.6)
    ripples = []
    for _ in range(ink.across(12)):
        x, y, w = rng.uniform(-4, ink.width), ink.height * rng.uniform(0.86, 0.99), rng.uniform(5, 12)
        ripples.append(f"M{num(x)} {num(y)}q{num(w / 2)} -1.1 {num(w)} 0")
    ink.line("".join(ripples), ink.air.tone(light(color, -0.22)), 0.4, 0.45)
    return edges


def skyline(
    ink: Ink, base: float, tallest: float, depth: float, color: str, *, windows: bool, width: float = 9.0
) -> None:
    """A row of towers with flat, stepped and pointed tops."""
    rng = ink.rng
    dark = is_dark(ink)
    x = -3.0
    while x < ink.width + 2:
        w = width * rng.uniform(0.7, 1.3)
        middle = 1 - 0.55 * abs((x + w / 2) / ink.width - 0.5) * 2
        h = tallest * rng.uniform(0.38, 1.0) * middle
        shown = ink.air.tone(mix(color, rng.choice(("#8a6ab0", "#4f8fb8", "#c07f68", "#b06f90", color)), 0.45), depth)
        form = rng.choice(("flat", "flat", "step", "spire", "slant", "dome"))
        left, right, top = x, x + w, base - h
        match form:
            case "step":
                d = (
                    f"M{num(left)} {num(base)}V{num(top + 4)}H{num(left + w * 0.2)}V{num(top)}H{num(right - w * 0.2)}"
                    f"V{num(top + 4)}H{num(right)}V{num(base)}Z"
                )
            case "spire":
                d = (
                    f"M{num(left)} {num(base)}V{num(top + 5)}L{num(x + w / 2 - 0.5)} {num(top)}V{num(top - 5)}"
                    f"H{num(x + w / 2 + 0.5)}V{num(top)}L{num(right)} {num(top + 5)}V{num(base)}Z"
                )
            case "slant":
                d = f"M{num(left)} {num(base)}V{num(top + 4.5)}L{num(right)} {num(top)}V{num(base)}Z"
            case "dome":
                d = (
                    f"M{num(left)} {num(base)}V{num(top + w / 2)}A{num(w / 2)} {num(w / 2)} 0 0 1 {num(right)}"
                    f" {num(top + w / 2)}V{num(base)}Z"
                )
            case _:
                d = f"M{num(left)} {num(base)}V{num(top)}H{num(right)}V{num(base)}Z"
        ink.shadow(d, 0.7)
        fill = (
            shown
            if ink.look in {"flat", "papercut"}
            else ink.linear((0, shown), (1, mix(shown, ink.air.horizon, 0.15 + 0.5 * depth)))
        )
        ink.path(d, fill)
        ink.add(box(right - w * 0.32, top + 6, w * 0.32, base - top - 6, light(shown, -0.25), opacity=0.35))
        if ink.look == "painterly":
            ink.brush((left, top + 6, right - 3, base), shown, size=0.55)
        if windows:
            _windows(ink, left, top + (w / 2 + 1 if form == "dome" else 6.5), w, base, shown, dark=dark)
        x = right + rng.uniform(-0.8, 1.2)


def _windows(ink: Ink, left: float, top: float, width: float, base: float, wall: str, *, dark: bool) -> None:
    rng = ink.rng
    columns = max(2, round(width / 2.6))
    step = (width - 1.6) / columns
    drawn: dict[str, list[str]] = {}
    lit, off = ("#ffd873", "#ffe9ad"), light(wall, -0.2)
    y = top
    while y < base - 2.5:
        for k in range(columns):
            share = rng.random()
            color = (
                (lit[share < 0.2] if share < 0.58 else off)
                if dark
                else (light(wall, 0.38) if share < 0.75 else light(wall, 0.16))
            )
            x = left + 0.8 + step * (k + 0.18)
            drawn.setdefault(color, []).append(f"M{num(x)} {num(y)}h{num(step * 0.62)}v1.5h{num(-step * 0.62)}Z")
        y += 3.1
    for color, panes in drawn.items():
        ink.path("".join(panes), color)


def bushes(ink: Ink, edge: Sequence[Point], places: Sequence[float], size: float, color: str) -> None:
    """Round shrubs at these places along an edge."""
    rng = ink.rng
    for x in places:
        drawn = bush(ink, light(color, rng.uniform(-0.1, 0.08)))
        ink.put(x, height_at(edge, x) + 0.6, size * rng.uniform(0.7, 1.2), drawn)


def mirror(ink: Ink, drawn: Sequence[str], y: float, *, opacity: float, squeeze: float = 1.0) -> None:
    """What was drawn before, mirrored in water below y; lone strokes are left out, as water does."""
    name = ink.clip(f"M-3 {num(y)}H{num(ink.width + 3)}V{num(ink.height + 3)}H-3Z")
    shapes = "".join(each for each in drawn if 'fill="none"' not in each or each.startswith("<g"))
    ink.add(
        f'<g clip-path="url(#{name})"><g transform="translate(0 {num(y * (1 + squeeze))}) scale(1 {num(-squeeze)})" '
        f'opacity="{num(opacity)}">{shapes}</g></g>'
    )
