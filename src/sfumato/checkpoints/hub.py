"""Models of the Hugging Face Hub: read from its cache on this disk, and fetched into it when that is asked for.

A model is `org/name`, `org/name@revision`, or one file of it, `org/name/file.safetensors`. Looking into the cache needs
no library and no network; `pull` alone goes out, through `huggingface_hub`, which knows HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. A revision is named in the cache when its last file is there, so that an interrupted pull is no model.
Imports no torch.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from sfumato.errors import CheckpointError
from sfumato.files import write_atomic

Variant = Literal["fp16"]

INDEX = "model_index.json"
WEIGHTS = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin")
ALONE = (".safetensors", ".gguf", ".ckpt")
"""Endings of files that may be a whole model."""
PARTS = (
    *("unet", "transformer", "vae", "scheduler"),
    *(f"{part}{number}" for part in ("text_encoder", "tokenizer") for number in ("", "_2", "_3")),
)
"""Folders of a model that painting reads; checkers, feature extractors and the like stay where they are."""
_SMALL = (".json", ".txt", ".model")
_NAMED = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[\w.-]{1,200}))?(?:/(?P<file>.+))?",
    re.ASCII,
)
_SPAN = re.compile(
    r"[^.]+?(?:\.(?P<variant>\w+))?(?:-\d{5}-of-\d{5})?\.safetensors|[^.]+\.safetensors\.index(?:\.(?P<shards>\w+))?\.json",
    re.ASCII,
)
"""Weights, whole or a shard, and lists of shards."""


@dataclass(frozen=True)
class Address:
    """A model on the Hub, or one file of it."""

    repo: str
    revision: str = "main"
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The address that a text is; None when it is none."""
        found = _NAMED.fullmatch(text)
        if found is None or ".." in text:
            return None
        file = found["file"]
        if file is not None and not file.lower().endswith(WEIGHTS):
            return None
        return cls(found["repo"], found["revision"] or "main", file)

    def __str__(self) -> str:
        """The address as it is written."""
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{self.repo}{revision}" + ("" if self.file is None else f"/{self.file}")


def cache_folder() -> Path:
    """Where the Hub's files lie, by the variables that all its tools share."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{home}/huggingface"
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(os.path.expanduser(named)))  # noqa: PTH111 - Path.expanduser raises without a home


def cached(address: Address) -> Path | None:
    """The folder, or the file, of what was pulled; None when it is not there."""
    repo = _repo_folder(address.repo)
    try:
        commit = (repo / "refs" / address.revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = address.revision
    snapshot = repo / "snapshots" / commit
    if address.file is not None:
        return snapshot / address.file if (snapshot / address.file).is_file() else None
    return snapshot if (snapshot / INDEX).is_file() else None


def models() -> Iterator[tuple[Address, Path]]:
    """What in the cache can paint, by its look: folders with an index, and weights without a configuration beside."""
    root = cache_folder()
    for refs in sorted(root.glob("models--*--*/refs")) if root.is_dir() else ():
        repo = refs.parent.name.removeprefix("models--").replace("--", "/")
        for ref in sorted(path for path in refs.rglob("*") if path.is_file()):
            address = Address(repo, ref.relative_to(refs).as_posix())
            if (folder := cached(address)) is not None:
                yield address, folder
            snapshot = refs.parent / "snapshots" / ref.read_text(encoding="ascii", errors="replace").strip()
            if snapshot.is_dir() and not (snapshot / "config.json").exists():
                for file in sorted(snapshot.iterdir()):
                    if file.suffix.lower() in ALONE and file.is_file():
                        yield replace(address, file=file.name), file


def pull(address: Address, *, variant: Variant | None = None, quiet: bool = False) -> Path:
    """Fetch what painting needs of a model into the cache; what is there already is not fetched again.

    Args:
        variant: of the weights, where the model has it; None is the plain one.

    Raises:
        CheckpointError: no such model, revision, file or variant; no access, network or room; the message says which.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download

    if constants.is_offline_mode():
        if (path := cached(address)) is not None:
            return path
        raise CheckpointError(f"HF_HUB_OFFLINE is set and {address} is not in the cache; unset it to pull")
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
    with _explained(address, endpoint), _silenced(quiet):
        info = HfApi(endpoint).model_info(address.repo, revision=address.revision, files_metadata=True)
        assert info.sha is not None
        assert info.siblings is not None
        sizes = {file.rfilename: file.size or 0 for file in info.siblings}
        names = [address.file] if address.file is not None else wanted(sizes, variant, str(address))
        if missing := [name for name in names if name not in sizes]:
            raise CheckpointError(
                f"{address.repo} has no file {missing[0]}{_offer(sizes, str(replace(address, file=None)))}"
            )
        folder = _repo_folder(address.repo)
        absent = [name for name in names if not (folder / "snapshots" / info.sha / name).is_file()]
        _require_room(folder, sum(sizes[name] for name in absent), address)
        for name in names:  # one after the other, so that an interrupt stops at once
            hf_hub_download(
                address.repo,
                name,
                revision=info.sha,
                endpoint=endpoint,
                cache_dir=cache_folder(),
                library_name="sfumato",
            )
        reference = folder / "refs" / address.revision
        if address.revision != info.sha:
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(reference, info.sha.encode("ascii"))
    path = cached(address)
    assert path is not None
    return path


