"""The most memory that a picture takes, from a fresh process to the file: Stable Diffusion 1.5 at 512, SDXL at 1024.

    python -m benchmarks.memory                    # all, told to keep to `MOST`; half an hour on two slow cores
    python -m benchmarks.memory sd1 --ram 3G
    python -m benchmarks.memory decoder            # the decoder alone, by bands, at 1024 x 1024
    python -m benchmarks.memory sd1 --ram free     # as fast as it goes

Models are of the published form and of random weights, one file in float16 as they are published (2.1 and 6.9 GB, in a
temporary folder). One guided step and the decoding take what any number of steps takes. What is counted is resident
memory with mapped files, as the system counts it for the one that waits for the process. The exit code is 1 where a
promise (`MOST`) is broken.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file

from sfumato.checkpoints.parts import built
from sfumato.checkpoints.tensors import read_tensors
from sfumato.models import bands
from sfumato.models.autoencoder_kl import AutoencoderKL
from sfumato.published import KL_XL
from sfumato.runtime.precision import choose

MOST = {
    "sd1": {"bf16": 3.0, "fp32": 5.0},
    "sdxl": {"bf16": 8.0, "fp32": 13.0},
    "decoder": {"bf16": 1.5, "fp32": 1.5},
}
"""GB at most, by what is run and number format."""
SIDES = {"sd1": 512, "sdxl": 1024, "decoder": 1024}


def write(name: str, path: Path) -> None:
    """The file of a model."""
    from sfumato.checkpoints.stand_in import write_stand_in
    from sfumato.published import CLIP_L_AND_G, SDXL

    if name == "sdxl":
        write_stand_in(path, unet=SDXL, vae=KL_XL, texts=CLIP_L_AND_G)
    elif name == "sd1":
        write_stand_in(path)
    else:
        autoencoder = AutoencoderKL(KL_XL)
        save_file({name: value.half() for name, value in autoencoder.state_dict().items()}, path)


@torch.inference_mode()
def decode(path: str, side: str, precision: str) -> None:
    """What the process does whose memory is the decoder's."""
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    state = read_tensors(Path(path))
    autoencoder = built(KL_XL, state, path, dtype=dtype, device=torch.device("cpu"), in_use=True)
    bands.decode(cast("AutoencoderKL", autoencoder), torch.randn(1, 4, int(side) // 8, int(side) // 8, dtype=dtype))


def peak(name: str, path: Path, precision: str, ram: str) -> dict[str, Any]:
    """Of one picture."""
    from sfumato.cli import bench

    side = SIDES[name]
    if name == "decoder":
        code = f"from benchmarks.memory import decode; decode(*{[str(path), str(side), precision]!r})"
        _, _, most = bench.ran([sys.executable, "-c", code])
        assert most is not None
        return {"side": side, "precision": precision, "peak_gb": round(most / 1e9, 2)}
    with tempfile.TemporaryDirectory() as folder:
        command = ["txt2img", "a lighthouse", "--model", str(path), "--size", f"{side}x{side}", "--steps", "1"]
        command += ["--seed", "1", "--precision", precision, "-o", f"{folder}/"]
        command += [] if ram == "free" else ["--ram", ram]
        cold = bench.cold(command, 1)
    assert cold.peak_bytes is not None
    return {"side": side, "precision": precision, "ram": ram, "peak_gb": round(cold.peak_bytes / 1e9, 2)}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=SIDES, help="all by default")
    parser.add_argument("--precision", choices=("bf16", "fp32"), help="by default what is faster on this machine")
    parser.add_argument("--ram", help="as txt2img has it, for example 4G; free for none")
    arguments = parser.parse_args()
    precision = arguments.precision or {"torch.bfloat16": "bf16"}.get(str(choose("cpu").dtype), "fp32")
    found, kept = {}, True
    for name in [arguments.model] if arguments.model else SIDES:
        with tempfile.TemporaryDirectory(prefix="sfumato-") as folder:
            path = Path(folder) / f"{name}.safetensors"
            write(name, path)
            most = MOST[name][precision]
            found[name] = peak(name, path, precision, arguments.ram or f"{most:g}G")
        kept &= found[name]["peak_gb"] <= most
        print(f"{name}: {found[name]['peak_gb']} GB, at most {most}", file=sys.stderr, flush=True)
    print("\n" + json.dumps(found, indent=2))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
