"""What PEFT says of an adapter beside its tensors: in `adapter_config.json`, or in the metadata that diffusers writes.

Alphas and ranks of single modules are told by patterns, which are regular expressions: a key counts for the modules
whose name, or whose last parts, it matches (`get_pattern_key` in PEFT). They come out of a file, so they are matched
by a library that stops when its time is over.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sfumato.adapters.kinds import MisfitError, Parts
from sfumato.adapters.rotations import cayley, neumann, skew, within_each
from sfumato.checkpoints.catalogue import SUFFIXES
from sfumato.checkpoints.tensor_file import TensorFile
from sfumato.errors import CheckpointError

ROOT = "base_model.model."
"""Before every name in PEFT's own files."""
METHODS = ("LORA", "LOHA", "LOKR", "IA3", "OFT")
"""Values of `peft_type` that are read."""
VARIANTS: Mapping[str, str] = {
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "layer_replication": "LoRA with replicated layers",
}
"""Settings of LoRA that make it another method, unless they are empty."""
REWRITING = ("pissa", "corda", "olora", "lora_ga", "loftq")
"""Beginnings of `init_lora_weights` with which PEFT changes the model's own weights, too, before it adds."""
MATCHING_SECONDS = 5.0
LONGEST_PATTERN = 2000
LARGEST = 2**24
"""Bytes of an `adapter_config.json`."""


class _Matcher:
    """Regular expressions on names, for at most `MATCHING_SECONDS` in all."""

    def __init__(self) -> None:
        self.left = MATCHING_SECONDS

    def __call__(self, pattern: str, name: str) -> bool:
        """Whether the whole name matches.

        Raises:
            MisfitError: it is no regular expression, or it takes too long.
        """
        import regex  # which takes as long to import as an adapter to read

        shown = repr(pattern if len(pattern) <= 80 else f"{pattern[:80]}...")
        if len(pattern) > LONGEST_PATTERN:
            raise MisfitError(f"the pattern {shown} of its configuration has {len(pattern)} characters")
        begun = time.monotonic()
        try:
            if self.left <= 0:
                raise TimeoutError
            return regex.fullmatch(pattern, name, timeout=self.left) is not None
        except TimeoutError as error:
            raise MisfitError(f"the pattern {shown} of its configuration takes too long to match") from error
        except (regex.error, RecursionError, OverflowError) as error:
            raise MisfitError(f"the pattern {shown} of its configuration is no regular expression") from error
        finally:
            self.left -= time.monotonic() - begun


