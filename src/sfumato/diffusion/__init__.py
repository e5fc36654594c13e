"""The mathematics of diffusion: paths, parameterisations, schedules, denoisers, guidance, noise and samplers.

It imports nothing else of sfumato, opens no file and knows no picture format. Read it in this order: `path`,
`scalings`, `schedules`, `grids`, `denoiser`, `guidance`, `step`, `descent`, `samplers`.
"""

from .conditioning import Conditioning, batch
from .denoiser import Denoise, Denoiser, Network
from .descent import Descent
from .grids import GRIDS, Grid
from .guidance import classifier_free, renoised
from .noise import BrownianNoise, ImageNoise, NoiseSource
from .path import PATHS, STRAIGHT, VARIANCE_EXPLODING, VARIANCE_PRESERVING, Path
from .samplers import SAMPLERS, Orders, Sampler, Step
from .scalings import CLEAN, EDM, EPSILON, FLOW, PARAMETERISATIONS, Parameterisation, Scaling, V, edm
from .schedules import ContinuousSchedule, DiscreteSchedule, FlowSchedule, Schedule
from .spacing import Spacing

__all__ = [
    "CLEAN",
    "EDM",
    "EPSILON",
    "FLOW",
    "GRIDS",
    "PARAMETERISATIONS",
    "PATHS",
    "SAMPLERS",
    "STRAIGHT",
    "VARIANCE_EXPLODING",
    "VARIANCE_PRESERVING",
    "BrownianNoise",
    "Conditioning",
    "ContinuousSchedule",
    "Denoise",
    "Denoiser",
    "Descent",
    "DiscreteSchedule",
    "FlowSchedule",
    "Grid",
    "ImageNoise",
    "Network",
    "NoiseSource",
    "Orders",
    "Parameterisation",
    "Path",
    "Sampler",
    "Scaling",
    "Schedule",
    "Spacing",
    "Step",
    "V",
    "batch",
    "classifier_free",
    "edm",
    "renoised",
]
