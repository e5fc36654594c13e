"""Writes the table of families in the guide to models, in both languages, from the families themselves.

python -m docs.families
"""

from pathlib import Path

from sfumato.families import FAMILIES, Family

GUIDE = Path(__file__).parent / "guide"
BEGIN, END = "<!-- families: written by docs/families.py -->", "<!-- /families -->"
HEADS = {
    "models.md": ("family", "pixels", "steps", "guidance"),
    "models.zh.md": ("系列", "像素", "步数", "引导强度"),
}
PIPELINES = ("StableDiffusion", "LatentConsistencyModel", "StableDiffusionXL", "StableDiffusion3")
"""diffusers' classes for models that take a prompt alone."""


def _side(family: Family) -> int:
    latents = None if family.network is None else family.network.sample_size
    assert isinstance(latents, int)
    return latents * family.autoencoder.factor


def table(page: str) -> str:
    """The part between the markers."""
    heads = HEADS[page]
    shown = [each for each in FAMILIES if each.network is not None and each.pipeline in PIPELINES]
    rows = [f"| {each.title} | {_side(each)} | {each.steps} | {each.guidance:g} |" for each in shown]
    return "\n".join([BEGIN, f"| {' | '.join(heads)} |", "| --- | ---: | ---: | ---: |", *rows, END])


def current(page: str) -> str:
    """The page with the table as it should be."""
    before, rest = (GUIDE / page).read_text(encoding="utf-8").split(BEGIN)
    return before + table(page) + rest.split(END)[1]


if __name__ == "__main__":
    for page in HEADS:
        (GUIDE / page).write_text(current(page), encoding="utf-8")
