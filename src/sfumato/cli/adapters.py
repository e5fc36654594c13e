"""``sfumato adapter``: reads, cuts, adds up and writes adapters."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.cli.terminal import narrating, note
from sfumato.errors import OutputError, RequestError, UnknownNameError

if TYPE_CHECKING:
    from sfumato.adapters.surgery import Kept, Rank
    from sfumato.adapters.written import Layout, Trained
    from sfumato.model import Model


def convert(source: str, target: Path, model: str, layout: str) -> None:
    """Another layout."""
    with narrating():
        from sfumato.adapters.surgery import pieces_of

        path, base, spelled = _begin(source, target, model, layout)
        _write(pieces_of(path, base), target, base, spelled, [path.name])


def resize(source: str, target: Path, model: str, rank: int | None, keep: float | None, layout: str) -> None:
    """A lower rank."""
    limit = _rank(rank, keep)
    if limit is None:
        raise RequestError("how far to cut is missing; give --rank N, or --keep 0.95")
    with narrating():
        from sfumato.adapters.surgery import pieces_of, resized

        path, base, spelled = _begin(source, target, model, layout)
        pieces, kept = resized(pieces_of(path, base), base, limit)
        _say(kept)
        _write(pieces, target, base, spelled, [path.name])


def blend(sources: Sequence[str], model: str, rank: int | None, keep: float | None, layout: str) -> None:
    """A sum."""
    if len(sources) < 3:
        raise RequestError("a blend needs two adapters or more and OUT, as in: adapter blend a.safetensors:0.7 b:0.3 c")
    from sfumato.requests import Lora

    *names, out = sources
    target, asked = Path(out), [Lora.parse(text) for text in names]
    limit = _rank(rank, keep)
    with narrating():
        from sfumato.adapters.folders import find
        from sfumato.adapters.surgery import blended, pieces_of

        _, base, spelled = _begin(asked[0].name, target, model, layout)
        files = [find("lora", one.name) for one in asked]
        weighted = [(pieces_of(file, base), one.weight) for file, one in zip(files, asked, strict=True)]
        pieces, kept = blended(weighted, base, limit)
        _say(kept)
        _write(pieces, target, base, spelled, names)


def extract(tuned: str, target: Path, model: str, rank: int | None, keep: float | None, layout: str) -> None:
    """A difference."""
    limit = _rank(rank, keep)
    with narrating():
        from sfumato.adapters.surgery import Rank, extracted
        from sfumato.checkpoints.catalogue import find

        spelled = _layout(layout)
        _require_new(target)
        other, base = _load(find(tuned)), _load(find(model))
        found = extracted(other, base, Rank() if limit is None else limit)
        _say(found.kept)
        if found.left_out:
            note(f"{len(found.left_out)} tensors changed that a LoRA has no place for, first {found.left_out[0]}")
        _write(found.pieces, target, base, spelled, [Path(tuned).name])


def _rank(rank: int | None, keep: float | None) -> "Rank | None":
    if rank is not None and rank < 1:
        raise RequestError(f"rank is {rank}; give 1 or more")
    if keep is not None and not 0 < keep <= 1:
        raise RequestError(f"keep is {keep:g}; give a share above 0 and at most 1")
    if rank is None and keep is None:
        return None
    from sfumato.adapters.surgery import Rank

    return Rank(rank, 1.0 if keep is None else keep)


def _begin(source: str, target: Path, model: str, layout: str) -> "tuple[Path, Model, Layout]":
    """What is wrong with names is said before anything is loaded."""
    from sfumato.adapters.folders import find
    from sfumato.checkpoints.catalogue import find as find_model

    spelled = _layout(layout)
    path, base = find("lora", source), find_model(model)
    _require_new(target)
    return path, _load(base), spelled


def _layout(layout: str) -> "Layout":
    if layout == "kohya":
        return "kohya"
    if layout == "diffusers":
        return "diffusers"
    raise UnknownNameError("layout", layout[:64], ("kohya", "diffusers"))


def _require_new(target: Path) -> None:
    if target.suffix != ".safetensors":
        raise OutputError(f"{target} is no name of an adapter; name it {target.stem}.safetensors")
    if target.exists():
        raise OutputError(f"{target} is there already; give another name")
    if not target.parent.is_dir():
        raise OutputError(f"there is no folder {target.parent}; make it first")


def _load(path: Path) -> "Model":
    import torch

    from sfumato.checkpoints.folder import load_folder
    from sfumato.checkpoints.single import load_single

    load = load_folder if path.is_dir() else load_single
    return load(path, dtype=torch.float32, device=torch.device("cpu"))


def _say(kept: "Kept") -> None:
    if kept.ranks:
        note(f"ranks {min(kept.ranks)} to {max(kept.ranks)} keep {kept.share:.2%} of the square of the change")


def _write(pieces: "list[Trained]", target: Path, base: "Model", layout: "Layout", sources: Sequence[str]) -> None:
    from sfumato.adapters.written import write_layout
    from sfumato.files import cannot_write

    try:
        write_layout(target, pieces, base, layout, {"made_of": list(sources)})
    except OSError as error:
        raise cannot_write(target, error) from error
    print(target)
