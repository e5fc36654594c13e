"""Paper and ink of a view: shapes, colours and the four looks, as SVG elements. Knows nothing of what is shown.

Lengths are in units of which the shorter side of the picture has 100, so that things keep their size in any aspect.
There are no filters, which resvg draws slowly: shadows are stacks of faint strokes, brushes are strokes.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from PIL import ImageColor

Look = Literal["flat", "papercut", "poster", "painterly"]
Point = tuple[float, float]

SUBMERGED: Final = "#eaffff"
"""The light under water, which tells things that they are there."""

LIFT: Final = ((3.4, 0.09), (1.3, 0.15))
"""Width and opacity of the strokes that are a paper's shadow."""


def mix(color: str, other: str, share: float) -> str:
    """A hex colour with a share of another."""
    share = min(max(share, 0.0), 1.0)
    ours, theirs = ImageColor.getrgb(color), ImageColor.getrgb(other)
    return "#" + bytes(round(a + share * (b - a)) for a, b in zip(ours[:3], theirs[:3], strict=True)).hex()


def filtered(color: str, tint: str) -> str:
    """A hex colour in light of another colour."""
    ours, theirs = ImageColor.getrgb(color), ImageColor.getrgb(tint)
    return "#" + bytes(round(a * b / 255) for a, b in zip(ours[:3], theirs[:3], strict=True)).hex()


def light(color: str, share: float) -> str:
    """Lighter by a share of white, or darker where the share is negative, by a dark blue, never by mere black."""
    return mix(color, "#ffffff", share) if share >= 0 else mix(color, "#10173a", -share)


@dataclass(frozen=True)
class Air:
    """What the hour and the weather do to colours.

    Attributes:
        top, middle, horizon: the sky, from above.
        tint: the colour of the light that falls on land.
        shade: what darkness mixes into land, and `dark` how much of it, from 0 to 1.
        haze: how much of the horizon's colour the farthest land takes.
        glow: the colour of light itself: halos, paths on water.
    """

    top: str
    middle: str
    horizon: str
    tint: str
    shade: str
    dark: float
    haze: float
    glow: str

    def tone(self, color: str, depth: float = 0.0) -> str:
        """Land of this colour, from near (0) to the horizon (1). Snow keeps cooler than other land."""
        snow = min(ImageColor.getrgb(color)) > 0xB0
        tint = mix(self.tint, "#e4dcf4", 0.6 - self.dark * 0.4) if snow else self.tint
        shaded = mix(filtered(color, tint), self.shade, self.dark * (0.36 if snow else 0.5))
        return mix(shaded, self.horizon, depth * self.haze * (0.7 if snow else 1))

    def lit(self, color: str) -> str:
        """A thing of this colour in front: the dark leaves its name true."""
        return mix(mix(color, filtered(color, self.tint), 0.4), self.shade, self.dark * 0.25)


