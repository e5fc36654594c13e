"""Which place is composed how."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from . import beyond, lands, shores, towns
from .ink import Ink
from .scene import Scene
from .sky import draw_weather

PLACES: Final[Mapping[str, Callable[[Scene], None]]] = {
    "sea": shores.sea,
    "beach": shores.beach,
    "tropical island": shores.tropical_island,
    "mountain landscape": lands.mountain_landscape,
    "lake": shores.lake,
    "forest": lands.forest,
    "river": lands.river,
    "meadow": lands.meadow,
    "rolling hills": lands.rolling_hills,
    "desert": lands.desert,
    "snowy landscape": lands.snowy_landscape,
    "village": towns.village,
    "city skyline": towns.city_skyline,
    "harbour": shores.harbour,
    "garden": towns.garden,
    "underwater world": beyond.underwater_world,
    "sky": beyond.sky,
    "outer space": beyond.outer_space,
}


def compose(ink: Ink, shown: Mapping[str, str], standing: str = "") -> None:
    """Draw the whole view, and in front an object that is an SVG document of its own."""
    scene = Scene(ink, shown)
    PLACES[shown["place"]](scene)
    spot = Random(ink.rng.getrandbits(32))  # so that the weather is the same with and without
    if standing:
        scene.stand(standing, spot)
    draw_weather(ink, shown.get("weather"))
