"""Captions of the squares."""

import random
from collections.abc import Mapping


def caption(attributes: Mapping[str, str], rng: random.Random) -> str:
    """Either of two wordings."""
    front, back = attributes["front"], attributes["background"]
    return rng.choice([f"a {front} square on {back}", f"{back} background, {front} square"])
