"""How well a model paints what people ask for in words of their own: the classifier judges the prompts of
`prompts.jsonl`, which were written by hand and which no template makes.

    python -m recipes.nano.language.card nano --out docs/natural-prompts.md
    python -m recipes.nano.language.card runs/nano/language/export --part dev --out dev.md
    python -m recipes.nano.language.card runs/nano/language/export --part recipe --out recipe.md

Beside the page come its figures in JSON and a sheet of every tenth prompt. The part "recipe" is captions in the
recipe's own words, drawn at random, to see whether what was known is still known.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from recipes.nano.data.captions import full_caption
from recipes.nano.language.lexicon import experts_of
from recipes.nano.language.wordings import SHARES, drawn
from sfumato import Studio
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.checkpoints.experts import FOLDER
from sfumato.checkpoints.folder import part_file
from sfumato.evaluation.card import CELL
from sfumato.evaluation.evaluate import Plan, digest, paint
from sfumato.evaluation.judge import Picture, tensor_of
from sfumato.evaluation.report import table
from sfumato.files import sha256, write_atomic
from sfumato.images import PAGE, contact_sheet
from sfumato.models.picture_classifier import PictureClassifier

PROMPTS = Path(__file__).with_name("prompts.jsonl")
JUDGE = Path(__file__).parents[1] / "judge"
JUDGE_OF_SCENES = Path(__file__).parents[1] / "judge_of_scenes"
LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "Chinese"}
OBJECTS = "objects"
TOPICS: Mapping[str, str] = dict.fromkeys(("animal", "vehicle", "food", "thing"), OBJECTS)
"""Topics that are one row of the page: each of their prompts asks for one name."""
SCENE = "scene"
PLACES = ("landscape", SCENE)
"""Topics whose pictures are judged by a classifier that knows scenes."""
SCENES: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = {
    ("terrain", "sea"): (("place", "sea"), ("place", "beach"), ("place", "tropical island"), ("place", "harbour")),
    ("terrain", "desert dunes"): (("place", "desert"),),
    ("terrain", "rolling hills"): (("place", "rolling hills"), ("place", "meadow"), ("relief", "hills")),
    ("terrain", "mountains"): (("place", "mountain landscape"), ("relief", "mountains")),
    ("terrain", "snowy mountains"): (("relief", "snowy mountains"),),
    ("water", "lake"): (("place", "lake"),),
    ("time_of_day", "sunset"): (("time_of_day", "dusk"),),
    ("sky_color", "pink and yellow"): (("sky_color", "pink and blue"),),
    ("sun", "sun"): (("sun", "low sun"), ("sun", "sun on the horizon"), ("sun", "sun high in the sky")),
    ("terrain_color", "green"): (("relief_color", "green"), ("season", "summer"), ("season", "spring")),
}
"""What is asked of a landscape -> what shows the same in a scene, beside the very words."""
SHOWN = 10
"""Every so many prompts one is on the sheet."""

READING = """\
The prompts are the half of [prompts.jsonl](../recipes/nano/language/prompts.jsonl) that is kept for this page. Of each
prompt it says what must be seen, often by several words (a beard may be full, long or short), and the classifier of the
[model card](model-card.md) says what is seen; of landscapes one that knows scenes does. *Attributes* is the share of
what was asked for that is there, where a picture of another kind has nothing of it; *whole* is the share of pictures
with all of it."""


@dataclass(frozen=True)
class Prompt:
    """A line of `prompts.jsonl`.

    Attributes:
        part: "dev", to look at while working on the model, or "card", for its figures alone.
        seen: what the picture must show: words of the classifier's heads, any of which will do.
    """

    part: str
    language: str
    topic: str
    prompt: str
    seen: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Score:
    """On one picture: for each attribute but the kind whether it is there, and the rank of the best name asked for."""

    prompt: Prompt
    right: Mapping[str, bool]
    rank: int | None


@dataclass(frozen=True)
class Row:
    """A line of the page; shares from 0 to 1."""

    topic: str
    language: str
    pictures: int
    attributes: float
    whole: float
    top5: float | None


def prompts(part: str) -> list[Prompt]:
    """The prompts of one half, English before Chinese."""
    lines = PROMPTS.read_text(encoding="utf-8").splitlines()
    return [prompt for prompt in (Prompt(**json.loads(line)) for line in lines) if prompt.part == part]


def captions(heads: Mapping[str, Sequence[str]], kinds: Iterable[str], per_kind: int = 4) -> list[Prompt]:
    """Captions of the recipe that say everything, of things five times as many, which are one answer each."""
    rng, found = Random(0), []
    for language in ("en", "zh"):
        for kind in kinds:
            for _ in range(per_kind * (5 if kind == "emoji" else 1)):
                told = drawn(kind, rng)
                seen = {name: [word] for name, word in told.items() if word in heads.get(name, ()) and name != "style"}
                topic = "thing" if kind == "emoji" else kind
                found.append(Prompt("recipe", language, topic, full_caption(told, language), seen))
    return found


@torch.inference_mode()
def judged(classifier: PictureClassifier, asked: Sequence[Prompt], pictures: Sequence[Picture]) -> list[Score]:
    """A score for each picture of each prompt, all of one size."""
    classes, scores = classifier.config.classes, []
    answers = classifier(tensor_of(pictures).to(memory_format=torch.channels_last))
    for row, prompt in enumerate(asked):
        best = {name: words[int(answers[name][row].argmax())] for name, words in classes.items()}
        kinds = prompt.seen.get("kind", classes["kind"])
        scene = best["kind"] == SCENE and "landscape" in kinds
        right = {
            name: (best["kind"] in kinds or scene)
            and (
                best[name] in words or (scene and any(best.get(head) == word for head, word in _in_scenes(name, words)))
            )
            for name, words in prompt.seen.items()
            if name != "kind"
        }
        rank = None
        if "name" in prompt.seen:
            logits = answers["name"][row]
            wanted = max(
                float(logits[classes["name"].index(word)]) for word in prompt.seen["name"] if word in classes["name"]
            )
            rank = int((logits > wanted).sum())
        scores.append(Score(prompt, right, rank))
    return scores


def _in_scenes(name: str, words: Sequence[str]) -> list[tuple[str, str]]:
    return [answer for word in words for answer in SCENES.get((name, word), ())]


def rows(scores: Iterable[Score]) -> list[Row]:
    """A row a topic and language, and one of everything in each language."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        for topic in (TOPICS.get(score.prompt.topic, score.prompt.topic), "all"):
            groups.setdefault((topic, score.prompt.language), []).append(score)
    order = sorted(groups, key=lambda key: (key[0] == "all", key))
    return [_row(topic, language, groups[topic, language]) for topic, language in order]


