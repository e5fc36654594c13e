"""Comparing autoencoders: the same pictures for all, figures in the order of quality, a sheet of the stated size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes.nano.compare_autoencoders import main

from sfumato.checkpoints.save import save_part
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig


def pixel_copy(folder: Path, error: float) -> Path:
    """An autoencoder of one position a pixel block that gives pictures back but for the tanh, `error` brighter."""
    config = AutoencoderFoldConfig(latent_channels=12, fold=2, channels=(12,), blocks=1)
    model = AutoencoderFold(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        convs = [m for part in (model.encoder, model.decoder) for m in part if isinstance(m, torch.nn.Conv2d)]
        for conv in convs:
            conv.weight[:, :, 1, 1] = torch.eye(12)
        # SiLU is the identity far above zero: shift before, shift back after, and keep tanh in its linear part
        convs[0].bias += 20
        convs[1].weight *= 0.05
        convs[1].bias -= 1.0
        convs[2].weight *= 20
        convs[2].bias += 20
        convs[3].bias += error - 20
    save_part(folder, "vae", model, config, torch.float32)
    return folder / "vae"


def test_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pictures.npy", rng.integers(120, 136, (6, 32, 32, 3), dtype=np.uint8))
    (tmp_path / "attributes.jsonl").write_text('{"kind": "a", "split": "validation"}\n' * 6)
    folders = [pixel_copy(tmp_path / name, error) for name, error in (("good", 0.0), ("bright", 0.2))]
    target = tmp_path / "sheet.png"
    main([*map(str, folders), "--data", str(tmp_path), "--sheet", str(target), "--rows", "2", "--crop", "16"])
    good, bright = map(json.loads, capsys.readouterr().out.splitlines())
    assert good["folder"] == str(folders[0])
    assert set(good) == {"folder", "psnr", "ssim"}, "no perceptual distance without a classifier"
    assert good["psnr"] > 50
    assert good["ssim"] > 0.99
    assert bright["psnr"] == pytest.approx(20.0, abs=0.1), "20 log10(2 / 0.2)"
    picture = Image.open(target)
    assert picture.size == (3 * 32 + 2 * 4, 2 * 32 + 4)
