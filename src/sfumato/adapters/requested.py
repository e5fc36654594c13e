"""What adapters a request asks for, as files. Imports no torch, so that what is not there is said at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sfumato.adapters.folders import available, find
from sfumato.errors import RequestError
from sfumato.prompts import parse
from sfumato.prompts.blocks import BlockWeights
from sfumato.requests import Lora, Painting


@dataclass(frozen=True)
class File:
    """A file as it was when it was asked for."""

    path: Path
    stamp: tuple[int, int]
    """Time and size."""

    @classmethod
    def of(cls, path: Path) -> "File":
        """The file as it is now."""
        status = path.stat()
        return cls(path, (status.st_mtime_ns, status.st_size))


@dataclass(frozen=True)
class WeightedFile:
    """An adapter's file, and how strongly it counts in the denoiser and in the text encoders."""

    file: File
    weight: float = 1.0
    text_weight: float = 1.0
    blocks: BlockWeights = ()
    """What both are multiplied with, block by block; none: 1 each."""


def files_of(loras: Iterable[Lora]) -> tuple[WeightedFile, ...]:
    """Where adapters lie.

    Raises:
        UnknownNameError, CheckpointError: one is not there.
    """
    return tuple(
        WeightedFile(
            File.of(find("lora", lora.name)),
            lora.weight,
            lora.weight if lora.text_weight is None else lora.text_weight,
        )
        for lora in loras
    )


@dataclass(frozen=True)
class Requested:
    """Adapters that a request asks for."""

    loras: tuple[WeightedFile, ...] = ()
    embeddings: tuple[tuple[File, bool], ...] = ()
    """Each with whether it was named, and not only met in a prompt."""


NOTHING = Requested()


def requested(request: Painting) -> Requested:
    """The adapters that a request asks for: by option, in its prompt, and embeddings whose names its prompts hold.

    Raises:
        RequestError, CheckpointError: a network of another kind, or one that is not there.
    """
    asked = list(files_of(request.loras))
    for network in parse(request.prompt, request.prompt_syntax).networks:
        if network.kind != "lora":
            raise RequestError(
                f"the prompt asks for {network.kind} {network.name!r}; only LoRAs and their kin are known"
            )
        if network.rank is not None:
            raise RequestError(f"the prompt cuts {network.name!r} to rank {network.rank}; leave the third number out")
        file = File.of(find("lora", network.name))
        asked.append(WeightedFile(file, network.weight, network.text_weight, network.blocks))
    named = [File.of(find("embedding", name)) for name in request.embeddings]
    text = _TAG.sub(" ", f"{request.prompt}\n{request.negative}")
    called = _is_called if request.prompt_syntax == "comfy" else _is_word
    met = [File.of(path) for name, path in available("embedding").items() if called(name, text)]
    embeddings = {**dict.fromkeys(met, False), **dict.fromkeys(named, True)}
    return Requested(tuple(asked), tuple(embeddings.items()))


_TAG = re.compile(r"<\w+:[^>]+>")


def _is_word(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _is_called(name: str, text: str) -> bool:
    """Matches as ComfyUI does, see `prompts.windows`."""
    return re.search(rf"embedding:([^\s,]*[/\\])?{re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None
