"""The tiny autoencoder as its author names it: numbered layers, encoder and decoder in a file each, or below prefixes.

Names: https://github.com/madebyollin/taesd, where the decoder's layer 0 is the clamp, which has no weights here.
"""

from sfumato.checkpoints.rules import Move, Rule
from sfumato.models.autoencoder_tiny import AutoencoderTinyConfig


def encoder(config: AutoencoderTinyConfig, file: str = "", model: str = "encoder.") -> tuple[Rule, ...]:
    """The rules for the half in `taesd_encoder`."""
    layers = sum(config.num_encoder_blocks) + len(config.num_encoder_blocks) + 1
    return tuple(Move(f"{file}{i}", f"{model}layers.{i}") for i in range(layers))


def decoder(config: AutoencoderTinyConfig, file: str = "", model: str = "decoder.") -> tuple[Rule, ...]:
    """The rules for the half in `taesd_decoder`."""
    levels = len(config.num_decoder_blocks)
    layers = 2 + sum(config.num_decoder_blocks) + 2 * (levels - 1) + 1
    return tuple(Move(f"{file}{i + 1}", f"{model}layers.{i}") for i in range(layers))


def table(
    config: AutoencoderTinyConfig, file: tuple[str, str] = ("taesd_encoder.", "taesd_decoder."), model: str = ""
) -> tuple[Rule, ...]:
    """The rules for both halves in one file, below the prefixes `file`."""
    return (*encoder(config, file[0], f"{model}encoder."), *decoder(config, file[1], f"{model}decoder."))
