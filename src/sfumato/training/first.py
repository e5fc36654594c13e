"""A first training TOML for people's own pictures: the bundled model learns them, with a comment on every setting."""

import json
from pathlib import Path
from typing import Any

from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.folder import read_json
from sfumato.errors import OutputError, TrainingError
from sfumato.files import write_atomic
from sfumato.training.data import Attributes, Pictures, captions_of
from sfumato.training.latents import autoencoder_form
from sfumato.training.text_to_image import require_fit

MODEL = "nano"
BATCH = 32
EPOCHS = 30
STEPS = 300, 20_000
"""Fewest and most, whatever the number of pictures."""
PROMPTS = 4

TEMPLATE = """\
# {model} learns your pictures: {data}, {train} to learn from and {held_out} held out, {size} px.
#
#   train            sfumato train {name}
#                    Ctrl-C stops it; the same command goes on from the last checkpoint.
#   watch            {run}/sheets, {run}/log.jsonl, tensorboard --logdir {run}
#   paint with it    sfumato txt2img "..." --model {run}/export
task = "denoiser"
data = {data_string}
start = {start}  # begin as the bundled model, which has learned drawings, not photos
autoencoder = {autoencoder}  # how pictures become latents; stays as it is
prediction = "flow"  # what the network predicts, and
shift = {shift}  # how far its noise levels lean towards noise: those of the model it begins as
caption_dropout = 0.1  # share of the captions left empty, without which guidance would not work
validation = {validation}  # held-out pictures by which the loss is judged
guidance = {guidance}  # of the sheets
prompts = [  # painted on the sheets: at first captions of held-out pictures; write your own
{prompts}]
# views = 4  # with the table [augment] below: three altered copies of each picture besides itself

[text]  # the form of the text encoder and
window = {window}
width = {width}
layers = {layers}
heads = {heads}

[network]  # of the U-Net: those of the model it begins as
channels = {channels}
heads = {network_heads}
cross_attention = {cross_attention}
layers = {network_layers}

# [augment]
# flip = 0.5  # share that is mirrored; not where captions say left or right, or writing is seen
# crop = [0.8, 1.0]  # share of the area that a copy shows
# colour = 0.1  # brightness, contrast and saturation by up to 10 %

[loop]
steps = {steps}  # {epochs} times through the pictures; more is better until validation/loss rises
batch = {batch}  # pictures a step; fewer if memory is short
learning_rate = 1e-4  # lower if the sheets get worse, higher if nothing changes
muon = false  # AdamW: Muon, by which the model itself was trained, takes as long as some ten pictures a step
warmup = 50
decay = {decay}  # the learning rate falls to zero over the last so many steps
ema = 0.99  # what is exported is an average of the weights over about the last 100 steps
log_every = 10
validate_every = {every}
sheet_every = {every}
save_every = 50  # so many steps a stop costs at most
# processes = 2  # with accumulate = 2, on two cores or more: side by side, each with half the threads
"""


def write_first(data: Path, config: Path | None = None) -> Path:
    """Write a TOML for the pictures that `prepare` put into `data`, by default named like the folder, and return it.

    Raises:
        TrainingError: no such pictures, none held out, without captions, or of a size that the model cannot learn.
        OutputError: the file is there already or cannot be written.
    """
    target = config if config is not None else Path(f"{data.resolve().name}.toml")
    text = first_config(data, target)
    try:
        write_atomic(target, text.encode(), replace=False)
    except FileExistsError:
        raise OutputError(
            f"{target} is there already; name another file, as in: sfumato train mine.toml --init {data}"
        ) from None
    return target


def first_config(data: Path, target: Path) -> str:
    """The text of that TOML."""
    pictures = Pictures.for_training(data)
    captions_of(pictures, None)
    for path in (data, target):
        if not str(path).isprintable():
            raise TrainingError(f"{path} has characters in its name that no TOML should have; rename it")
    folder = bundled_folder(MODEL)
    network, text, scheduler = (
        read_json(folder / part)
        for part in ("unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json")
    )
    require_fit(pictures, autoencoder_form(folder / "vae").factor, len(network["block_out_channels"]))
    train, held_out = len(pictures.train), len(pictures.validation)
    steps = min(max(STEPS[0], EPOCHS * train // BATCH), STEPS[1])
    prompts = [_said(pictures.attributes[i]) for i in pictures.validation[:PROMPTS].tolist()]
    return TEMPLATE.format(
        model=MODEL,
        data=data,
        train=train,
        held_out=held_out,
        size=pictures.size,
        name=target,
        run=Path("runs") / target.stem,
        data_string=_toml(str(data)),
        start=_toml(str(folder)),
        autoencoder=_toml(str(folder / "vae")),
        shift=_toml(scheduler["shift"]),
        validation=min(256, held_out),
        guidance=3.0,
        prompts="".join(f"  {_toml(prompt)},\n" for prompt in dict.fromkeys(prompts)),
        window=text["max_position_embeddings"],
        width=text["hidden_size"],
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        channels=_toml(network["block_out_channels"]),
        network_heads=_toml(network["attention_head_dim"]),
        cross_attention=_toml([kind.startswith("CrossAttn") for kind in network["down_block_types"]]),
        network_layers=network["layers_per_block"],
        steps=steps,
        epochs=round(steps * BATCH / train),
        batch=BATCH,
        decay=steps // 3,
        every=max(50, steps // 10),
    )


def _said(attributes: Attributes) -> str:
    return str(next(iter(attributes.get("captions", ())), attributes.get("caption")))


def _toml(value: Any) -> str:
    """A text, a number or a list of them in TOML, whose basic strings are JSON's but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
