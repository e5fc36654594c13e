"""Names that people choose from, as types. Imports nothing, so that help texts are free of the engine.

Tests hold `Sampler` and `Schedule` equal to the tables of `sfumato.diffusion`.
"""

from typing import Literal

Sampler = Literal["euler", "euler_a", "heun", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "ddim", "unipc", "lcm", "plms"]

Schedule = Literal[
    "normal",
    "linspace",
    "leading",
    "trailing",
    "karras",
    "exponential",
    "sgm_uniform",
    "simple",
    "shifted",
    "lcm",
]

Syntax = Literal["a1111", "comfy", "compel", "plain"]

Precision = Literal["auto", "bf16", "fp32", "fp16"]

Format = Literal["png", "jpeg", "webp", "avif"]