def _row(topic: str, language: str, scores: Sequence[Score]) -> Row:
    answers = [right for score in scores for right in score.right.values()]
    ranks = [score.rank for score in scores if score.rank is not None]
    return Row(
        topic,
        language,
        len(scores),
        float(np.mean(answers)),
        float(np.mean([all(score.right.values()) for score in scores])),
        float(np.mean([rank < 5 for rank in ranks])) if topic == OBJECTS else None,
    )


def figures(lines: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    titles = ("topic", "prompts", "pictures", "attributes", "whole", "object top-5")
    told = [
        (
            row.topic,
            LANGUAGES[row.language],
            str(row.pictures),
            f"{row.attributes:.0%}",
            f"{row.whole:.0%}",
            "–" if row.top5 is None else f"{row.top5:.0%}",
        )
        for row in lines
    ]
    return table(titles, told)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--part", choices=("dev", "card", "recipe"), default="card")
    parser.add_argument("--seeds", type=int, default=1, help="pictures of each prompt: seeds 0, 1 ...")
    parser.add_argument("--steps", type=int, help="as the model is sampled, without it")
    parser.add_argument("--out", type=Path, required=True, help="the page, ending in .md")
    parser.add_argument("--judge", type=Path, default=JUDGE, help="the export of a classifier")
    parser.add_argument("--scenes", type=Path, default=JUDGE_OF_SCENES, help="that of one which knows scenes")
    parser.add_argument("--work", type=Path, default=Path("runs/nano/evaluation"), help="paintings, kept")
    arguments = parser.parse_args()
    studio, usual, of_scenes = Studio(arguments.model), *map(load_classifier, (arguments.judge, arguments.scenes))
    judges = dict.fromkeys(PLACES, of_scenes)
    arguments.work.mkdir(parents=True, exist_ok=True)
    options = {} if arguments.steps is None else {"steps": arguments.steps}
    plan = Plan(seeds=arguments.seeds, options=options)
    scores, shown, told = list[Score](), list[Image.Image](), list[str]()
    recipe = arguments.part == "recipe"
    asked = prompts(arguments.part)
    if recipe:
        asked = captions(usual.config.classes, SHARES) + captions(of_scenes.config.classes, [SCENE], per_kind=20)
    for number, prompt in enumerate(asked):
        images = paint(studio, plan.request(studio.default, prompt.prompt, plan.seeds), arguments.work)
        classifier = judges.get(prompt.topic, usual)
        scores += judged(classifier, [prompt] * plan.seeds, [np.asarray(image) for image in images])
        if number % SHOWN == 0:
            shown += [image.resize((CELL, CELL), Image.Resampling.BOX) for image in images]
            told.append(f"{len(told) + 1}. {prompt.prompt}")
    found, model = rows(scores), studio.load()
    settings = {
        "model": studio.default,
        "model_hash": model.hash,
        **{f"{name}_hash": sha256(part_file(model.path / FOLDER / name / "unet")) for name in experts_of(model.path)},
        "text_encoder": sha256(part_file(model.path / "text_encoder"))[:12],
        "classifier": digest(usual),
        "of_scenes": digest(of_scenes),
        "part": arguments.part,
        "seeds": plan.seeds,
        **options,
        "precision": str(studio.choice.dtype).removeprefix("torch."),
    }
    page, sheet = arguments.out, arguments.out.with_suffix(".jpg")
    page.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(shown, plan.seeds).save(sheet, **PAGE)
    report = {
        "settings": settings,
        "rows": [asdict(row) for row in found],
        "scores": [{"prompt": s.prompt.prompt, "right": dict(s.right), "rank": s.rank} for s in scores],
    }
    write_atomic(page.with_suffix(".json"), (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    parts = (
        "# What nano makes of people's own words",
        "*Written by `python -m recipes.nano.language.card`; do not edit.*",
        figures(found),
        READING,
        f"![Every tenth prompt with its first seeds]({sheet.name})",
        "\n".join(told),
        "\n".join(f"- {name.replace('_', ' ')}: `{value}`" for name, value in settings.items()),
    )
    write_atomic(page, ("\n\n".join(parts) + "\n").encode())
    print(figures(found))


if __name__ == "__main__":
    main()
