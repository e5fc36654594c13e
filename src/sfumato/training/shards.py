"""Training data as WebDataset tars: `00000.tar` of `000000000.png`, `.json` and, with a caption, `.txt`.

The pictures are PNG, so that they come back to the bit; the JSON is the picture's line of `attributes.jsonl`.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from sfumato.errors import TrainingError
from sfumato.files import whole_folder
from sfumato.training.data import Attributes, Pictures


def write_shards(pictures: Pictures, out: Path, *, per_shard: int = 1000) -> list[Path]:
    """Write the new folder `out` of tars, the same bytes for the same data, and return them.

    Raises:
        TrainingError: when `out` is there already, or `per_shard` is not positive.
        OutputError: when `out` cannot be written.
    """
    if out.exists():
        raise TrainingError(f"{out} is there already; remove it or choose another folder")
    if per_shard < 1:
        raise TrainingError(f"{per_shard} pictures a shard must be at least 1")
    names = [f"{k:05d}.tar" for k in range(-(-len(pictures) // per_shard))]
    with whole_folder(out, replace=False) as folder:
        for k, name in enumerate(names):
            with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
                for index in range(k * per_shard, min((k + 1) * per_shard, len(pictures))):
                    for kind, data in _sample(pictures, index):
                        member = tarfile.TarInfo(f"{index:09d}.{kind}")  # no owner and no time
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
    return [out / name for name in names]


def _sample(pictures: Pictures, index: int) -> Iterator[tuple[str, bytes]]:
    attributes: Attributes = pictures.attributes[index]
    png = io.BytesIO()
    Image.fromarray(pictures.array[index]).save(png, "PNG")
    yield "png", png.getvalue()
    yield "json", json.dumps(attributes, ensure_ascii=False).encode()
    if caption := next(iter(attributes.get("captions", ())), attributes.get("caption")):
        yield "txt", caption.encode()
