"""Pictures of tools that write a JSON object, or a text a setting, become requests, and what is lost is said."""

import json
from typing import Any

import pytest

from sfumato.metadata.carriers import read
from sfumato.metadata.readers import restore
from tests.metadata.pictures import encoded, exif_jpeg, hidden, jpeg, options, restored, segment, tiff

EXPECTED: dict[str, Any] = {
    **{"prompt": "a cat", "negative": "fog", "steps": 20, "sampler": "dpmpp_2m", "schedule": "karras"},
    **{"guidance": 7.0, "seed": 1, "width": 512, "height": 768, "model": "v1-5", "clip_skip": 2},
}
LORAS = {"loras": ({"name": "ink", "weight": 0.5, "text_weight": None},)}


def test_invokeai() -> None:
    data = {
        **{"generation_mode": "txt2img", "positive_prompt": "a cat", "negative_prompt": "fog", "width": 512},
        **{"height": 768, "seed": 1, "rand_device": "cpu", "cfg_scale": 7, "steps": 20, "scheduler": "dpmpp_2m_k"},
        **{
            "clip_skip": 1,
            "model": {"name": "v1-5", "base": "sd-1"},
            "loras": [{"model": {"name": "ink"}, "weight": 0.5}],
        },
        **{"controlnets": [], "vae": None, "app_version": "4.2.0"},
    }
    found = restored(invokeai_metadata=json.dumps(data))
    assert (found.source, options(found)) == (
        "InvokeAI",
        {**EXPECTED, "prompt_syntax": "compel", "loras": ({"name": "ink", "weight": 0.5, "text_weight": None},)},
    )
    assert found.unrestored == ()


def test_novelai() -> None:
    comment = {
        **{"prompt": "a cat", "uc": "fog", "steps": 20, "width": 512, "height": 768, "scale": 7.0, "seed": 1},
        **{"sampler": "k_euler_ancestral", "noise_schedule": "karras", "sm": True, "cfg_rescale": 0.0},
    }
    found = restored(Software="NovelAI", Description="a cat", Source="SD XL 9CC2F394", Comment=json.dumps(comment))
    expected = {name: value for name, value in EXPECTED.items() if name not in ("model", "clip_skip")}
    assert (found.source, options(found)) == (
        "NovelAI",
        {**expected, "sampler": "euler_a", "prompt_syntax": "novelai"},
    )
    assert found.unrestored == ("model SD XL 9CC2F394", "sm: True")


def test_diffusers() -> None:
    data = {
        **{"prompt": "a cat", "negative_prompt": "fog", "num_inference_steps": 20, "guidance_scale": 7, "seed": 1},
        **{"width": 512, "height": 768, "scheduler": "EulerDiscreteScheduler", "model_id": "org/name", "eta": 0.5},
    }
    found = restored(metadata=json.dumps(data))
    expected = {name: value for name, value in EXPECTED.items() if name not in ("schedule", "clip_skip")}
    assert (found.source, options(found)) == (
        "diffusers",
        {**expected, "sampler": "euler", "model": "org/name", "prompt_syntax": "plain"},
    )
    assert found.unrestored == ("eta: 0.5",)


@pytest.mark.parametrize(
    ("scheduler", "sampler", "schedule"),
    [
        ("kdpm_2", "dpm_2", None),
        ("kdpm_2_k", "dpm_2", "karras"),
        ("kdpm_2_a", "dpm_2_a", None),
        ("kdpm_2_a_k", "dpm_2_a", "karras"),
        ("deis", "deis_2m", None),
        ("deis_k", "deis_2m", "karras"),
        ("euler_a", "euler_a", None),
        ("unipc", "unipc", None),
        ("pndm", "plms", None),
    ],
)
def test_invokeai_schedulers(scheduler: str, sampler: str, schedule: str | None) -> None:
    found = restored(invokeai_metadata=json.dumps({"positive_prompt": "a", "scheduler": scheduler}))
    assert (found.request.sampler, found.request.schedule, found.unrestored) == (sampler, schedule, ())


def test_invokeai_3_names_its_models_otherwise() -> None:
    data = {
        **{"positive_prompt": "a", "model": {"model_name": "x", "base_model": "sdxl"}, "vae": {"model_name": "fix"}},
        **{"loras": [{"lora": {"model_name": "ink"}, "weight": 0.5}], "rand_device": "cuda"},
    }
    found = restored(invokeai_metadata=json.dumps(data))
    assert options(found) == {"prompt": "a", "model": "x", "vae": "fix", "prompt_syntax": "compel", **LORAS}
    assert found.unrestored == ("rand_device: cuda",)


