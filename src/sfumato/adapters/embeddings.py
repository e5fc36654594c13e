"""Textual inversion (Gal et al. 2022): files of vectors that stand for a word.

    {"string_to_param": {"*": (n, d)}, ...}    A1111 `.pt`
    {"emb_params": (n, d)}                     the same as safetensors
    {"<cat-toy>": (d,) or (n, d)}              diffusers; the key is a name of it, too
    {"clip_l": (n, 768), "clip_g": (n, 1280)}  SDXL, a part for each text encoder

Any of them may be in a PNG (see `pictures`). The file's name is what a prompt calls it by, as in A1111.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from sfumato.adapters.pictures import open_small
from sfumato.checkpoints.rules import Shapes, check_finite
from sfumato.checkpoints.tensor_file import TensorFile
from sfumato.errors import CheckpointError

A1111, PLAIN = "string_to_param.*", "emb_params"
PAIR = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
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


def is_embedding(shapes: Shapes) -> bool:
    """Whether a file of these tensors is an embedding."""
    names = shapes.keys() - {"string_to_token.*"}
    if names not in ({A1111}, {PLAIN}, set(PAIR)) and (len(names) != 1 or _is_weight(next(iter(names)))):
        return False
    found = [shapes[name] for name in names]
    return all(len(shape) in (1, 2) and min(shape) > 0 and _count(shape) <= MOST for shape in found)


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
        raise CheckpointError(f"{file.path} is no embedding; see what it is with sfumato inspect")
    return {name: tensor for name, tensor in file.read().items() if name != "string_to_token.*"}


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
    if rows.keys() == PAIR.keys():
        vectors = {PAIR[key]: tensor for key, tensor in rows.items()}
        return Embedding(file.path, "SDXL pair", names, vectors, "sdxl", file)
    if len(rows) != 1:
        raise CheckpointError(f"{file.path}: the embedding {name!r} has {len(rows)} tensors; one or a pair is known")
    [(key, tensor)] = rows.items()
    known = {A1111: "A1111", PLAIN: "A1111, safetensors"}
    names = names if key in known else (*names, key)
    family = WIDTHS.get(tensor.shape[-1], "")
    return Embedding(file.path, known.get(key, "diffusers"), names, {"text_encoder": tensor}, family, file)


def unfit(embedding: Embedding, widths: Mapping[str, int]) -> str:
    """Why an embedding is not for text encoders of these widths; empty when it is."""
    given = {part: int(vectors.shape[-1]) for part, vectors in embedding.vectors.items()}
    if given == dict(widths):
        return ""
    wide = " and ".join(map(str, given.values()))
    needs = " and ".join(map(str, widths.values()))
    made = f"; it was made for {embedding.family}" if embedding.family else ""
    return f"its vectors are {wide} wide, the model's text {needs}{made}"
