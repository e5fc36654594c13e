"""Writes the part of README.md between the `works` markers from the code itself, so that it promises nothing.

python -m docs.readme
"""

from pathlib import Path
from typing import Any

from typer import Context
from typer.main import get_command

from sfumato.checkpoints.scheduler_classes import CLASSES
from sfumato.cli.app import SECTIONS, app
from sfumato.diffusion import GRIDS, SAMPLERS
from sfumato.families import FAMILIES
from sfumato.training.run import TASKS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- works: written by docs/readme.py -->", "<!-- /works -->"


def commands(names: str) -> list[tuple[str, str]]:
    """Each of these commands, or those below it, with the first line of its help."""
    root: Any = get_command(app)
    context = Context(root)
    found = []
    for name in names.split():
        command = root.get_command(context, name)
        children = getattr(command, "commands", None)
        listed = [(name, command)] if children is None else [(f"{name} {n}", c) for n, c in sorted(children.items())]
        found += [(words, each.help.splitlines()[0]) for words, each in listed]
    return found


def works() -> str:
    """The section."""
    rows = []
    for heading, names in SECTIONS.items():
        rows += [f"| **{heading}** | |", *(f"| `sfumato {name}` | {help} |" for name, help in commands(names))]
    families = "; ".join(f.title for f in FAMILIES)
    return "\n".join(
        [
            BEGIN,
            "| command | what it does |",
            "| --- | --- |",
            *rows,
            "",
            f"- **Models**: {families}. Loaded from folders in the diffusers layout (shards and fp16 variants too) or "
            "from one file without any configuration, strictly, without network.",
            f"- **Samplers**: {', '.join(row.label for row in SAMPLERS)}; orders measured in "
            "[docs/samplers.md](docs/samplers.md).",
            f"- **Schedules**: {', '.join(row.label for row in GRIDS.values())}, or the model's own, from its "
            f"`scheduler_config.json` ({', '.join(sorted(CLASSES))}).",
            f"- **Trainers**: {', '.join(sorted(TASKS))}.",
            END,
        ]
    )


def current() -> str:
    """The README with the section as it should be."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + works() + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(current(), encoding="utf-8")