def test_invokeai_2() -> None:
    image = {
        **{"prompt": [{"prompt": "a (cat)+ [fog]", "weight": 1.0}], "steps": 20, "cfg_scale": 7, "threshold": 0},
        **{"perlin": 0, "height": 768, "width": 512, "seed": 1, "seamless": False, "type": "txt2img"},
        **{"sampler": "k_dpmpp_2", "postprocessing": None, "variations": []},
    }
    data = {"model": "stable diffusion", "model_weights": "v1-5", "app_version": "2.3.0", "image": image}
    found = restored(**{"sd-metadata": json.dumps(data)})
    common = {name: EXPECTED[name] for name in ("negative", "steps", "guidance", "seed", "width", "height")}
    expected = {**common, "prompt": "a (cat)+", "prompt_syntax": "compel"}
    assert (found.source, options(found)) == ("InvokeAI", {**expected, "model": "v1-5"})
    assert found.unrestored == ("sampler k_dpmpp_2 has no counterpart here",)
    dream = r'"a (cat)+ [fog]" -s 20 -S 1 -W 512 -H 768 -C 7.0 -A k_lms -G 0.9'
    found = restored(Dream=dream)
    assert (found.source, options(found)) == ("InvokeAI", {**expected, "sampler": "lms"})
    assert found.unrestored == ("-G 0.9",)


NAI: dict[str, Any] = {
    **{"prompt": "{{pier}}, [[fog]], 1.5::lamp::", "uc": "blurry", "steps": 28, "width": 832, "height": 1216},
    **{"scale": 5.0, "seed": 12, "sampler": "k_euler_ancestral", "noise_schedule": "karras"},
}
NAI_SAID = {
    **{"prompt": NAI["prompt"], "negative": "blurry", "prompt_syntax": "novelai", "steps": 28, "width": 832},
    **{"height": 1216, "guidance": 5.0, "seed": 12, "sampler": "euler_a", "schedule": "karras"},
}
ENVELOPE = json.dumps({"Comment": json.dumps(NAI), "Software": "NovelAI", "Description": NAI["prompt"]})


@pytest.mark.parametrize(
    "data",
    [
        exif_jpeg(tiff(b"ASCII\0\0\0" + ENVELOPE.encode())),
        encoded("webp", exif=b"Exif\0\0" + tiff(b"ASCII\0\0\0" + ENVELOPE.encode())),
        hidden(ENVELOPE, b"stealth_pngcomp"),
    ],
    ids=["jpeg", "webp", "alpha"],
)
def test_novelai_in_every_carrier(data: bytes) -> None:
    found = restore(read(data))
    assert (found.source, options(found), found.unrestored) == ("NovelAI", NAI_SAID, ())


def test_novelai_1_has_its_prompt_in_the_description() -> None:
    data = {name: value for name, value in NAI.items() if name != "prompt"}
    found = restored(Software="NovelAI", Description=NAI["prompt"], Comment=json.dumps(data))
    assert (options(found), found.unrestored) == (NAI_SAID, ())


def test_novelai_4_has_characters() -> None:
    def captions(base: str, *characters: str) -> dict[str, Any]:
        rows = [{"char_caption": words, "centers": []} for words in characters]
        return {"caption": {"base_caption": base, "char_captions": rows}, "use_coords": False}

    data = {**NAI, "v4_prompt": captions("x", "girl, smile", ""), "v4_negative_prompt": captions("y", "frown")}
    found = restored(Software="NovelAI", Comment=json.dumps(data))
    assert options(found) == NAI_SAID
    assert found.unrestored == ("a character's prompt: girl, smile", "a character's negative: frown")