@dataclass(frozen=True)
class PeftConfig:
    """PEFT's configuration of an adapter; without one, everything is as the tensors say."""

    parts: Mapping[str, Mapping[str, Any]]
    """Configurations by component of the model; "" for any."""
    _matches: _Matcher = field(default_factory=_Matcher)

    @classmethod
    def read(cls, file: TensorFile) -> "PeftConfig":
        """From the metadata of a file, else from `adapter_config.json` beside a file of PEFT's names: beside
        `adapter_model`, as PEFT calls it, or by any name that is the only one in its folder.

        Raises:
            CheckpointError: it cannot be read.
        """
        path, text = file.path, file.metadata.get("lora_adapter_metadata")
        beside = path.with_name("adapter_config.json")
        try:
            if text is not None:
                parts: dict[str, dict[str, Any]] = {}
                for key, value in json.loads(text).items():
                    component, _, name = key.rpartition(".")
                    parts.setdefault(component, {})[name] = value
                return cls(parts)
            if beside.is_file() and _is_by_peft(file):
                if beside.stat().st_size > LARGEST:
                    raise ValueError(f"it has over {LARGEST >> 20} MiB")
                return cls({"": dict(json.loads(beside.read_text(encoding="utf-8")))})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: its configuration is not as PEFT writes it ({error})") from error
        return cls({})

    @property
    def foreign(self) -> str:
        """The method that it names and that is not read here, or empty."""
        for config in self.parts.values():
            method, begun = str(config.get("peft_type", "LORA")), str(config.get("init_lora_weights", ""))
            if method.upper() not in METHODS:
                return f"{method[:40]} of PEFT"
            for key, name in VARIANTS.items():
                if config.get(key):
                    return f"{name} of PEFT"
            if begun.lower().startswith(REWRITING):
                return (
                    f"a LoRA that PEFT began by {begun[:40]}, which changes the model's weights too; "
                    "save it with path_initial_model_for_weight_conversion"
                )
        return ""

    def _for(self, module: str) -> tuple[Mapping[str, Any], str]:
        """The configuration of a module's component, and the module's name in it."""
        component, _, inner = module.partition(".")
        return (self.parts[component], inner) if component in self.parts else (self.parts.get("", {}), module)

    def _number(self, config: Mapping[str, Any], key: str, patterns: str, module: str) -> float | None:
        """What is set for a module, by the first pattern that matches or in common."""
        found, patterned = config.get(key), config.get(patterns) or {}
        if not isinstance(patterned, Mapping):
            raise MisfitError(f"its {patterns} is {patterned!r}, no table")
        for pattern, value in patterned.items():
            if self._matches(rf"(.*\.)?({pattern})", module):
                found = value
                break
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise MisfitError(f"its {key} is {found!r}, no number")
        return float(found)

    def scale(self, module: str, parts: Parts, alpha: float | None, rank: int | None) -> float:
        """alpha / rank of a module (with rsLoRA alpha / sqrt(rank)); 1 where either is not told.

        Raises:
            MisfitError: numbers that are none, or that the tensors contradict.
        """
        config, inner = self._for(module)
        stated = self._number(config, "alpha" if "alpha" in config else "lora_alpha", "alpha_pattern", inner)
        if alpha is not None and stated is not None and not math.isclose(alpha, stated, rel_tol=1e-2):  # of bfloat16
            raise MisfitError(f"its alpha is {alpha:g} and its configuration says {stated:g}; which holds is not told")
        alpha = stated if alpha is None else alpha
        if alpha is None:
            return 1.0
        told = self._number(config, "r", "rank_pattern", inner)
        if rank is not None and told is not None and rank != told:
            raise MisfitError(f"its rank is {rank} and its configuration says {told:g}; they are of different adapters")
        if "use_dora" in config and bool(config["use_dora"]) != ("dora_scale" in parts):
            there = "are there" if "dora_scale" in parts else "are missing"
            raise MisfitError(f"DoRA's magnitudes {there} and its configuration says use_dora={config['use_dora']!r}")
        of = told if rank is None else rank
        if not math.isfinite(alpha) or of == 0:
            raise MisfitError(f"alpha is {alpha} for rank {of}")
        return 1.0 if of is None else alpha / (math.sqrt(of) if config.get("use_rslora") is True else of)

    def scales_columns(self, module: str) -> bool:
        """Whether PEFT's IA3 acts on what goes into a module.

        Raises:
            MisfitError: a pattern that cannot be matched.
        """
        config, inner = self._for(module)
        listed = config.get("feedforward_modules") or []
        if isinstance(listed, str):
            return self._matches(listed, inner)
        return isinstance(listed, list) and any(inner.endswith(str(name)) for name in listed)

    def rotations(self, upper: Tensor) -> Tensor:
        """PEFT's rotations, of which a file holds the upper triangles.

        Raises:
            MisfitError: numbers that fill no triangles, or settings that are no numbers.
        """
        config = self.parts.get("", {})
        terms, most = config.get("num_cayley_neumann_terms", 5), config.get("eps", 6e-5)
        if upper.ndim != 2 or not isinstance(terms, int) or not 0 < terms < 100 or not isinstance(most, int | float):
            raise MisfitError(
                f"oft_R of the shape {tuple(upper.shape)} with {terms} terms and eps {most} is no rotation"
            )
        try:
            q = skew(upper)
        except ValueError as error:
            raise MisfitError(f"of oft_R, {error}") from error
        if config.get("coft") is True:
            q = within_each(q, most / math.sqrt(len(q)))
        # By the series it is about the inverse of what it is without.
        return cayley(-q) if config.get("use_cayley_neumann") is False else neumann(q, terms)


def _is_by_peft(file: TensorFile) -> bool:
    if file.path.stem == "adapter_model":
        return True
    if not any(name.startswith(ROOT) for name in file.shapes):
        return False
    return sum(path.suffix.lower() in SUFFIXES for path in file.path.parent.iterdir()) == 1