def wanted(names: Iterable[str], variant: Variant | None, source: str) -> list[str]:
    """Those of a model's files that painting reads: configurations, tokenizers, and weights of one variant.

    Args:
        variant: taken where a part has it; where it has not, the plain weights are.

    Raises:
        CheckpointError: no model in the diffusers layout, or a part without safetensors of that variant.
    """
    names = sorted(names)
    if INDEX not in names:
        raise CheckpointError(f"{source} has no {INDEX}{_offer(names, source)}")
    chosen = [INDEX]
    for part in PARTS:
        inside = [name for name in names if name.startswith(f"{part}/") and name.count("/") == 1]
        weights: dict[str | None, list[str]] = {}
        for name in inside:
            if found := _SPAN.fullmatch(name):
                weights.setdefault(found["variant"] or found["shards"], []).append(name)
            elif name.endswith(_SMALL):
                chosen.append(name)
        pick = variant if variant in weights else None
        if pick in weights:
            chosen += weights[pick]
        elif weights:
            known = ", ".join(sorted(name for name in weights if name is not None))
            remedy = "add --variant fp16" if "fp16" in weights else "these cannot be loaded"
            raise CheckpointError(f"{source} has no plain weights in {part}, only of {known}; {remedy}")
        elif any(name.endswith(WEIGHTS) for name in inside):
            raise CheckpointError(f"{source} has pickled weights only in {part}; ask for a model in safetensors")
    if not any(name.startswith(("unet/", "transformer/")) and name.endswith(".safetensors") for name in chosen):
        raise CheckpointError(f"{source} has no unet or transformer with weights; it is no model that paints")
    return chosen


def _offer(names: Iterable[str], source: str) -> str:
    """The end of a sentence: single files that could be named instead."""
    files = [name for name in names if name.endswith(ALONE) and "/" not in name]
    if not files:
        return "; it is no Stable Diffusion model"
    listed = ", ".join(f"{source}/{name}" for name in files[:4])
    return f"; name one of its files: {listed}" + (" ..." if len(files) > 4 else "")


def _repo_folder(repo: str) -> Path:
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def _require_room(folder: Path, count: int, address: Address) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if count > free:
        raise CheckpointError(
            f"{address} needs {count / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} free; "
            "free some space, or set HF_HUB_CACHE to another place"
        )


@contextmanager
def _silenced(quiet: bool) -> Iterator[None]:
    """The library's warnings say what our errors say again, on many lines; its bars are for terminals."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    log, hidden = logging.getLogger("huggingface_hub"), are_progress_bars_disabled()
    level = log.level
    log.setLevel(logging.CRITICAL)
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        log.setLevel(level)
        if quiet and not hidden:
            enable_progress_bars()


@contextmanager
def _explained(address: Address, hub: str) -> Iterator[None]:
    """The library's errors as ours."""
    from huggingface_hub import errors

    login = "hf auth login, or HF_TOKEN"
    web_error: type[Exception] = errors.HfHubHTTPError.__bases__[
        0
    ]  # the base of all faults of the HTTP library that is used
    try:
        yield
    except CheckpointError:
        raise
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{address.repo} is gated: agree to its terms at {hub}/{address.repo}, then give a token ({login})"
        ) from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(
            f"{hub} has no model {address.repo}, or it is private: check the name, or give a token ({login})"
        ) from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(f"{address.repo} has no revision {address.revision!r}; leave it out for main") from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        remedy = f"check the token ({login})" if code in (401, 403) else "try again later"
        raise CheckpointError(f"{hub} answers {code} about {address.repo}; {remedy}") from error
    except (web_error, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{address} is not whole: {reason}; pull again, files that are there stay (Hub: {hub})"
        ) from error
