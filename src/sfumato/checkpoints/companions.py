"""Text encoders in files of their own, as those of Stable Diffusion 3 and 3.5 are published: `clip_l.safetensors`,
`clip_g.safetensors` and `t5xxl_fp16.safetensors`, found beside a checkpoint that has transformer and autoencoder alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from sfumato.checkpoints import extra_paths
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.tables import sd3
from sfumato.checkpoints.tables.checkpoint import UNET, VAE
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError

FOLDERS = ("text_encoders", "clip")
"""What folders of text encoders are called, beside a checkpoint or beside its folder."""
NAMES = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", T5: "t5xxl"}
"""How the files begin; what follows, as in `t5xxl_fp16`, is free."""


def complete(file: TensorFile) -> TensorFile:
    """The checkpoint with its text encoders: itself, or joined from several files where it has those of CLIP nowhere.

    T5 is joined when it is there.

    Raises:
        CheckpointError: it needs encoders and has none, or one of their files is damaged.
    """

    def has(start: str) -> bool:
        return any(name.startswith(start) for name in file.shapes)

    if not (has(f"{UNET}joint_blocks.") and has(VAE)) or any(has(sd3.FILES[part]) for part in sd3.CLIPS):
        return file
    found = {part: path for part, start in NAMES.items() if (path := _find(file.path, start)) is not None}
    if missing := [f"{NAMES[part]}.safetensors" for part in sd3.CLIPS if part not in found]:
        raise CheckpointError(
            f"{file.path} is a transformer of SD3 without its text encoders; put {' and '.join(missing)} beside it or "
            f"into {FOLDERS[0]}/"
        )
    return _joined(file, {sd3.FILES[part]: open_tensors(path) for part, path in found.items()})


def folders(checkpoint: Path) -> Iterator[Path]:
    """Where the companions of a file may lie."""
    here = checkpoint.parent
    yield here
    for place in (here, here.parent):
        yield from (place / name for name in FOLDERS)
    yield from extra_paths.folders(*FOLDERS)


def _find(checkpoint: Path, start: str) -> Path | None:
    for folder in folders(checkpoint):
        for path in sorted(folder.glob(f"{start}*.safetensors")):
            return path
    return None


def _joined(file: TensorFile, companions: dict[str, TensorFile]) -> TensorFile:
    """All tensors under the names that they have in a file of the whole."""

    def read() -> dict[str, Tensor]:
        state = file.read()
        for start, companion in companions.items():
            state |= {start + name: tensor for name, tensor in companion.read().items()}
        return state

    shapes, dtypes = dict(file.shapes), dict(file.dtypes)
    for start, companion in companions.items():
        shapes |= {start + name: shape for name, shape in companion.shapes.items()}
        dtypes |= {start + name: dtype for name, dtype in companion.dtypes.items()}
    return replace(file, shapes=shapes, dtypes=dtypes, read=read)
