"""The decoder of Stable Diffusion's autoencoder, of real size and random weights: packed, plain and diffusers, in turn.

    python -m benchmarks.decoder --pixels 512

One picture, in float32 or with `--precision bf16`. Equality: the relative L2 distance from diffusers' pixels in float32
is at most 3e-5 (rounding of some thirty layers), in bfloat16 at most 1.3 times that of diffusers in bfloat16; otherwise
the exit code is 1, and the ratio means nothing.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.nn.packed import pack
from sfumato.runtime.memory import total_memory
from sfumato.studio import FILTERS


@torch.inference_mode()
def main() -> int:
    """The command line."""
    from diffusers import AutoencoderKL as Peer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    arguments = parser.parse_args()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[arguments.precision]
    torch.manual_seed(0)
    config = AutoencoderKLConfig()
    networks = [AutoencoderKL(config).eval().requires_grad_(False) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    peer = Peer.from_config(config.to_json()).eval().requires_grad_(False)
    peer.load_state_dict(networks[0].state_dict())
    z = torch.randn(1, 4, arguments.pixels // 8, arguments.pixels // 8).contiguous(memory_format=torch.channels_last)
    right = peer.decode(z / config.scaling_factor).sample
    for network in (*networks, peer):
        network.to(dtype)
    z = z.to(dtype)
    pack([networks[0]], total_memory() // FILTERS)
    running: dict[str, Callable[[], Tensor]] = {
        "sfumato": lambda: networks[0].decode(z),
        "sfumato plain": lambda: networks[1].decode(z),
        "diffusers": lambda: peer.decode(z / config.scaling_factor).sample,
    }
    seconds: dict[str, list[float]] = {name: [] for name in running}
    pixels: dict[str, Tensor] = {}
    for turn in range(1 + arguments.rounds):  # the first runs the races, and is not counted
        for name, decode in list(running.items())[:: 1 if turn % 2 else -1]:
            since = time.perf_counter()
            pixels[name] = decode()
            seconds[name].append(time.perf_counter() - since)
        print(turn, *(f"{name} {times[-1]:.2f} s" for name, times in seconds.items()), flush=True)
    median = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    errors = {name: float((found.float() - right).norm() / right.norm()) for name, found in pixels.items()}
    ratios = {name: round(median["sfumato"] / value, 3) for name, value in median.items() if name != "sfumato"}
    facts = {"threads": torch.get_num_threads(), "pixels": arguments.pixels, "median_seconds": median}
    print(json.dumps({**facts, "our_time_by_theirs": ratios, "relative_error": errors}, indent=2))
    return 0 if errors["sfumato"] <= max(3e-5, 1.3 * errors["diffusers"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