@dataclass
class Ink:
    """A picture in the making.

    Attributes:
        width, height: in units; the shorter is 100.
    """

    look: Look
    width: float
    height: float
    air: Air
    rng: Random
    parts: list[str] = field(default_factory=list)
    defs: list[str] = field(default_factory=list)

    def add(self, element: str) -> None:
        """The next element, above all others."""
        self.parts.append(element)

    def svg(self) -> str:
        """The whole document."""
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {num(self.width)} {num(self.height)}" preserveAspectRatio="xMidYMid slice">'
            f"<defs>{''.join(self.defs)}</defs>{''.join(self.parts)}</svg>"
        )

    def spread(self, count: int, margin: float = 0.0, jitter: float = 0.35) -> list[float]:
        """`count` places from left to right, uneven as if by chance."""
        step = (self.width - 2 * margin) / count
        return [margin + step * (k + 0.5 + self.rng.uniform(-jitter, jitter)) for k in range(count)]

    def across(self, count: float) -> int:
        """So many on a square, more on a wide picture."""
        return max(1, round(count * self.width / 100))

    def linear(self, *stops: tuple[float, str], end: Point = (0, 1)) -> str:
        """Paint that runs through the colours over the shape, downwards."""
        name = f"v{len(self.defs)}"
        self.defs.append(
            f'<linearGradient id="{name}" x1="0" y1="0" x2="{num(end[0])}" y2="{num(end[1])}">{_stops(stops)}'
            "</linearGradient>"
        )
        return f"url(#{name})"

    def radial(self, center: Point, radius: float, *stops: tuple[float, str, float]) -> str:
        """Paint in rings about a point: (share of the radius, colour, opacity)."""
        name = f"v{len(self.defs)}"
        rings = "".join(
            f'<stop offset="{num(at)}" stop-color="{color}" stop-opacity="{num(opacity)}"/>'
            for at, color, opacity in stops
        )
        self.defs.append(
            f'<radialGradient id="{name}" gradientUnits="userSpaceOnUse" cx="{num(center[0])}" cy="{num(center[1])}" '
            f'r="{num(radius)}">{rings}</radialGradient>'
        )
        return f"url(#{name})"

    def clip(self, d: str) -> str:
        """The name of a clip of this outline."""
        name = f"v{len(self.defs)}"
        self.defs.append(f'<clipPath id="{name}"><path d="{d}"/></clipPath>')
        return name

    def path(self, d: str, fill: str, opacity: float = 1.0) -> None:
        """A filled outline."""
        self.add(f'<path d="{d}" fill="{fill}"{_opacity(opacity)}/>')

    def line(self, d: str, color: str, width: float, opacity: float = 1.0) -> None:
        """A stroke with round ends."""
        self.add(stroke(d, color, width, opacity))

    def disc(self, x: float, y: float, radius: float, fill: str, opacity: float = 1.0) -> None:
        """A circle."""
        self.add(disc(x, y, radius, fill, opacity))

    def shadow(self, d: str, strength: float = 1.0) -> None:
        """What a paper of this outline throws on those below it, in the papercut look; else nothing."""
        if self.look == "papercut":
            for width, opacity in LIFT:
                self.line(d, "#0b0f26", width, opacity * strength)

    def layer(
        self,
        edge: Sequence[Point],
        color: str,
        depth: float = 0.0,
        *,
        curved: bool = True,
        bottom: float | None = None,
        mist: float = 0.5,
        toned: bool = True,
    ) -> str:
        """Land from its upper edge, which runs from left to right, down to `bottom`, or as far as may be seen; returns
        its outline.

        `depth` is 0 near and 1 at the horizon; `mist` how far its foot fades into the air.
        """
        if bottom is None:  # what nearer land hides is not painted
            lowest = max(y for _, y in edge)
            bottom = min(self.height + 3, lowest + (0.34 * self.height if depth >= 0.15 else self.height))
        top = curve(edge) if curved else line(edge)
        d = f"{top}L{num(edge[-1][0])} {num(bottom)}L{num(edge[0][0])} {num(bottom)}Z"
        shown = self.air.tone(color, depth) if toned else color
        foot = mix(shown, self.air.horizon, mist * (0.35 + 0.65 * depth))
        self.shadow(top)
        match self.look:
            case "flat":
                self.path(d, shown)
            case "papercut":
                self.path(d, self.linear((0, light(shown, 0.07)), (1, light(shown, -0.05))))
                self.line(top, light(shown, 0.35), 0.35, 0.5)
            case "poster":
                self.path(d, self.linear((0, shown), (1, foot)))
            case "painterly":
                self.path(d, self.linear((0, shown), (1, mix(shown, foot, 0.7))))
                self._edge(edge, shown)
                highest = min(y for _, y in edge)
                area = (max(edge[0][0], -3), highest, min(edge[-1][0], self.width + 3), min(bottom, self.height))
                self.brush(area, shown, lambda x, y: y > height_at(edge, x) + 0.9)
        return d

    def brush(
        self,
        area: tuple[float, float, float, float],
        color: str,
        inside: Callable[[float, float], bool] = lambda x, y: True,
        *,
        slope: float = 0.0,
        size: float = 1.0,
    ) -> None:
        """Strokes of a broad brush, in neighbours of the colour, which begin and end inside.

        `area` is left, top, right, bottom.
        """
        left, top, right, bottom = area
        if bottom <= top or right <= left:
            return
        shades: tuple[str, ...] = (
            light(color, 0.16),
            light(color, 0.07),
            light(color, -0.1),
            light(color, -0.2),
            mix(color, self.air.horizon, 0.28),
            mix(color, self.air.top, 0.2),
        )
        extent = (right - left) * (bottom - top) / size**2
        shades = shades[::2] if extent < 1500 else shades
        count = max(1, int(extent / 78 / len(shades)))
        for shade in shades:
            strokes = []
            for _ in range(count):
                x, y = self.rng.uniform(left, right), self.rng.uniform(top, bottom)
                length = self.rng.uniform(3, 11) * size
                tilt = (slope + self.rng.uniform(-0.12, 0.12)) * length
                bend = self.rng.uniform(-1, 1) * size
                if inside(x, y) and inside(x + length, y + tilt):
                    middle = tilt / 2 + bend
                    strokes.append(f"M{num(x)} {num(y)}q{num(length / 2)} {num(middle)} {num(length)} {num(tilt)}")
            if strokes:
                drawn = stroke("".join(strokes), shade, self.rng.uniform(1.1, 2.5) * size, 0.36)
                self.add(drawn.replace("round", "butt", 1))  # flat ends, as a broad brush leaves, are painted faster

    def _edge(self, edge: Sequence[Point], color: str) -> None:
        """The ragged rim that a brush leaves."""
        dabs = []
        for (x, y), (to_x, to_y) in itertools.pairwise(edge):
            steps = max(1, round(math.hypot(to_x - x, to_y - y) / 3.5))
            for k in range(steps):
                share = (k + self.rng.uniform(0, 1)) / steps
                at_x, at_y = x + share * (to_x - x), y + share * (to_y - y)
                length = self.rng.uniform(1.2, 3.2)
                slope = (to_y - y) / max(to_x - x, 0.5)
                slope = min(max(slope, -1.2), 1.2) + self.rng.uniform(-0.3, 0.3)
                dabs.append(
                    f"M{num(at_x)} {num(at_y + self.rng.uniform(0.2, 0.9))}l{num(length)} {num(slope * length)}"
                )
        if dabs:
            self.line("".join(dabs), color, 1.3, 0.8)

    def put(self, x: float, y: float, scale: float, drawn: str, *, flip: bool = False, turn: float = 0.0) -> None:
        """A thing drawn about its own origin, here."""
        self.add(
            f'<g transform="translate({num(x)} {num(y)}) rotate({num(turn)}) '
            f'scale({num(-scale if flip else scale)} {num(scale)})">{drawn}</g>'
        )


