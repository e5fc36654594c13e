"""What editing costs beside painting, with nano: `python -m benchmarks.edit_step`, from the repository root.

In turn, so that a busy machine slows all alike: txt2img, img2img at strength 0.5, and inpainting from noise, which has
as many steps as txt2img. The least of all rounds, which other programs disturb least, of whole requests with the model
loaded, and of a step.
"""

import argparse
import time

from PIL import Image

from sfumato import Studio
from sfumato.requests import Img2Img, Inpaint, Request, Txt2Img

PROMPT = "flat cartoon portrait, red curly hair, smile, green hoodie, light blue background"
LIMITS = {"img2img at strength 0.5, all of it": 0.6, "inpaint, a step": 1.1}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16)
    options = parser.parse_args()
    studio = Studio()
    picture = studio.txt2img(PROMPT, seed=1, steps=2)[0]
    picture = Image.frombytes("RGB", picture.size, picture.tobytes())
    shared = {"prompt": PROMPT, "seed": 1, "steps": options.steps}
    requests: dict[str, Request] = {
        "txt2img": Txt2Img.build(**shared),
        "img2img": Img2Img.build(**shared, image=picture, strength=0.5),
        "inpaint": Inpaint.build(**shared, image=picture, box=(64, 64, 128, 128), strength=1.0),
    }
    whole: dict[str, list[float]] = {name: [] for name in requests}
    step: dict[str, list[float]] = {name: [] for name in requests}
    for request in requests.values():  # the first of each warms up
        studio.run(request)
    for _ in range(options.rounds):
        for name, request in requests.items():
            begun = time.perf_counter()
            result = studio.run(request)
            whole[name].append(time.perf_counter() - begun)
            step[name].append(1 / result.timings["steps_per_second"])
    for name in requests:
        print(f"{name:8} {min(whole[name]):6.2f} s, a step {min(step[name]):.3f} s")
    ratios = {
        "img2img at strength 0.5, all of it": min(whole["img2img"]) / min(whole["txt2img"]),
        "inpaint, a step": min(step["inpaint"]) / min(step["txt2img"]),
    }
    for what, ratio in ratios.items():
        print(f"{what}: {ratio:.2f} of txt2img, at most {LIMITS[what]:g}: {'yes' if ratio <= LIMITS[what] else 'no'}")


if __name__ == "__main__":
    main()
