"""What a picture was painted with, beside its request: where both agree, painting it again gives the same pixels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sfumato.metadata.infotext import Infotext

HASH_DIGITS = 10


@dataclass(frozen=True)
class Provenance:
    """What painted a picture, written down where it was painted.

    Attributes:
        model_hash: of the denoiser's weights file, SHA-256 in hexadecimal, the first digits or all.
        precision: ``fp32``, ``bf16`` or ``fp16``, the networks' number format.
        device: its kind, as ``cpu``.
        torch: version of the engine.
        lora_hashes: of the LoRAs, by name, as A1111 and Civitai cut them; embedding_hashes likewise.
        vae_hash: SHA-256 of an autoencoder that is not the model's own.
        control_hashes: of the networks of controls, by name: the first digits of their files' SHA-256.
        refiner_hash: as model_hash, of the model that ended the painting.
        engine: ``plain``, or ``packed`` where weights were laid out for the machine.
        caption: what was encoded in the place of the prompt, by the model's lexicon.
    """

    model_hash: str
    precision: str = "fp32"
    device: str = "cpu"
    torch: str = ""
    lora_hashes: Mapping[str, str] = field(default_factory=dict)
    embedding_hashes: Mapping[str, str] = field(default_factory=dict)
    vae_hash: str = ""
    control_hashes: Mapping[str, str] = field(default_factory=dict)
    refiner_hash: str = ""
    engine: str = "plain"
    caption: str = ""

    @classmethod
    def read(cls, info: Infotext) -> Self | None:
        """The provenance that `fields` wrote down, its hashes cut to 10 digits; None if there is none."""
        names = ("Model hash", "Precision", "Device", "Torch")
        if not all(name in info.fields for name in names):
            return None
        model_hash, precision, device, torch = (info.fields[name] for name in names)
        listed = ("Lora hashes", "TI hashes", "ControlNet hashes")
        loras, embeddings, controls = (_hashes(info.fields.get(name, "")) for name in listed)
        vae, refiner, caption = (info.fields.get(name, "") for name in ("VAE hash", "Refiner hash", "Caption"))
        engine = info.fields.get("Engine", "plain")
        return cls(model_hash, precision, device, torch, loras, embeddings, vae, controls, refiner, engine, caption)

    def fields(self) -> dict[str, str]:
        """Fields of an infotext, under A1111's keys where it has one."""
        values = {
            "Model hash": self.model_hash[:HASH_DIGITS],
            "VAE hash": self.vae_hash[:HASH_DIGITS],
            "Refiner hash": self.refiner_hash[:HASH_DIGITS],
            "Precision": self.precision,
            "Device": self.device,
            "Torch": self.torch,
            "Engine": "" if self.engine == "plain" else self.engine,
            "Lora hashes": _listed(self.lora_hashes),
            "TI hashes": _listed(self.embedding_hashes),
            "ControlNet hashes": _listed(self.control_hashes),
            "Caption": self.caption,
        }
        return {key: value for key, value in values.items() if value}

    def differences(self, other: Self) -> tuple[str, ...]:
        """In words, what `other` has otherwise."""
        rows = (
            ("model hash", self.model_hash[:HASH_DIGITS], other.model_hash[:HASH_DIGITS]),
            ("VAE hash", self.vae_hash[:HASH_DIGITS] or "none", other.vae_hash[:HASH_DIGITS] or "none"),
            ("refiner hash", self.refiner_hash[:HASH_DIGITS] or "none", other.refiner_hash[:HASH_DIGITS] or "none"),
            ("precision", self.precision, other.precision),
            ("device", self.device, other.device),
            ("torch", self.torch, other.torch),
            ("engine", self.engine, other.engine),
            ("LoRA hashes", _listed(self.lora_hashes) or "none", _listed(other.lora_hashes) or "none"),
            ("embedding hashes", _listed(self.embedding_hashes) or "none", _listed(other.embedding_hashes) or "none"),
            ("ControlNet hashes", _listed(self.control_hashes) or "none", _listed(other.control_hashes) or "none"),
            ("caption", repr(self.caption), repr(other.caption)),
        )
        return tuple(f"{name} {ours}, now {theirs}" for name, ours, theirs in rows if ours != theirs)


def _listed(hashes: Mapping[str, str]) -> str:
    return ", ".join(f"{re.sub('[,:]', '_', name)}: {digits}" for name, digits in hashes.items())


def _hashes(text: str) -> dict[str, str]:
    pairs = (pair.rpartition(":") for pair in text.split(",") if ":" in pair)
    return {name.strip(): digits.strip() for name, _, digits in pairs}