def num(value: float) -> str:
    """A number in few letters."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def height_at(edge: Sequence[Point], x: float) -> float:
    """Where an edge, which runs from left to right, is at this place."""
    for (a, y), (b, to_y) in itertools.pairwise(edge):
        if a <= x <= b:
            t = (x - a) / max(b - a, 1e-6)
            return y + (to_y - y) * (3 * t * t - 2 * t**3)
    return edge[0][1] if x < edge[0][0] else edge[-1][1]


def line(points: Iterable[Point]) -> str:
    """A path of straight pieces."""
    return "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points)


def curve(points: Sequence[Point]) -> str:
    """A smooth path through the points (Catmull and Rom's spline as cubic pieces)."""
    d = [f"M{num(points[0][0])} {num(points[0][1])}"]
    for k in range(len(points) - 1):
        before, a, b, after = points[max(k - 1, 0)], points[k], points[k + 1], points[min(k + 2, len(points) - 1)]
        first = (a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6)
        second = (b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6)
        d.append("C" + " ".join(f"{num(x)} {num(y)}" for x, y in (first, second, b)))
    return "".join(d)


def ring(points: Sequence[Point]) -> str:
    """A smooth closed path through the points."""
    around = [points[-1], *points, points[0], points[1]]
    d = [f"M{num(points[0][0])} {num(points[0][1])}"]
    for before, a, b, after in zip(around, around[1:], around[2:], around[3:], strict=False):
        first = (a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6)
        second = (b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6)
        d.append("C" + " ".join(f"{num(x)} {num(y)}" for x, y in (first, second, b)))
    return "".join(d) + "Z"


def shape(d: str, fill: str, opacity: float = 1.0) -> str:
    """A filled outline."""
    return f'<path d="{d}" fill="{fill}"{_opacity(opacity)}/>'


def stroke(d: str, color: str, width: float, opacity: float = 1.0) -> str:
    """A stroke with round ends."""
    return (
        f'<path d="{d}" fill="none" stroke="{color}" stroke-width="{num(width)}" stroke-linecap="round" '
        f'stroke-linejoin="round"{_opacity(opacity, "stroke")}/>'
    )


def disc(x: float, y: float, radius: float, fill: str, opacity: float = 1.0) -> str:
    """A circle."""
    return f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(radius)}" fill="{fill}"{_opacity(opacity)}/>'


def oval(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    """An ellipse by its half axes."""
    return (
        f'<ellipse cx="{num(x)}" cy="{num(y)}" rx="{num(width)}" ry="{num(height)}" fill="{fill}"{_opacity(opacity)}/>'
    )


def ovals(ellipses: Iterable[tuple[float, float, float, float]], fill: str, opacity: float = 1.0) -> str:
    """Many ellipses (x, y, half axes) as one outline, which is painted at once."""
    return shape("".join(round_path(x, y, a, b) for x, y, a, b in ellipses), fill, opacity)


def round_path(x: float, y: float, a: float, b: float | None = None) -> str:
    """The outline of an ellipse by its half axes, or of a circle."""
    axes = f"a{num(a)} {num(a if b is None else b)} 0 1 1"
    return f"M{num(x - a)} {num(y)}{axes} {num(2 * a)} 0{axes} {num(-2 * a)} 0Z"


def box(x: float, y: float, width: float, height: float, fill: str, radius: float = 0.0, opacity: float = 1.0) -> str:
    """A rectangle by its corner."""
    return (
        f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}" rx="{num(radius)}" '
        f'fill="{fill}"{_opacity(opacity)}/>'
    )


def _opacity(opacity: float, of: str = "fill") -> str:
    """Never the element's own, which costs the renderer a canvas for each."""
    return "" if opacity == 1 else f' {of}-opacity="{num(opacity)}"'


def _stops(stops: Iterable[tuple[float, str]]) -> str:
    return "".join(f'<stop offset="{num(at)}" stop-color="{color}"/>' for at, color in stops)
