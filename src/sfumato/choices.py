"""Names that people choose from, as types. Imports nothing, so that help texts are free of the engine.

Tests hold `Sampler` and `Schedule` equal to the tables of `sfumato.diffusion`.
"""

from typing import Literal

Sampler = Literal[
    "euler",
    "euler_a",
    "heun",
    "dpm_2",
    "dpm_2_a",
    "lms",
    "dpmpp_2s_a",
    "dpmpp_2s",
    "dpmpp_2m",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "dpm_fast",
    "dpm_adaptive",
    "restart",
    "ddpm",
    "ddim",
    "plms",
    "ipndm",
    "gradient_estimation",
    "unipc",
    "deis",
    "deis_2m",
    "res_multistep",
    "res_multistep_a",
    "er_sde",
    "sa_solver",
    "lcm",
    "tcd",
]

Schedule = Literal[
    "normal",
    "linspace",
    "leading",
    "trailing",
    "karras",
    "exponential",
    "polyexponential",
    "sgm_uniform",
    "simple",
    "ddim",
    "beta",
    "kl_optimal",
    "linear_quadratic",
    "align_your_steps",
    "shifted",
    "lcm",
]

Numerics = Literal["diffusers", "a1111"]

GuidanceMethod = Literal["cfg", "cfgpp", "apg", "perp_neg", "cfg_zero", "tcfg"]

Syntax = Literal["a1111", "comfy", "compel", "novelai", "plain"]

Upscaler = Literal["latent", "lanczos"]

DenoiseMethod = Literal["auto", "ours", "ensemble", "diffusion", "nlm", "tv", "wavelet"]

DeblurPrior = Literal["auto", "ours", "nlm", "tv"]

OwnUpscaler = Literal["auto", "ours", "painted", "lanczos", "bicubic", "diffusion"]
"""What enlarges pictures beside upscalers of other programs."""

NoiseKind = Literal["gaussian", "poisson"]

Prediction = Literal["epsilon", "v"]

Precision = Literal["auto", "bf16", "fp32", "fp16", "int8"]

Engine = Literal["auto", "plain", "packed"]

Preprocessor = Literal[
    "none", "canny", "lineart", "scribble", "softedge", "color", "tile", "blur", "invert", "segmentation"
]

Format = Literal["png", "jpeg", "webp", "avif", "tiff", "dicom"]

Browsable = Literal["png", "jpeg", "webp", "avif"]
"""Formats that browsers show, in which a service keeps pictures."""

Language = Literal["en", "zh"]
