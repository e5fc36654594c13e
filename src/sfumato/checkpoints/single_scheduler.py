"""How a checkpoint in one file is sampled: its scheduler, from metadata and from tensors that mark what it is.

**Epsilon or v.** Whether a Stable Diffusion 2 model predicts noise or v is in none of its names. In order: what the
caller says, or the web UI's `NAME.yaml` beside the file; a tensor named `v_pred`; our metadata;
`modelspec.prediction_type`; `modelspec.architecture` ending in `-v`; and else epsilon, which is wrong for the plain
768-pixel files of 2.0 and 2.1 and is said as a warning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from sfumato.checkpoints.header import Stated
from sfumato.checkpoints.shapes import ShapesByName
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError
from sfumato.families import Family
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.published import DDIM


def single_scheduler(
    shapes: ShapesByName,
    metadata: Mapping[str, str],
    stated: Stated,
    row: Family,
    *,
    open_clip: bool,
    prediction: Prediction | None,
) -> dict[str, Any]:
    """The `scheduler_config.json` that a file stands for.

    Args:
        row: the family by its networks.
        open_clip: a text encoder is OpenCLIP's.
        prediction: overrides what the file says.
    """
    config: dict[str, Any] = dict(DDIM if row.name == "custom" and open_clip else row.scheduler)
    spec = metadata.get("modelspec.prediction_type", "")
    if spec in ("v", "v_prediction") or metadata.get("modelspec.architecture", "").endswith("-v"):
        config["prediction_type"] = "v_prediction"
    if isinstance(own := stated.data.get("scheduler"), dict):
        config = {"prediction_type": config["prediction_type"], **own}
    if "v_pred" in shapes:
        config["prediction_type"] = "v_prediction"
    if prediction is not None:
        config["prediction_type"] = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    if "ztsnr" in shapes:
        # Lin et al. 2024, which also asks for timesteps that begin at the noisiest; PLMS cannot begin there.
        config = {
            **DDIM,
            "prediction_type": config["prediction_type"],
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
    return config


def tells_prediction(shapes: ShapesByName, metadata: Mapping[str, str], stated: Stated) -> bool:
    """Whether the file says what its network predicts."""
    architecture = metadata.get("modelspec.architecture", "")
    return (
        "v_pred" in shapes
        or "modelspec.prediction_type" in metadata
        or architecture.startswith("stable-diffusion-v2-")
        or "scheduler" in stated.data
    )


@dataclass(frozen=True)
class EDM:
    """A form of SDXL that is sampled as in Karras et al. 2022, by the tensor that marks it in a file."""

    mark: str
    title: str
    scheduler: Mapping[str, Any]
    ends: Mapping[str, str] = field(default_factory=dict)
    """Keys of the scheduler by the tensor that has their value."""
    statistics: Mapping[str, str] = field(default_factory=dict)
    """The autoencoder's numbers by channel, by the tensor that has them."""
    scaling_factor: float | None = None

    def sampled(
        self, vae: AutoencoderKLConfig, tensors: Mapping[str, Tensor], source: str
    ) -> tuple[dict[str, Any], AutoencoderKLConfig]:
        """Its scheduler, and the autoencoder with the numbers of its latents.

        Raises:
            CheckpointError: `tensors` lack what the form has, or have too many numbers.
        """

        def numbers(name: str) -> tuple[float, ...]:
            if name not in tensors:
                raise CheckpointError(f"{source} is marked as {self.title} but lacks {name!r}; get a sound copy")
            return tuple(map(float, tensors[name].flatten().tolist()))

        scheduler = {**self.scheduler, **{key: numbers(name)[0] for key, name in self.ends.items()}}
        stated: dict[str, Any] = {key: numbers(name) for key, name in self.statistics.items()}
        if any(len(values) != vae.latent_channels for values in stated.values()):
            raise CheckpointError(
                f"{source} is marked as {self.title} but has not {vae.latent_channels} numbers for latents"
            )
        factor = vae.scaling_factor if self.scaling_factor is None else self.scaling_factor
        return scheduler, replace(vae, **stated, scaling_factor=factor)


EDMS: tuple[EDM, ...] = (
    EDM(
        "edm_vpred.sigma_max",
        "CosXL",
        {
            "_class_name": "EDMEulerScheduler",
            "prediction_type": "v_prediction",
            "sigma_data": 1.0,
            "sigma_schedule": "exponential",
            "num_train_timesteps": 1000,
        },
        ends={"sigma_max": "edm_vpred.sigma_max", "sigma_min": "edm_vpred.sigma_min"},
    ),
    EDM(
        "edm_mean",
        "Playground v2.5",
        {
            "_class_name": "EDMDPMSolverMultistepScheduler",
            "prediction_type": "epsilon",
            "sigma_data": 0.5,
            "sigma_min": 0.002,
            "sigma_max": 80.0,
            "sigma_schedule": "karras",
            "num_train_timesteps": 1000,
        },
        statistics={"latents_mean": "edm_mean", "latents_std": "edm_std"},
        scaling_factor=0.5,
    ),
)


def edm_form(shapes: ShapesByName, stated: Stated) -> EDM | None:
    """The form of SDXL that a tensor marks, unless the header has the scheduler."""
    return None if "scheduler" in stated.data else next((form for form in EDMS if form.mark in shapes), None)
