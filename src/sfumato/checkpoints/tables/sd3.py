"""A whole Stable Diffusion 3 or 3.5 checkpoint in one file: transformer, autoencoder and up to three text encoders.

The model's names are prefixed `transformer.`, `vae.` and `text_encoder.` to `text_encoder_3.`, after the folders of the
diffusers layout.
"""

from collections.abc import Collection

from sfumato.checkpoints.rules import Identity, Ignore, Move, Rule
from sfumato.checkpoints.tables import ldm_vae, mmdit, t5
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.mmdit import MMDiTConfig

FILES = {
    "text_encoder": "text_encoders.clip_l.transformer.",
    "text_encoder_2": "text_encoders.clip_g.transformer.",
    "text_encoder_3": "text_encoders.t5xxl.transformer.",
}
"""Where the text encoders are in the file."""
CLIPS = ("text_encoder", "text_encoder_2")
"""Those of CLIP, without which there is no condition."""


def clip(config: CLIPTextConfig, part: str, *, projected: bool) -> tuple[Rule, ...]:
    """The rules for one of the CLIP encoders.

    Args:
        projected: its projection is in the file; else it is the identity, as that of CLIP-L is in published files.
    """
    file = FILES[part]
    above = file.removesuffix("transformer.")
    name = f"{part}.text_projection.weight"
    return (
        Ignore(f"{file}text_model.embeddings.position_ids$".replace(".", r"\."), "a constant that old files carry"),
        Ignore(f"{above}(transformer.)?logit_scale$".replace(".", r"\."), "of CLIP's comparison with pictures"),
        Move(f"{file}text_model", f"{part}.text_model"),
        Move(f"{file}text_projection", f"{part}.text_projection") if projected else Identity(name, config.hidden_size),
    )


def table(
    transformer: MMDiTConfig,
    vae: AutoencoderKLConfig,
    texts: dict[str, CLIPTextConfig],
    *,
    projected: Collection[str],
    with_t5: bool,
    linear_vae: bool = False,
) -> tuple[Rule, ...]:
    """The rules for a checkpoint of these parts.

    Args:
        projected: the CLIP encoders whose projection is in the file.
    """
    rules = [*mmdit.table(transformer, model="transformer."), *ldm_vae.table(vae, model="vae.", linear=linear_vae)]
    for part, config in texts.items():
        rules += clip(config, part, projected=part in projected)
    return (*rules, *(t5.table(model="text_encoder_3.") if with_t5 else ()))
