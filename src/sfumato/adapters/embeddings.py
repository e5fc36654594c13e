"""Textual inversion (Gal et al. 2022): files of vectors that stand for a word.

    {"string_to_param": {"*": (n, d)}, ...}       A1111 `.pt`; with ParameterDict the first code, InvokeAI
    {"emb_params": (n, d)}                        the same as safetensors
    {"<cat-toy>": (d,) or (n, d)}                 diffusers; the key is a name of it, too
    {"<cat>": (n, d), "<toy>": (m, d)}            several words; the file's name is all of them
    {"clip_l": (n, 768), "clip_g": (n, 1280)}     a part for each text encoder
    {"text_encoders_0": ..., "text_encoders_1"}   the same of pivotal tuning, in which row i is the word <si>

Any of them may be in a PNG (see `pictures`). The file's name is what a prompt calls it by, as in A1111.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.adapters.pictures import open_small
from sfumato.checkpoints.detect import detect
from sfumato.checkpoints.rules import Shapes, check_finite
from sfumato.checkpoints.single import describe
from sfumato.checkpoints.tensor_file import TensorFile
from sfumato.errors import CheckpointError

A1111, PLAIN = "string_to_param.", "emb_params"
PARTS = {
    "clip_l": "text_encoder",
    "clip_g": "text_encoder_2",
    "t5xxl": "text_encoder_3",
    "text_encoders_0": "text_encoder",
    "text_encoders_1": "text_encoder_2",
}
"""What files call the text encoders."""
TOKENS = "string_to_token."
"""Before ids of the words, which mean nothing here."""
WIDTHS = {768: "sd1", 1024: "sd2", 1280: "sdxl"}
MOST = 1024
"""Vectors of one word. More is some other matrix."""


@dataclass(frozen=True)
class Embedding:
    """Vectors of a word, by the text encoder (component of a model) that reads them."""

    path: Path
    format: str
    names: tuple[str, ...]
    vectors: Mapping[str, Float[Tensor, "n d"]]
    family: str
    file: TensorFile
    rows: Mapping[str, range] = field(default_factory=dict)
    """Words that stand for some of the vectors."""


def is_embedding(shapes: Shapes) -> bool:
    """Whether a file of these tensors is an embedding."""
    names = {name for name in shapes if not name.startswith(TOKENS)}
    if len(names) == 1:
        [name] = names
        form = not _is_weight(name)
    else:
        parts = {PARTS.get(name) for name in names}
        form = bool(names) and ((None not in parts and len(parts) == len(names)) or all(map(_is_word, names)))
    found = [shapes[name] for name in names]
    return form and all(len(shape) in (1, 2) and min(shape) > 0 and _count(shape) <= MOST for shape in found)


def _is_word(name: str) -> bool:
    return name.startswith("<") and name.endswith(">")


def _is_weight(name: str) -> bool:
    return name.endswith((".weight", ".bias")) or name.startswith(("lora_", "model."))


def _count(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) == 1 else shape[0]


def read_embedding(path: Path) -> Embedding:
    """Read a file of vectors.

    Raises:
        CheckpointError: it cannot be read, is no embedding, or holds NaN or infinity.
    """
    file = open_small(path)
    state = read_vectors(file)
    check_finite(state, str(path))
    return embedding_of(path.stem, state, file)


def read_vectors(file: TensorFile) -> dict[str, Tensor]:
    """The tensors of an embedding.

    Raises:
        CheckpointError: it is none.
    """
    if not is_embedding(file.shapes):
        what = describe(detect(file.shapes, file.metadata, str(file.path)))
        raise CheckpointError(f"{file.path} is no embedding: it is {what}")
    return {name: tensor for name, tensor in file.read().items() if not name.startswith(TOKENS)}


def embedding_of(name: str, state: Mapping[str, Tensor], file: TensorFile) -> Embedding:
    """The embedding `name` of these tensors, from a file of its own or bundled with an adapter.

    Raises:
        CheckpointError: tensors that are no vectors.
    """
    if any(tensor.ndim not in (1, 2) or not tensor.is_floating_point() for tensor in state.values()):
        raise CheckpointError(f"{file.path}: the embedding {name!r} is not made of vectors")
    rows = {key: tensor.reshape(-1, tensor.shape[-1]) for key, tensor in state.items()}
    # What a picture says it is called, A1111 calls it.
    names = (name, file.metadata["name"]) if file.container == "png" and "name" in file.metadata else (name,)
    if rows.keys() <= PARTS.keys():
        vectors = {PARTS[key]: tensor for key, tensor in rows.items()}
        pivotal = any(key.startswith("text_encoders_") for key in rows)
        count = len(next(iter(rows.values()))) if pivotal else 0
        own = {f"<s{row}>": range(row, row + 1) for row in range(count)}
        names = (*names, "".join(own)) if own else names
        family = "sd3" if len(vectors) == 3 else "sdxl" if len(vectors) == 2 else _family(vectors)
        format = "pivotal tuning" if pivotal else "SDXL pair" if family == "sdxl" else "a part for each text encoder"
        return Embedding(file.path, format, names, vectors, family, file, own)
    if len({tensor.shape[-1] for tensor in rows.values()}) > 1:
        raise CheckpointError(f"{file.path}: the words of the embedding {name!r} are not equally wide")
    vectors = {"text_encoder": torch.cat([*rows.values()])}
    family = _family(vectors)
    if len(rows) > 1:
        ends = list(accumulate(map(len, rows.values())))
        own = {key: range(end - len(rows[key]), end) for key, end in zip(rows, ends, strict=True)}
        return Embedding(file.path, "diffusers, several words", names, vectors, family, file, own)
    [key] = rows
    if key == PLAIN:
        return Embedding(file.path, "A1111, safetensors", names, vectors, family, file)
    form, word = ("A1111", key.removeprefix(A1111)) if key.startswith(A1111) else ("diffusers", key)
    names = names if word == "*" else (*names, word)
    return Embedding(file.path, form, names, vectors, family, file)


def _family(vectors: Mapping[str, Tensor]) -> str:
    return WIDTHS.get(next(iter(vectors.values())).shape[-1], "")


def misfit(embedding: Embedding, widths: Mapping[str, int]) -> str:
    """Why an embedding is not for text encoders of these widths; empty when it is."""
    given = {part: int(vectors.shape[-1]) for part, vectors in embedding.vectors.items()}
    if given == dict(widths):
        return ""
    if "text_encoder_3" in given:
        return "it has vectors for T5, into which no words are put here"
    wide = " and ".join(map(str, given.values()))
    needs = " and ".join(map(str, widths.values()))
    made = f"; it was made for {embedding.family}" if embedding.family else ""
    return f"its vectors are {wide} wide, the model's text {needs}{made}"
