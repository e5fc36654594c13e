"""Samplers: plain generators of `Step`, from noise at ``sigmas[0]`` down to ``sigmas[-1]``.

A sampler calls ``denoise(x, sigma)``, which gives the clean estimate D, and moves ``x`` to the next level,
most of them by the one step of `step`. It knows nothing of networks, prompts or guidance. Preview, progress,
cancelling and saving are a ``for`` loop around it.

Every sampler takes a `Descent`: the denoiser, where to start, the levels, the noise and the path. The rows of
`SAMPLERS` take these one by one.

The step to sigma 0 returns exactly the D of the step; `lms` alone extrapolates. ValueError is raised, at the
first step, for sigmas which do not descend and for a missing noise source. How exact each sampler is, measured:
``docs/samplers.md``.

A new sampler is a function, in the file of its family, and a row of `table`:

=============  =========================================================================================
`ancestral`    one D a step, and any share of fresh noise: Euler, Euler a, DDIM, DDPM, LCM, TCD
`runge_kutta`  two evaluations a step: Heun, DPM2, DPM2 a, Restart
`multistep`    the noise of the steps before, carried on: LMS, PLMS, IPNDM, gradient estimation, DEIS
`dpmpp`        D of the steps before, or of half way, carried on: DPM++ 2M, 3M, 2S, 2S a, SDE, RES, UniPC, SA-Solver
`er_sde`       the same in the ratio of noise to signal, with noise of its own share: ER-SDE
`dpm_solver`   on levels of its own: DPM fast, DPM adaptive
=============  =========================================================================================

Flow models take all of them: Euler and Heun on the straight path are what is called flow Euler and flow Heun.

Papers: Karras et al. 2022 (arXiv:2206.00364); Ho et al. 2020 (DDPM, arXiv:2006.11239); Song et al. 2021 (DDIM,
arXiv:2010.02502); Lu et al. 2022 (DPM-Solver, arXiv:2206.00927, and DPM-Solver++, arXiv:2211.01095); Zhao et al.
2023 (UniPC, arXiv:2302.04867); Liu et al. 2022 (PNDM, arXiv:2202.09778); Zhang and Chen 2023 (DEIS,
arXiv:2204.13902); Luo et al. 2023 (LCM, arXiv:2310.04378); Zheng et al. 2024 (TCD, arXiv:2402.19159); Xu et al. 2023
(Restart, arXiv:2306.14878); Zhang et al. 2023 (RES, arXiv:2308.02157); Xue et al. 2023 (SA-Solver, arXiv:2309.05019);
Cui et al. 2023 (ER-SDE, arXiv:2309.06169); Permenter and Yuan 2024 (gradient estimation, arXiv:2306.04848).
"""

from ..descent import Descent
from ..step import Step
from .ancestral import euler, euler_a, lcm
from .orders import Orders
from .table import SAMPLERS, Sampler, SamplerFunction

__all__ = ["SAMPLERS", "Descent", "Orders", "Sampler", "SamplerFunction", "Step", "euler", "euler_a", "lcm"]