FOOOCUS = {
    **{"prompt": "a cat", "negative_prompt": "fog", "guidance_scale": 7, "steps": 20, "sampler": "dpmpp_2m"},
    **{"scheduler": "karras", "resolution": "(512, 768)", "seed": "1", "clip_skip": 2, "base_model": "v1-5"},
    **{"lora_combined_1": "ink.safetensors : 0.5", "lora_combined_2": "False : no : 1", "vae": "Default (model)"},
    **{"metadata_scheme": "fooocus", "version": "Fooocus v2.5.0", "refiner_model": "None", "styles": "['Cinematic']"},
}
FOOOCUS_LOG = {
    **{"Prompt": "a cat", "Negative Prompt": "fog", "Guidance Scale": 7.0, "Steps": 20, "Sampler": "dpmpp_2m"},
    **{"Scheduler": "karras", "Resolution": "(512, 768)", "Seed": 1, "CLIP Skip": 2, "Base Model": "v1-5"},
    **{"LoRA 1": "ink.safetensors : 0.5", "Refiner Model": "None", "Version": "v2.1.8", "Sharpness": 2.0},
}
SWARM = {
    **{"prompt": "a cat", "negativeprompt": "fog", "model": "v1-5", "seed": 1, "steps": 20, "cfgscale": 7.0},
    **{"aspectratio": "2:3", "width": 512, "height": 768, "sampler": "dpmpp_2m", "scheduler": "karras"},
    **{"clipstopatlayer": -2, "loras": ["ink"], "loraweights": ["0.5"], "automaticvae": True, "zeronegative": True},
}
RUINED = {
    **{"Prompt": "a cat", "Negative": "fog", "steps": 20, "cfg": 7, "width": 512, "height": 768, "seed": 1},
    **{"sampler_name": "dpmpp_2m", "scheduler": "karras", "base_model_name": "v1-5", "base_model_hash": "ab"},
    **{"loras": [["4852", "0.5 - ink.safetensors"]], "denoise": None, "clip_skip": 2, "software": "RuinedFooocus"},
}
EASY = {
    **{"prompt": "a cat", "negative_prompt": "fog", "seed": 1, "num_inference_steps": 20, "guidance_scale": 7},
    **{"width": 512, "height": 768, "sampler_name": "dpmpp_2m", "clip_skip": True},
    **{"use_stable_diffusion_model": "v1-5", "use_vae_model": None, "output_format": "png"},
}
DRAW_THINGS = {
    **{"c": "a cat", "uc": "fog", "model": "v1-5", "sampler": "DPM++ 2M Karras", "scale": 7, "seed": 1},
    **{"size": "512x768", "steps": 20, "strength": 1, "lora": [{"model": "ink", "weight": 0.5}], "v2": {}},
}


@pytest.mark.parametrize(
    ("source", "data", "other", "lost"),
    [
        ("Fooocus", FOOOCUS, LORAS, ["styles: ['Cinematic']"]),
        ("Fooocus", FOOOCUS_LOG, LORAS, ["Sharpness: 2.0"]),
        ("SwarmUI", {"sui_image_params": SWARM}, {**LORAS, "prompt_syntax": "comfy"}, ["zeronegative: True"]),
        ("RuinedFooocus", RUINED, {**LORAS, "prompt_syntax": "comfy"}, []),
        ("RuinedFooocus", {**RUINED, "loras": "Loras:<ink:0.5>"}, {**LORAS, "prompt_syntax": "comfy"}, []),
        ("Easy Diffusion", EASY, {"schedule": None}, ["output_format: png"]),
        ("Draw Things", DRAW_THINGS, {**LORAS, "clip_skip": None}, ["strength: 1"]),
    ],
    ids=range(7),
)
def test_forms(source: str, data: dict[str, Any], other: dict[str, Any], lost: list[str]) -> None:
    expected = {name: value for name, value in {**EXPECTED, **other}.items() if value is not None}
    text = json.dumps(data)
    for picture in (restored(parameters=text), restore(read(exif_jpeg(tiff(b"UNICODE\0" + text.encode("utf-16-le")))))):
        assert (picture.source, options(picture), picture.unrestored) == (source, expected, tuple(lost))


def test_draw_things_writes_xmp() -> None:
    from xml.sax.saxutils import escape

    comment = escape(json.dumps(DRAW_THINGS), {'"': "&quot;"})
    packet = (
        f'<exif:UserComment> <rdf:Alt> <rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt></exif:UserComment>'
    )
    data = jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()))
    assert restore(read(data)).source == "Draw Things"


def test_kohya_writes_a_text_a_setting() -> None:
    texts = {"prompt": "a cat", "negative-prompt": "fog", "seed": "1", "sampler": "k_euler_a", "steps": "20"}
    found = restored(**texts, scale="7.0", **{"original-width": "512"})
    assert (found.source, options(found)) == (
        "kohya",
        {**{n: EXPECTED[n] for n in ("prompt", "negative", "seed", "steps", "guidance")}, "sampler": "euler_a"},
    )
    assert found.unrestored == ("original-width: 512",)
