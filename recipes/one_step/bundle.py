"""nano's student as it is bundled: ``python -m recipes.one_step.bundle runs/turbo/run/export/nano-turbo.safetensors``.

The same tensors; of the metadata what says how it was made, not what every caption said.
"""

import argparse
from pathlib import Path

from safetensors import safe_open

from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.save import write_tensors

LEFT_OUT = ("ss_tag_frequency", "ss_dataset_dirs", "ss_bucket_info")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    with safe_open(given.file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        metadata = {name: value for name, value in (opened.metadata() or {}).items() if name not in LEFT_OUT}
    target = bundled_folder("loras") / given.file.name
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    write_tensors(target, tensors, metadata)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
