"""Contact sheets of the painted views and the objects: nothing is chosen, each picture is the first that fits.

python -m recipes.nano.views_sheet docs/pictures

Writes `views.jpg`, each place in the four looks; `hours.jpg`, wide, one place at each hour and in each weather; and
`objects.jpg`, objects at their sizes, places and sides and in views. The last needs `npm` once.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random

from PIL import Image

from recipes.nano.data import emoji, render, views
from recipes.nano.data.words.objects import names
from recipes.nano.data.words.views import PLACES, SKIES
from sfumato.images import PAGE, contact_sheet

SHOWN = ("dog", "cat", "elephant", "red apple", "car", "castle", "guitar", "robot")
MOODS: tuple[Mapping[str, str], ...] = (
    *({"time_of_day": time} for time in SKIES),
    *({"weather": weather} for weather in ("rain", "thunderstorm", "fog", "rainbow", "cloudy")),
)


def first(look: str, fits: Callable[[Mapping[str, str]], bool], name: str) -> views.View:
    """The first view of the look that fits."""
    drawn = (views.draw(look, Random(f"{name} {index}")) for index in range(100_000))
    return next(view for view in drawn if fits(view.attributes))


def picture(svg: str, width: int, height: int) -> Image.Image:
    """A rasterised document."""
    return Image.fromarray(emoji.rasterise_rgba(svg, width, height)[..., :3])


def places(size: int) -> Iterable[Image.Image]:
    """Each place in each look."""
    for place in PLACES:
        for look in views.VIEW_LOOKS:
            view = first(look, lambda shown, place=place: shown["place"] == place, f"{place} {look}")  # type: ignore[misc]
            yield picture(views.svg(view), size, size)


def hours(width: int, height: int) -> Iterable[Image.Image]:
    """A beach, a river and hills in each mood, by turns in each look."""
    for k, place in enumerate(("beach", "river", "rolling hills")):
        for i, mood in enumerate(MOODS):
            look = views.VIEW_LOOKS[(i + k) % 4]
            wanted = {"place": place, **mood}.items()
            clear = "weather" in mood
            view = first(
                look,
                lambda shown, wanted=wanted, clear=clear: wanted <= shown.items() and ("weather" in shown) <= clear,  # type: ignore[misc]
                f"{place} {mood}",
            )
            yield picture(views.svg(view, width, height), width, height)


def things(size: int) -> Iterable[Image.Image]:
    """Each of some objects: four settings, and a view in each look in which it stands."""
    order = list(names())
    for name in SHOWN:
        index = order.index(name)
        settings = list(render.drawings(render.Job("fluent-emoji", index, 4), 0, 0))
        staged = [drawing for look in views.VIEW_LOOKS for drawing in render.drawings(render.Job(look, index, 1), 0, 0)]
        for drawing in (*settings, *staged):
            shown = render.shown(drawing, emoji.rasterise_rgba(drawing.svg, size), size)
            assert shown is not None
            yield Image.fromarray(shown)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="a folder")
    target = parser.parse_args().target
    target.mkdir(parents=True, exist_ok=True)
    contact_sheet(list(places(112)), 8).save(target / "views.jpg", **PAGE)
    contact_sheet(list(hours(224, 126)), 5).save(target / "hours.jpg", **PAGE)
    contact_sheet(list(things(128)), 8).save(target / "objects.jpg", **PAGE)


if __name__ == "__main__":
    main()
