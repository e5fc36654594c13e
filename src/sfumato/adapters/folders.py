"""What there is by name to paint with beside a model: adapters, autoencoders of their own, what steers by a picture.

They are the files below `SFUMATO_LORAS`, `SFUMATO_EMBEDDINGS`, `SFUMATO_VAES`, `SFUMATO_CONTROLNETS`,
`SFUMATO_IP_ADAPTERS` and `SFUMATO_UPSCALERS`, in the folders of other programs that `SFUMATO_EXTRA_MODEL_PATHS` lists,
and LoRAs that are bundled. Imports no torch.
"""

import os
from pathlib import Path
from typing import Literal

from sfumato.checkpoints import extra_paths
from sfumato.checkpoints.catalogue import MAX_PATH, bundled_folder
from sfumato.checkpoints.catalogue import SUFFIXES as WEIGHTS
from sfumato.errors import CheckpointError, UnknownNameError

Sort = Literal["lora", "embedding", "vae", "control", "IP-Adapter", "upscaler"]
SUFFIXES: dict[Sort, tuple[str, ...]] = {
    "lora": WEIGHTS,
    "embedding": (*WEIGHTS, ".png"),
    "vae": WEIGHTS,
    "control": WEIGHTS,
    "IP-Adapter": WEIGHTS,
    "upscaler": WEIGHTS,
}
VARIABLES: dict[Sort, str] = {
    "lora": "SFUMATO_LORAS",
    "embedding": "SFUMATO_EMBEDDINGS",
    "vae": "SFUMATO_VAES",
    "control": "SFUMATO_CONTROLNETS",
    "IP-Adapter": "SFUMATO_IP_ADAPTERS",
    "upscaler": "SFUMATO_UPSCALERS",
}
ELSEWHERE: dict[Sort, tuple[str, ...]] = {
    "lora": ("loras",),
    "embedding": ("embeddings",),
    "vae": ("vae", "vae_approx"),
    "control": ("controlnet", "t2i_adapter"),
    "IP-Adapter": ("ipadapter", "ip_adapter"),
    "upscaler": ("upscale_models",),
}
"""What other programs call their folders."""
DIFFUSERS = "diffusion_pytorch_model"


def _files(sort: Sort) -> list[tuple[Path, Path]]:
    """The files in all folders, each after its folder.

    Pictures come last, for one beside weights of its name is what they paint, as is `NAME.preview.png`.
    """
    roots = [Path(root).expanduser() for root in os.environ.get(VARIABLES[sort], "").split(os.pathsep) if root]
    bundled = [bundled_folder("loras")] if sort == "lora" else []
    found = [
        (folder, path)
        for folder in (*roots, *extra_paths.folders(*ELSEWHERE[sort]), *bundled)
        for path in (sorted(folder.rglob("*")) if folder.is_dir() else ())
        if path.suffix.lower() in SUFFIXES[sort] and not path.name.endswith(".preview.png") and path.is_file()
    ]
    return sorted(found, key=lambda pair: pair[1].suffix.lower() not in WEIGHTS)


def available(sort: Sort) -> dict[str, Path]:
    """What can be named: files by their name without its ending, of equal names the first; those that diffusers names
    all alike by that of their folder.
    """
    found: dict[str, Path] = {}
    for _, path in _files(sort):
        found.setdefault(path.parent.name if path.stem.startswith(DIFFUSERS) else path.stem, path)
    return found


def _below(sort: Sort, name: str) -> Path | None:
    """The file whose path below its folder ends so, with its ending or without, parted by slashes of either kind."""
    parts = tuple(name.replace("\\", "/").split("/"))
    for folder, path in _files(sort):
        inner = path.relative_to(folder)
        if parts in (inner.parts[-len(parts) :], inner.with_suffix("").parts[-len(parts) :]):
            return path
    return None


def find(sort: Sort, name: str) -> Path:
    """The file of something given by name or path; a folder is one when it holds a single file of weights.

    Of a name, folders before it and its ending may be told: `X`, `X.safetensors`, `style/food/X`, `style\\food\\X`.

    Raises:
        UnknownNameError: no such name; near ones are offered.
        CheckpointError: a path that is no file of weights.
    """
    known = available(sort)
    if name in known:
        return known[name]
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if len(os.fsencode(path)) > MAX_PATH or "\0" in str(path):
        raise UnknownNameError(sort, f"{name[:40]}...", known)
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in WEIGHTS]
        if len(files) != 1:
            raise CheckpointError(f"{path} holds {len(files)} files of weights; name the one that is the {sort}")
        return files[0]
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES[sort]:
            raise CheckpointError(f"{path} is no {sort}; give a {WEIGHTS[0]} file")
        return path
    if below := _below(sort, name):
        return below
    if os.sep in name or "\\" in name or name.startswith(".") or path.suffix.lower() in SUFFIXES[sort]:
        raise CheckpointError(
            f"there is no file {path}, nor one of that name below {VARIABLES[sort]}; give the name or path of a {sort}"
        )
    raise UnknownNameError(sort, name[:200], known)
