"""What stands, swims or flies in a view, each drawn about its own foot in units of a tenth of its usual height.

`THINGS` has them all by name; each takes the ink and its colour and gives SVG elements.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from .ink import SUBMERGED, Ink, box, disc, light, mix, num, oval, ovals, shape, stroke

Thing = Callable[[Ink, str], str]


def is_dark(ink: Ink) -> bool:
    """Whether lamps are lit."""
    return ink.air.dark >= 0.45


def _white(ink: Ink) -> str:
    return ink.air.lit("#fbf7ee")


def sailboat(ink: Ink, color: str) -> str:
    hull = ink.air.lit("#f4efe2")
    return (
        shape("M-9 -3.4H9.6L7 .6Q0 1.6 -6.4 .6Z", hull)
        + shape("M-8.2 -1.9H8.7L7 .6Q0 1.6 -6.4 .6Z", ink.air.lit("#7a4a2c"))
        + box(-0.3, -23.5, 0.6, 20.5, ink.air.lit("#5b4030"))
        + shape("M.9 -23Q11 -14.5 10 -4.6H.9Z", color)
        + shape("M.9 -23Q6.6 -14.5 5.4 -4.6H.9Z", light(color, 0.14))
        + shape("M-.9 -20.5Q-6.6 -12 -8 -4.6H-.9Z", mix(color, "#ffffff", 0.3))
    )


def rowing_boat(ink: Ink, color: str) -> str:
    wood = ink.air.lit("#a9744a")
    return (
        shape("M-11 -4.4Q0 -2.2 11 -4.4L8.2 .4Q0 1.8 -8.2 .4Z", color)
        + shape("M-11 -4.4Q0 -2.2 11 -4.4L10.4 -3.3Q0 -1 -10.4 -3.3Z", light(color, 0.3))
        + box(-4.2, -3.9, 1.4, 1.5, wood)
        + box(2.6, -3.9, 1.4, 1.5, wood)
        + stroke("M1 -5.5L-7.5 1.6", ink.air.lit("#d8b384"), 0.7)
    )


def ship(ink: Ink, color: str) -> str:
    white = _white(ink)
    glass = ink.air.lit("#ffd76a") if is_dark(ink) else ink.air.lit("#3c5a78")
    windows = "".join(box(-9 + 3 * k, -7.6, 1.6, 1.2, glass, 0.3) for k in range(6))
    return (
        shape("M-15 -5H16L13 .6Q0 1.4 -12.5 .6Z", color)
        + shape("M-13.6 -1.4H14.4L13 .6Q0 1.4 -12.5 .6Z", light(color, -0.35))
        + box(-11, -9, 21, 4.1, white, 0.6)
        + windows
        + box(-7, -12.4, 13, 3.6, light(white, -0.08), 0.5)
        + box(-3.6, -17.6, 3, 5.4, color, 0.3)
        + box(1.6, -17.6, 3, 5.4, color, 0.3)
        + box(-3.6, -17.6, 3, 1.4, light(color, -0.5), 0.3)
        + box(1.6, -17.6, 3, 1.4, light(color, -0.5), 0.3)
    )


def lighthouse(ink: Ink, color: str) -> str:
    white = _white(ink)
    stripes = "".join(
        f'<path d="M{num(-4.2 + 0.09 * (0 - y))} {num(y)}H{num(4.2 - 0.09 * (0 - y))}L{num(4.2 - 0.09 * (4 - y))}'
        f" {num(y - 4)}"
        f'H{num(-4.2 + 0.09 * (4 - y))}Z" fill="{color}"/>'
        for y in (-2.0, -10.0, -18.0)
    )
    beam = ""
    if is_dark(ink):
        beam = "".join(
            shape(f"M0 -28.4L{x * side} {-28.4 - 0.2 * x}V{-28.4 + 0.16 * x}Z", "#fff2b0", 0.13)
            for side in (-1, 1)
            for x in (20, 34, 50)
        )
    return (
        beam
        + shape("M-4.2 0H4.2L2 -25H-2Z", white)
        + stripes
        + shape("M0 0H4.2L2 -25H0Z", "#0d1530", 0.13)
        + box(-3.4, -26.2, 6.8, 1.4, ink.air.lit("#3a3f4e"), 0.4)
        + box(-1.8, -30.4, 3.6, 4.4, "#ffe27a" if is_dark(ink) else ink.air.lit("#cfe8f2"))
        + shape("M-2.8 -30.2H2.8L0 -34Z", color)
        + box(-1, -3.6, 2, 3.6, ink.air.lit("#5a3c2c"), 0.9)
    )


def umbrella(ink: Ink, color: str) -> str:
    other = _white(ink)
    whole = (
        "M-11 -12.5A11 11 0 0 1 11 -12.5Q9.2 -14 7.3 -12.5Q3.7 -14.4 0 -12.5Q-3.7 -14.4 -7.3 -12.5Q-9.2 -14 -11 -12.5Z"
    )
    return (
        f'<g transform="rotate(13)">{box(-0.45, -14, 0.9, 14.5, ink.air.lit("#efe6d2"))}'
        + shape(whole, color)
        + shape("M-7.3 -12.5Q-6.5 -20.5 0 -23.5Q-2.8 -19 -2.5 -13.3Q-5 -13.8 -7.3 -12.5Z", other)
        + shape("M7.3 -12.5Q6.5 -20.5 0 -23.5Q2.8 -19 2.5 -13.3Q5 -13.8 7.3 -12.5Z", other)
        + disc(0, -23.7, 0.7, other)
        + "</g>"
    )


def towel(ink: Ink, color: str) -> str:
    white = _white(ink)
    return shape("M-8 0L-4.5 -3.6H8L4.5 0Z", color) + shape("M-3 0L.5 -3.6H3L-.5 0Z", white)


def palm(ink: Ink, color: str) -> str:
    trunk = ink.air.lit("#8a5f3c")
    leaf = "M0 0Q5.5 -5.6 12.6 -1.6Q14.6 0 15 3.6Q11.4 .3 8.6 .6Q3.8 .9 0 0Z"
    rib = "M0 0Q7 -3.4 13 .6"
    crown = ""
    for turn, flip, shade in (
        (-62, 1, -0.22),
        (-62, -1, -0.22),
        (38, 1, -0.1),
        (38, -1, -0.16),
        (-28, 1, 0.0),
        (-28, -1, -0.04),
        (6, 1, 0.12),
        (6, -1, 0.05),
    ):
        crown += (
            f'<g transform="translate(3.4 -27) scale({flip} 1) rotate({turn})">{shape(leaf, light(color, shade))}'
            f"{stroke(rib, light(color, shade - 0.14), 0.3)}</g>"
        )
    rings = "".join(
        stroke(f"M{num(-1.4 + 0.13 * k + 0.009 * k * k)} {num(-3 * k)}q1.3 .8 2.5 0", light(trunk, -0.25), 0.4)
        for k in range(1, 9)
    )
    return (
        shape("M-2.2 0Q-1.4 -14 2.6 -27H4.2Q1.9 -13 2 0Z", trunk)
        + rings
        + crown
        + disc(2.4, -25.8, 1.1, ink.air.lit("#6b4226"))
        + disc(4.4, -25.6, 1.1, ink.air.lit("#5a371f"))
    )


def pine(ink: Ink, color: str) -> str:
    half = "M0 -10.6L2.1 -6.9H1.2L3 -3.8H1.8L3.7 -1H0Z"
    return (
        box(-0.5, -1.4, 1, 1.5, ink.air.lit("#6a4930"))
        + shape("M0 -10.6L2.1 -6.9H1.2L3 -3.8H1.8L3.7 -1H-3.7L-1.8 -3.8H-3L-1.2 -6.9H-2.1Z", color)
        + shape(half, light(color, -0.16))
    )


def snowy_pine(ink: Ink, color: str) -> str:
    snow = ink.air.lit("#f6fbff")
    return (
        pine(ink, color)
        + shape("M0 -10.6L1.5 -8Q.7 -8.6 0 -7.9Q-.7 -8.6 -1.5 -8Z", snow)
        + shape("M-1.2 -6.9H1.2L2.3 -5Q1.3 -5.7 .6 -4.9Q0 -5.6 -.8 -4.9Q-1.5 -5.7 -2.3 -5Z", snow)
        + shape("M-1.8 -3.8H1.8L2.9 -2.2Q1.8 -3 1 -2.1Q.2 -2.9 -.7 -2.1Q-1.8 -3 -2.9 -2.2Z", snow)
    )


def leafy_tree(ink: Ink, color: str) -> str:
    trunk = ink.air.lit("#74502f")
    base = shape("M-.8 .1Q-.3 -2.4 -.5 -5H.6Q.5 -2.4 .9 .1Z", trunk)
    if ink.look == "painterly":
        rng = ink.rng
        dabs = oval(0, -6.2, 3.0, 2.4, light(color, -0.14)) + oval(0.1, -7.8, 2.2, 1.8, light(color, -0.05))
        for shade, low in ((-0.22, 0.0), (-0.08, 0.1), (0.06, 0.25), (0.2, 0.45)):
            patches = []
            for _ in range(9):
                turn, reach = rng.uniform(0, math.tau), rng.uniform(0, 1) ** 0.6
                x, y = 2.9 * reach * math.cos(turn) - low, -6.7 + 2.8 * reach * math.sin(turn) - low * 1.6
                patches.append((x, y, rng.uniform(0.55, 1.0), rng.uniform(0.4, 0.75)))
            dabs += ovals(patches, light(color, shade), 0.85)
        return base + dabs
    crown = ((-2.1, -5.4, 1.9), (2.1, -5.5, 1.9), (0, -5.2, 2.2), (-1.3, -7.5, 2), (1.4, -7.4, 2), (0, -8.7, 1.8))
    return (
        base
        + "".join(disc(x, y, r, color) for x, y, r in crown)
        + "".join(disc(x - 0.5, y - 0.4, r * 0.62, light(color, 0.13)) for x, y, r in crown[3:] + crown[:1])
    )


def bare_tree(ink: Ink, color: str) -> str:
    trunk = ink.air.lit("#6f5747")
    boughs = "M-.1 -3.4Q-.6 -5.6 -2.4 -6.8M.1 -4Q1 -5.8 2.6 -7M0 -5.4Q-.2 -7.6 -.9 -9.2M.1 -5.8Q.6 -7.8 1.2 -8.9"
    twigs = (
        "M-1.4 -6.1L-1.7 -8M-2.4 -6.8L-3.5 -7M-2.4 -6.8L-2.8 -8.1M1.5 -6.2L1.9 -7.9M2.6 -7L3.7 -7.1M2.6 -7L2.9 -8.3"
        "M-.5 -8.2L-1.6 -8.9M-.9 -9.2L-.7 -10.2M1 -8.4L2 -9.2M1.2 -8.9L1.1 -10M.9 -5.2L2.6 -5.4M-.7 -5.1L-2.3 -5.2"
    )
    return (
        shape("M-.75 .1Q-.3 -2.4 -.35 -6H.35Q.3 -2.4 .8 .1Z", trunk)
        + stroke(boughs, trunk, 0.42)
        + stroke(twigs, trunk, 0.2)
    )


def bush(ink: Ink, color: str) -> str:
    return (
        disc(-2, -1.2, 1.7, light(color, -0.08))
        + disc(2, -1.1, 1.6, light(color, -0.1))
        + disc(0, -1.8, 2, color)
        + disc(-0.5, -2.2, 1.2, light(color, 0.12))
    )


def cactus(ink: Ink, color: str) -> str:
    body = (
        "M-1.3 0V-9.6A1.3 1.3 0 0 1 1.3 -9.6V-4.4H2.6V-6.6A.9 .9 0 0 1 4.4 -6.6V-3.6A1.2 1.2 0 0 1 3.2 -2.4H1.3V0Z"
        "M-1.3 -3.2H-3.3A1.2 1.2 0 0 1 -4.5 -4.4V-7.4A.9 .9 0 0 1 -2.7 -7.4V-5.1H-1.3Z"
    )
    return shape(body, color) + stroke(
        "M-.5 -9.4V-.4M.5 -9.4V-.4M-3.6 -7.2V-4.4M3.5 -6.4V-3.8", light(color, -0.25), 0.22
    )


def house(ink: Ink, color: str) -> str:
    wall = ink.air.lit("#f6e7cb")
    glass = "#ffd966" if is_dark(ink) else ink.air.lit("#8fc3df")
    panes = "".join(
        box(x, -5.2, 2, 2.1, glass, 0.2)
        + stroke(f"M{num(x + 1)} -5.2v2.1M{num(x)} -4.15h2", ink.air.lit("#ffffff"), 0.22)
        for x in (-4, 2)
    )
    return (
        box(2.4, -12.6, 1.5, 4, ink.air.lit("#9a5a44"))
        + box(-5, -7, 10, 7.1, wall)
        + shape("M0 -7H5V.1H0Z", "#2a2f55", 0.09)
        + shape("M-6.2 -6.6L-3.4 -11.6H3.4L6.2 -6.6Z", color)
        + shape("M-6.2 -6.6H6.2L5.9 -7.3H-5.9Z", light(color, -0.22))
        + panes
        + box(-0.9, -4, 1.9, 4.1, ink.air.lit("#7a4a30"), 0.3)
        + disc(0.6, -1.9, 0.2, "#ffe08a")
    )


def snowy_house(ink: Ink, color: str) -> str:
    return house(ink, color) + shape(
        "M-6.5 -6.9L-3.5 -12H3.5L6.5 -6.9Q5.6 -8.4 4.4 -7.9Q3 -9.2 1.4 -8.2Q-.4 -9.4 -2 -8.1Q-3.6"
        " -9.1 -5 -7.9Q-5.9 -8.2 -6.5 -6.9Z",
        ink.air.lit("#f7fbff"),
    )


def cabin(ink: Ink, color: str) -> str:
    wood = ink.air.lit("#8a5a36")
    glass = "#ffd966" if is_dark(ink) else ink.air.lit("#a9cfe0")
    logs = stroke("M-5 -1.6H5M-5 -3.2H5M-5 -4.8H5", light(wood, -0.25), 0.25)
    return (
        box(-3.9, -12, 1.5, 4.4, ink.air.lit("#8d8a86"))
        + box(-5, -6, 10, 6.1, wood)
        + shape("M-4.9 -6L0 -11L4.9 -6Z", wood)
        + logs
        + shape("M-6.6 -5.2L0 -12.2L6.6 -5.2L5.6 -4.4L0 -10.4L-5.6 -4.4Z", color)
        + box(-3.6, -4.6, 2.2, 2.2, glass, 0.2)
        + box(0.8, -4.4, 2.2, 4.5, light(wood, -0.35), 0.2)
    )


def hut(ink: Ink, color: str) -> str:
    straw = ink.air.lit("#d9a94f")
    return (
        stroke("M-3.6 .4V-2M3.6 .4V-2M-1.2 .4V-2M1.2 .4V-2", ink.air.lit("#7a5233"), 0.5)
        + box(-4, -6, 8, 4.6, ink.air.lit("#b98552"))
        + box(-1, -5, 2, 3.6, ink.air.lit("#5f3f28"))
        + shape("M-6 -5.4Q-2.4 -8 0 -12Q2.4 -8 6 -5.4Q3 -6 0 -5.6Q-3 -6 -6 -5.4Z", straw)
        + stroke("M0 -11L-3.4 -6.4M0 -11L3.4 -6.4M0 -11V-6.2", light(straw, -0.25), 0.3)
    )


def windmill(ink: Ink, color: str) -> str:
    white = _white(ink)
    blade = "M-.35 0L-.9 -1.6V-8.6H1.3V-1.6L.35 0Z"
    turn = ink.rng.uniform(12, 38)
    vanes = "".join(
        f'<g transform="translate(0 -13.6) rotate({num(turn + 90 * k)})">{shape(blade, ink.air.lit("#efe0c4"))}'
        f"{stroke('M0 0V-8.6M-.9 -3.6H1.3M-.9 -6.1H1.3', ink.air.lit('#6d4a33'), 0.28)}</g>"
        for k in range(4)
    )
    return (
        shape("M-4 0H4L2.6 -12.4H-2.6Z", white)
        + shape("M.4 0H4L2.6 -12.4H.4Z", "#2a2f55", 0.12)
        + shape("M-3.3 -12.2Q0 -18.5 3.3 -12.2Z", color)
        + box(-1, -3.8, 2, 3.9, ink.air.lit("#7a4a30"), 0.9)
        + box(-0.7, -8.4, 1.4, 1.8, "#ffd966" if is_dark(ink) else ink.air.lit("#7fa6bd"), 0.6)
        + vanes
        + disc(0, -13.6, 0.7, ink.air.lit("#5b4030"))
    )


def castle(ink: Ink, color: str) -> str:
    stone, dim = ink.air.lit("#d9d3c8"), ink.air.lit("#b9b3ac")
    glass = "#ffd966" if is_dark(ink) else ink.air.lit("#5a6478")

    def tower(x: float, width: float, tall: float, paint: str) -> str:
        roof = (
            f"M{num(x - width / 2 - 0.6)} {num(-tall)}L{num(x)} {num(-tall - width * 1.7)}L{num(x + width / 2 + 0.6)}"
            f" {num(-tall)}Z"
        )
        return (
            box(x - width / 2, -tall, width, tall, paint)
            + shape(roof, color)
            + shape(
                f"M{num(x)} {num(-tall)}V{num(-tall - width * 1.7)}L{num(x + width / 2 + 0.6)} {num(-tall)}Z",
                light(color, -0.18),
            )
            + box(x - 0.4, -tall + 1.6, 0.8, 1.7, glass, 0.4)
        )

    teeth = "".join(box(-5.6 + 1.9 * k, -7.6, 1.1, 1.3, stone) for k in range(6))
    return (
        tower(-2.2, 3.2, 13.5, dim)
        + tower(2.4, 2.6, 11.4, dim)
        + box(-6, -6.5, 12, 6.5, stone)
        + teeth
        + tower(-6, 3, 9.5, stone)
        + tower(6, 3, 9.5, stone)
        + shape("M-1.5 0V-2.6A1.5 1.5 0 0 1 1.5 -2.6V0Z", ink.air.lit("#5f4330"))
    )


def igloo(ink: Ink, color: str) -> str:
    snow = ink.air.lit("#eef6fc")
    joint = light(snow, -0.18)
    return (
        shape("M-7 0A7 7 0 0 1 7 0Z", snow)
        + stroke(
            "M-6.6 -2.3H6.6M-5.2 -4.6H5.2M-3 -2.3V0M0 -4.6V-2.3M4 -2.3V0M-1.6 -6.8V-4.6M2.4 -6.5V-4.6M-4.6 -4.6V-2.3",
            joint,
            0.25,
        )
        + shape("M2.2 0V-2A2.4 2.4 0 0 1 7 -2V0Z", light(snow, -0.06))
        + shape("M3 0V-1.7A1.6 1.6 0 0 1 6.2 -1.7V0Z", "#ffc45c" if is_dark(ink) else ink.air.lit("#48607e"))
    )


def pyramids(ink: Ink, color: str) -> str:
    stone = ink.air.lit("#e2b169")
    dark = light(stone, -0.25)
    return (
        shape("M2 0L10 -10L18 0Z", mix(stone, ink.air.horizon, 0.25))
        + shape("M10 -10L18 0H11.5Z", mix(dark, ink.air.horizon, 0.25))
        + shape("M-14 0L-3 -13.5L8 0Z", stone)
        + shape("M-3 -13.5L8 0H-1Z", dark)
    )


def tent(ink: Ink, color: str) -> str:
    glow = "#ffd97a" if is_dark(ink) else light(color, -0.5)
    return (
        shape("M-7.4 0L0 -8.4L7.4 0Z", color)
        + shape("M0 -8.4L7.4 0H3Z", light(color, -0.22))
        + shape("M0 -8.4L-2.4 0H2.4Z", glow)
        + stroke("M0 -8.4L-.7 -9.3M0 -8.4L.7 -9.3M-7.4 0L-8.8 .5M7.4 0L8.8 .5", ink.air.lit("#6d5138"), 0.35)
    )


def campfire(ink: Ink, color: str) -> str:
    wood = ink.air.lit("#6a4226")
    return (
        disc(0, -2.4, 5.6, "#ffb648", 0.2)
        + stroke("M-3.4 -.1L3 -1.2M-3 -1.2L3.4 -.1", wood, 1.1)
        + shape("M-2.3 -1.2Q-3.3 -4 -.9 -5.6Q-.9 -7.4 .4 -8.6Q.7 -6.6 1.9 -5.3Q3.5 -3.2 2.3 -1.2Z", "#f26a1f")
        + shape("M-1.3 -1.2Q-1.9 -3.1 -.2 -4.3Q.2 -5.2 .4 -6Q1.2 -4.6 1.6 -3.6Q2.2 -2.2 1.3 -1.2Z", "#ffc53d")
        + shape("M-.6 -1.2Q-.7 -2.4 .2 -3.2Q1 -2.2 .6 -1.2Z", "#fff2a8")
    )


def snowman(ink: Ink, color: str) -> str:
    scarf = ink.air.lit("#dc352c")
    snow = ink.air.lit("#f8fbff")
    ink_dark = ink.air.lit("#2a2f3d")
    return (
        stroke("M-2.6 -6L-5.4 -8M2.6 -6L5.4 -8.2M-4.6 -7.4L-5.2 -6.6M4.6 -7.6L5.3 -7", ink.air.lit("#6d4a33"), 0.4)
        + disc(0, -2.8, 3.2, light(snow, -0.07))
        + disc(0, -6.9, 2.4, snow)
        + disc(0, -10.4, 1.9, snow)
        + shape("M-2.1 -8.9Q0 -8 2.1 -8.9L2 -7.9Q0 -7 -2 -7.9Z", scarf)
        + shape("M1 -8.2L2.3 -5.2L1.2 -4.9L.2 -8Z", scarf)
        + disc(-0.7, -10.8, 0.27, ink_dark)
        + disc(0.7, -10.8, 0.27, ink_dark)
        + shape("M-.1 -10.3L2.1 -9.8L-.1 -9.7Z", "#f2842c")
        + "".join(disc(0, y, 0.26, ink_dark) for y in (-6.9, -5.8, -3.6))
        + box(-2.2, -12.3, 4.4, 0.7, ink_dark, 0.2)
        + box(-1.4, -14.9, 2.8, 2.8, ink_dark, 0.2)
    )


def bench(ink: Ink, color: str) -> str:
    wood, iron = color, ink.air.lit("#4a4f58")
    return (
        stroke("M-4 .1V-2.4M4 .1V-2.4M-4 -2.4V-5.4M4 -2.4V-5.4", iron, 0.5)
        + box(-5, -2.9, 10, 0.9, wood, 0.3)
        + box(-5, -4.4, 10, 0.8, wood, 0.3)
        + box(-5, -5.7, 10, 0.8, wood, 0.3)
    )


def balloon(ink: Ink, color: str) -> str:
    pale = ink.air.lit("#fff3d6")
    return (
        stroke("M-2.2 -5L-1.2 -2M2.2 -5L1.2 -2", ink.air.lit("#6d5138"), 0.25)
        + box(-1.5, -2.2, 3, 2.3, ink.air.lit("#8a5a36"), 0.5)
        + shape("M0 -19A7.2 7.2 0 0 1 7.2 -11.8Q7 -8 2.4 -4.6H-2.4Q-7 -8 -7.2 -11.8A7.2 7.2 0 0 1 0 -19Z", color)
        + shape("M0 -19Q4.6 -17 4.4 -11.6Q4 -7.6 1.5 -4.6H-1.5Q-4 -7.6 -4.4 -11.6Q-4.6 -17 0 -19Z", pale)
        + shape("M0 -19Q2 -16.6 2 -11.6Q1.8 -7.6 .6 -4.6H-.6Q-1.8 -7.6 -2 -11.6Q-2 -16.6 0 -19Z", color)
        + shape("M0 -19A7.2 7.2 0 0 1 7.2 -11.8Q7 -8 2.4 -4.6H1.5Q4.6 -8.4 4.6 -12Q4.4 -17 0 -19Z", "#10173a", 0.12)
    )


def airplane(ink: Ink, color: str) -> str:
    white = _white(ink)
    windows = "".join(disc(-5 + 1.9 * k, -0.5, 0.4, ink.air.lit("#4a6a8a")) for k in range(7))
    return (
        shape("M-9.5 -.6L-12.4 -5.4H-10L-6.8 -1.4Z", color)
        + shape("M-2 -.2L-6.2 -5.2H-4.2L3 -.6Z", light(white, -0.16))
        + shape("M-11 -.6Q-10 -1.9 -7 -1.9H6Q10.4 -1.8 11.6 .2Q10.6 1.8 6 1.8H-6Q-10 1.4 -11 -.6Z", white)
        + shape("M-10 .4Q0 1.2 11.4 .5Q10.4 1.8 6 1.8H-6Q-9 1.5 -10 .4Z", color)
        + windows
        + shape("M-1 .8L-7 6H-4.6L4.4 1Z", light(white, -0.1))
        + shape("M8.6 -1.2Q10 -.8 10.8 -.1L8.6 .1Z", ink.air.lit("#4a6a8a"))
    )


def rocket(ink: Ink, color: str) -> str:
    white = ink.air.lit("#f4f4f0")
    return (
        shape("M-1.7 -1Q0 6.6 1.7 -1Z", "#ff9d2e")
        + shape("M-.9 -1Q0 3.6 .9 -1Z", "#ffe27a")
        + shape("M-2.6 -6L-5.6 -1.6L-2.2 -2.2ZM2.6 -6L5.6 -1.6L2.2 -2.2Z", color)
        + shape("M0 -18Q4.4 -12.6 2.6 -1.2H-2.6Q-4.4 -12.6 0 -18Z", white)
        + shape("M0 -18Q4.4 -12.6 2.6 -1.2H.8Q2.6 -11 0 -18Z", "#10173a", 0.14)
        + shape("M0 -18Q2.3 -15.2 2.9 -12.4H-2.9Q-2.3 -15.2 0 -18Z", color)
        + disc(0, -9, 1.6, color)
        + disc(0, -9, 1.1, "#8fd3f5")
    )


def ufo(ink: Ink, color: str) -> str:
    return (
        shape("M-3 0L-7 12H7L3 0Z", "#d8ffb0", 0.25)
        + shape("M-3.6 -2.4A3.6 3.6 0 0 1 3.6 -2.4Z", "#a9e6f5")
        + oval(0, -1.6, 8, 2.3, color)
        + oval(0, -2, 8, 1.6, light(color, 0.2))
        + "".join(disc(x, -1, 0.55, "#ffe27a") for x in (-5.4, -2.7, 0, 2.7, 5.4))
    )


def sheep(ink: Ink, color: str) -> str:
    wool, dark = _white(ink), ink.air.lit("#3c3a40")
    legs = "M-2.6 -2V.1M-1.1 -2V.1M1.3 -2V.1M2.7 -2V.1"
    body = ((-2.6, -3.6, 1.7), (2.4, -3.6, 1.7), (0, -3.1, 2.1), (-1.3, -5, 1.7), (1.4, -5, 1.7))
    return (
        stroke(legs, dark, 0.55)
        + "".join(disc(x, y, r, wool) for x, y, r in body)
        + oval(4.4, -4.6, 1.2, 1.5, dark)
        + disc(4.2, -5.9, 0.9, wool)
        + disc(4.8, -4.9, 0.2, "#ffffff")
    )


def cow(ink: Ink, color: str) -> str:
    hide, dark = _white(ink), ink.air.lit("#3a3335")
    return (
        stroke("M-3.8 -2.6V0M-2.6 -2.6V0M2.6 -2.6V0M3.8 -2.6V0", dark, 0.75)
        + stroke("M-4.8 -6Q-6 -4.6 -5.6 -2.8", dark, 0.4)
        + box(-4.8, -6.6, 9.6, 4.4, hide, 1.5)
        + shape("M-3.8 -6.6H-.6Q-.4 -4.4 -2 -4.4Q-3.8 -4.4 -3.8 -6.6ZM1 -2.2Q1 -4 2.4 -4Q3.6 -3.8 3.4 -2.2Z", dark)
        + box(3.9, -8.4, 3.2, 3, hide, 1)
        + shape("M3.9 -7.6Q3.9 -8.4 4.9 -8.4V-6.4L3.9 -6Z", dark)
        + box(5.4, -6.9, 2, 1.6, ink.air.lit("#f0b0a8"), 0.7)
        + disc(5.6, -7.6, 0.25, dark)
        + stroke("M4.3 -8.4L3.8 -9.3M6.6 -8.4L7.1 -9.3", ink.air.lit("#d9c9a8"), 0.4)
    )


def deer(ink: Ink, color: str) -> str:
    coat, dark = ink.air.lit("#a8683a"), ink.air.lit("#6b3f22")
    return (
        stroke("M-2.6 -3.4V0M-1.6 -3.4V0M1.8 -3.4V0M2.7 -3.4V0", dark, 0.5)
        + shape("M-3.6 -6.2Q0 -7 2.4 -6.4L3.6 -10H5L4.6 -5.6Q4.4 -3 2.8 -3H-2.4Q-4 -3.4 -3.6 -6.2Z", coat)
        + shape("M3.4 -11.2Q4.4 -12.2 5.4 -11.2L7 -9.8Q6.6 -9 5.4 -9.2L3.6 -9.4Z", coat)
        + stroke("M4 -11.4L3 -14.4M3.4 -13.2L2 -13.8M4.6 -11.6L5.4 -14.6M5.1 -13.4L6.4 -14", dark, 0.35)
        + disc(5.1, -10.6, 0.22, "#1c1410")
        + oval(-3.7, -5.2, 0.5, 0.8, ink.air.lit("#f4e6d4"))
        + "".join(disc(x, y, 0.26, ink.air.lit("#f4e6d4")) for x, y in ((-2, -5.6), (-0.6, -5.1), (0.8, -5.7)))
    )


def camel(ink: Ink, color: str) -> str:
    coat = ink.air.lit("#c58f52")
    return (
        stroke("M-3.4 -4V0M-2.2 -4V0M2 -4V0M3.2 -4V0", light(coat, -0.2), 0.65)
        + shape(
            "M-5 -6Q-4.4 -7.6 -3 -7.6Q-2.4 -10.4 -1 -10.4Q.4 -10.4 .8 -7.8Q1.6 -10.2 2.8 -10Q4 -9.6"
            " 4 -7Q5.6 -6.6 6 -9.6"
            "L6.2 -11.6Q6.4 -12.8 7.6 -12.6L9.4 -11.8Q9.4 -10.8 8.2 -10.8L7.6 -10.6Q7.6 -5 4.2 -3.6"
            "H-3.8Q-5.2 -4.2 -5 -6Z",
            coat,
        )
        + stroke("M-5 -6Q-5.8 -5 -5.6 -3.6", light(coat, -0.2), 0.35)
        + disc(7.5, -11.9, 0.22, "#1c1410")
    )


def penguin(ink: Ink, color: str) -> str:
    dark = ink.air.lit("#2b3242")
    return (
        shape("M0 -9.4Q3.4 -9.2 3.4 -4.4Q3.4 -.2 0 -.2Q-3.4 -.2 -3.4 -4.4Q-3.4 -9.2 0 -9.4Z", dark)
        + shape("M0 -7.6Q2.2 -6.6 2.2 -3.8Q2.2 -.6 0 -.6Q-2.2 -.6 -2.2 -3.8Q-2.2 -6.6 0 -7.6Z", ink.air.lit("#fdfdfb"))
        + shape("M-3.2 -5.8Q-5 -3.6 -4.4 -2.4L-3 -3.4ZM3.2 -5.8Q5 -3.6 4.4 -2.4L3 -3.4Z", dark)
        + disc(-0.8, -7.7, 0.5, "#ffffff")
        + disc(0.8, -7.7, 0.5, "#ffffff")
        + disc(-0.7, -7.7, 0.24, "#111420")
        + disc(0.7, -7.7, 0.24, "#111420")
        + shape("M-.7 -7H.7L0 -6Z", "#f59a2c")
        + oval(-1.2, -0.1, 1, 0.4, "#f59a2c")
        + oval(1.2, -0.1, 1, 0.4, "#f59a2c")
    )


def swan(ink: Ink, color: str) -> str:
    white = ink.air.lit("#fdfcf8")
    return (
        stroke("M3 -2Q6 -3.6 4.6 -6.4Q4 -8.6 5.6 -8.6", white, 1.1)
        + shape("M-5.6 -2.6Q-2 -5.4 2 -3.6Q4.4 -2.8 4 -.8Q0 .6 -3.6 -.2Q-5 -1 -5.6 -2.6Z", white)
        + shape("M-5 -2.4Q-1.6 -4.4 1.4 -2.6Q-1 -.8 -4 -1.2Z", light(white, -0.1))
        + shape("M5.6 -9L7.6 -8.2L5.8 -7.9Z", "#f08a2c")
    )


def whale(ink: Ink, color: str) -> str:
    spout = "M-5.6 -7.4Q-6 -10.6 -8.4 -11M-5.6 -7.4Q-5.2 -10.6 -2.8 -11M-5.6 -7.6V-10"
    return (
        (stroke(spout, "#e6f4ff", 0.8, 0.9) if ink.air.glow != SUBMERGED else "")
        + shape(
            "M-12 0Q-12.4 -7 -5.6 -7Q2 -7 5.4 -3Q7.6 -1.2 9.4 -4Q6.4 -7.4 7.4 -9Q9.4 -8.4 10.6 -6.4"
            "Q12 -8.2 14 -8Q13.6 -5.6 11.4 -4.4Q9.8 1.4 3.6 1.8H-8Q-11.6 1.8 -12 0Z",
            color,
        )
        + shape("M-12 -.6Q-6 .8 1 1.8H-8Q-11.6 1.8 -12 -.6Z", light(color, 0.55))
        + disc(-9, -2.6, 0.5, "#10162a")
        + shape("M-4.4 -1.6Q-2 -1 -1.6 1.8Q-4.4 1 -4.4 -1.6Z", light(color, -0.2))
    )


def dolphin(ink: Ink, color: str) -> str:
    return (
        shape(
            "M-10 1Q-8 -6.6 -.6 -7.4Q-.2 -9.6 1.6 -10.4Q1.6 -8.4 2.4 -7Q7 -5.4 8.6 -2.2Q10.8 -1.6"
            " 11.2 -.6Q9.6 -.2 8 -.6Q3.6 -.8 0 -2.4Q-5 -2.8 -7.6 1.2Q-6.6 2.6 -6.8 4Q-8.6 3.6 -9.2"
            " 2.2Q-11 2.6 -12.4 1.6Q-11.4 .8 -10 1Z",
            color,
        )
        + shape("M8 -.6Q3.6 -.8 0 -2.4Q4.6 -2.6 8.4 -1.6Z", light(color, 0.6))
        + disc(6.6, -2.9, 0.4, "#10162a")
        + shape("M1.6 -2.4Q2.6 -.2 2 1.6Q.2 .4 -.4 -2.4Z", light(color, -0.18))
    )


def fish(ink: Ink, color: str) -> str:
    return (
        shape("M-3.8 0L-7.4 -3Q-6.4 0 -7.4 3Z", light(color, -0.12))
        + shape("M-1.6 -2.6Q.4 -5 2.2 -3Z", light(color, -0.15))
        + shape("M-5 0Q-1.4 -4 2.6 -3Q5.6 -2 6.2 0Q5.6 2 2.6 3Q-1.4 4 -5 0Z", color)
        + shape("M.4 -3.2Q1.4 0 .4 3.2Q-1 3.3 -1.8 2.6Q-.8 0 -1.8 -2.6Q-1 -3.3 .4 -3.2Z", light(color, 0.5))
        + disc(3.7, -0.8, 0.75, "#ffffff")
        + disc(3.9, -0.8, 0.4, "#10162a")
    )


def jellyfish(ink: Ink, color: str) -> str:
    arms = "".join(
        stroke(
            f"M{num(x)} -3q{num(1.2 if k % 2 else -1.2)} 3 0 5.4q{num(-1.2 if k % 2 else 1.2)} 2.6 0 5",
            color,
            0.6,
            0.75,
        )
        for k, x in enumerate((-3.4, -1.7, 0, 1.7, 3.4))
    )
    return (
        arms
        + shape(
            "M-5.4 -3A5.4 5.6 0 0 1 5.4 -3Q4 -1.8 2.7 -3Q1.4 -1.8 0 -3Q-1.4 -1.8 -2.7 -3Q-4 -1.8 -5.4 -3Z", color, 0.92
        )
        + shape("M-3.6 -4.4A3.6 3.4 0 0 1 .4 -7.4Q-2.4 -6.4 -3.6 -4.4Z", light(color, 0.6), 0.8)
    )


def turtle(ink: Ink, color: str) -> str:
    skin = ink.air.lit("#8fbf5a")
    return (
        shape("M3 1Q6 5.6 9.4 6Q8 2.4 5 -.4ZM-4.4 1.4Q-6.4 4 -8.4 4.2Q-7.8 1.4 -6 .2Z", light(skin, -0.1))
        + oval(8.4, -1.6, 2.2, 1.6, skin)
        + shape("M-7 .6Q-5 -5.6 1 -5.6Q6.4 -5 7 .2Q0 3 -7 .6Z", color)
        + stroke(
            "M-3.6 -3.6L-1.6 -.4L-2.4 1.4M-1.6 -.4H2.6L3.6 1.2M2.6 -.4L4.2 -3.6M-1 -5.4L-1.6 -.4",
            light(color, -0.3),
            0.4,
        )
        + disc(9.2, -2, 0.35, "#10162a")
    )


def butterfly(ink: Ink, color: str) -> str:
    return (
        shape(
            "M0 -1Q-2.4 -5 -4.6 -4Q-5.6 -1.4 -.2 -.4Q-4.6 .4 -3.4 2.8Q-1.4 3.4 0 0Q1.4 3.4 3.4 2.8"
            "Q4.6 .4 .2 -.4Q5.6 -1.4 4.6 -4Q2.4 -5 0 -1Z",
            color,
        )
        + disc(-3.2, -2.7, 0.65, light(color, 0.6))
        + disc(3.2, -2.7, 0.65, light(color, 0.6))
        + stroke("M0 -1.6V1.8M0 -1.6L-1 -3.4M0 -1.6L1 -3.4", "#2a2430", 0.45)
    )


def mushroom(ink: Ink, color: str) -> str:
    return (
        shape("M-1 0Q-.6 -2 -.8 -3.4H.8Q.6 -2 1 0Z", ink.air.lit("#f3e8d6"))
        + shape("M-3.2 -3Q-2.8 -6 0 -6Q2.8 -6 3.2 -3Q0 -2.2 -3.2 -3Z", color)
        + disc(-1.3, -4.2, 0.5, "#ffffff")
        + disc(0.9, -4.8, 0.45, "#ffffff")
        + disc(1.8, -3.6, 0.35, "#ffffff")
    )


def coral(ink: Ink, color: str) -> str:
    twigs = (
        "M0 0V-5M0 -2Q-3 -3 -3.4 -6.4M0 -3Q3 -4 3.6 -7.4M0 -5Q-1.4 -7 -1.2 -9.4M0 -5Q1.2 -6.6 1 -8.6M-3"
        " -4.6L-5 -6.2M3 -5L5.2 -6"
    )
    return stroke(twigs, color, 1.25) + stroke(twigs, light(color, 0.28), 0.4)


def seaweed(ink: Ink, color: str) -> str:
    sway = ink.rng.choice((-1, 1))
    d = "".join(
        f"M{x} 0q{num(1.6 * sway)} -3 0 -{tall / 2}q{num(-1.8 * sway)} -3 {num(0.4 * sway)} -{tall / 2}"
        for x, tall in ((-1.6, 9), (0, 14), (1.7, 10))
    )
    return stroke(d, color, 0.9)


def bridge(ink: Ink, color: str) -> str:
    return (
        shape("M-15 0Q0 -11 15 0V-2.4Q0 -13.4 -15 -2.4Z", color)
        + "".join(
            box(x - 0.4, y - 4.6, 0.8, 4.6, light(color, -0.15), 0.2)
            for x, y in ((-13, -2.6), (-8.6, -5.3), (-4.3, -6.9), (0, -7.4), (4.3, -6.9), (8.6, -5.3), (13, -2.6))
        )
        + stroke("M-13.4 -6.6Q0 -16.6 13.4 -6.6", light(color, 0.08), 0.8)
    )


def flower(ink: Ink, color: str) -> str:
    petals = "".join(
        disc(0.95 * math.sin(k * math.tau / 5), -4 - 0.95 * math.cos(k * math.tau / 5), 0.8, color) for k in range(5)
    )
    return (
        stroke("M0 0V-3.4", ink.air.lit("#4f8f3a"), 0.4)
        + petals
        + disc(0, -4, 0.6, "#ffd84a" if color != "#ffd84a" else "#b5651d")
    )


def tulip(ink: Ink, color: str) -> str:
    leaf = ink.air.lit("#4f9a45")
    return (
        stroke("M0 0V-4", leaf, 0.42)
        + shape("M0 0Q-2 -1.2 -1.9 -3.4Q-.4 -2 0 0ZM0 0Q2 -1.2 1.9 -3.4Q.4 -2 0 0Z", leaf)
        + shape("M-1.5 -6.6Q-.7 -6.2 0 -7Q.7 -6.2 1.5 -6.6Q1.9 -3.7 0 -3.6Q-1.9 -3.7 -1.5 -6.6Z", color)
    )


THINGS: Final[Mapping[str, Thing]] = {
    "sailboat": sailboat,
    "rowing boat": rowing_boat,
    "ship": ship,
    "lighthouse": lighthouse,
    "beach umbrella": umbrella,
    "house": house,
    "cabin": cabin,
    "hut": hut,
    "windmill": windmill,
    "castle": castle,
    "igloo": igloo,
    "pyramids": pyramids,
    "tent": tent,
    "campfire": campfire,
    "snowman": snowman,
    "bench": bench,
    "hot air balloon": balloon,
    "airplane": airplane,
    "rocket": rocket,
    "ufo": ufo,
    "sheep": sheep,
    "cow": cow,
    "deer": deer,
    "camel": camel,
    "penguin": penguin,
    "swan": swan,
    "whale": whale,
    "dolphin": dolphin,
    "fish": fish,
    "jellyfish": jellyfish,
    "sea turtle": turtle,
    "butterfly": butterfly,
    "mushrooms": mushroom,
    "bridge": bridge,
}
"""Those that have a name of their own in a view; plants come in numbers and are drawn by `land`."""
