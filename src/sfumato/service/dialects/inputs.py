"""Inputs of ComfyUI's nodes: what a value may be, how it is read, and how ``/object_info`` describes it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.errors import UnknownNameError
from sfumato.metadata import names
from sfumato.metadata.gathering import brief
from sfumato.requests.fields import MAX_SEED
from sfumato.service.dialects.links import GraphError

MOST_STEPS = 1000


@dataclass(frozen=True)
class Input:
    """An input of a node.

    Attributes:
        type: of the link, or INT, FLOAT, STRING, COMBO.
        default: where it is left out; None: it must be given.
        range: least and most of a number.
        choices: what is offered of a COMBO.
        read: a COMBO's value in our terms; None where there is no such choice.
    """

    type: str
    default: Any = None
    range: tuple[float, float] | None = None
    choices: Callable[[], Sequence[str]] | None = None
    read: Callable[[str], Any] | None = None

    def value(self, given: object, name: str) -> Any:
        """A value that is no link, checked.

        Raises:
            GraphError: it breaks the input's rule.
        """
        match self.type:
            case "INT" | "FLOAT":
                return self._number(given, name)
            case "STRING":
                return str(given)
            case "COMBO":
                return self._chosen(given, name)
        raise GraphError("bad_linked_input", f"{name} {brief(given)} must be a link to a {self.type}", input=name)

    def _number(self, given: Any, name: str) -> Any:
        try:
            number = int(given) if self.type == "INT" else float(given)
        except (TypeError, ValueError, OverflowError):
            raise GraphError("invalid_input_type", f"{name} {brief(given)} is no {self.type}", input=name) from None
        if self.range is not None and not (isfinite(number) and self.range[0] <= number <= self.range[1]):
            sort = "smaller_than_min" if number < self.range[0] else "bigger_than_max"
            least, most = self.range
            raise GraphError(f"value_{sort}", f"{name} {brief(given)} must be {least} to {most}", input=name)
        return number

    def _chosen(self, given: object, name: str) -> Any:
        assert self.choices is not None
        known = self.choices()
        text = given if isinstance(given, str) else brief(given)
        found = (text if text in known else None) if self.read is None else self.read(text)
        if found is None:
            raise GraphError("value_not_in_list", str(UnknownNameError(name, text[:80], known)), input=name)
        return found

    @property
    def described(self) -> list[Any]:
        """The input as ``/object_info`` has it."""
        if self.type == "COMBO":
            assert self.choices is not None
            return [list(self.choices())]
        told = {} if self.default is None else {"default": self.default}
        if self.range is not None:
            told |= {"min": self.range[0], "max": self.range[1]}
        return [self.type, told | ({"multiline": True} if self.type == "STRING" else {})]


def _files(known: Callable[[], Mapping[str, Path]]) -> Input:
    """One of these, by its name or its file's."""

    def read(name: str) -> str | None:
        return name if any(name in (each, f"{each}{path.suffix}") for each, path in known().items()) else None

    return Input("COMBO", choices=lambda: list(known()), read=read)


def choice(*choices: str) -> Input:
    return Input("COMBO", choices=lambda: choices)


def _checkpoints() -> dict[str, Path]:
    return {info.name: info.path for info in catalogue.available()}


_THEIRS = (
    *("euler", "euler_cfg_pp", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast"),
    *("dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddpm", "lcm"),
    *("dpmpp_2m_sde_heun", "ipndm", "deis", "res_multistep", "res_multistep_ancestral", "gradient_estimation"),
    *("er_sde", "seeds_2", "sa_solver", "ddim", "uni_pc", "uni_pc_bh2"),
)
"""ComfyUI's names of samplers that are here."""
_GRIDS = (
    *("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform"),
    *("beta", "linear_quadratic", "kl_optimal"),
)
_UPLOADED = re.compile(r"([0-9a-f]{64})\.png(?: \[input\])?")


def _sampler_of(name: str) -> names.Named | None:
    found = names.read_sampler(name)
    return None if found.sampler is None else found


def _upload_of(name: str) -> str | None:
    found = _UPLOADED.fullmatch(name)
    return None if found is None else found[1]


CHECKPOINT = _files(_checkpoints)
LORA = _files(lambda: folders.available("lora"))
VAE = _files(lambda: folders.available("vae"))
OWN = ("ours", "painted", "lanczos", "bicubic")
UPSCALER = _files(lambda: dict.fromkeys(OWN, Path()) | folders.available("upscaler"))
SAMPLER = Input("COMBO", choices=lambda: list(dict.fromkeys((*_THEIRS, *names.SAMPLER_LABELS))), read=_sampler_of)
SCHEDULE = Input("COMBO", choices=lambda: _GRIDS, read=names.read_schedule)
IMAGE = Input("COMBO", choices=lambda: ("a name that POST /upload/image has given",), read=_upload_of)
SEED = Input("INT", 0, (0, MAX_SEED))
STEPS = Input("INT", 20, (1, MOST_STEPS))
CFG = Input("FLOAT", 8.0, (0, 100))
SIDE = Input("INT", 512, (16, 16384))
WEIGHT = Input("FLOAT", 1.0, (-100, 100))
