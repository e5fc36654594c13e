"""Pictures of other tools become requests, and what is lost is said."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.choices import Sampler, Schedule
from sfumato.errors import RequestError
from sfumato.metadata import names
from sfumato.metadata.carriers import Carried, put, read
from sfumato.metadata.infotext import Painter
from sfumato.metadata.readers import Restored, restore
from sfumato.output import texts_of
from sfumato.requests import Txt2Img
from tests.metadata.pictures import encoded, exif_jpeg, text_png, tiff


def restored(**texts: str) -> Restored:
    return restore(read(text_png(**texts)))


def options(found: Restored) -> dict[str, Any]:
    return {
        name: value
        for name, value in found.request.model_dump().items()
        if value is not None and value != Txt2Img.model_fields[name].default
    }


# ------------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
        ("Euler a", "euler_a", None),
        ("k_euler_a", "euler_a", None),
        ("k_euler_ancestral", "euler_a", None),
        ("euler_ancestral", "euler_a", None),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde", None),
        ("dpmpp_2m_k", "dpmpp_2m", "karras"),
        ("uni_pc", "unipc", None),
        ("DDIM", "ddim", None),
        ("DPMSolverMultistepScheduler", "dpmpp_2m", None),
        ("EulerAncestralDiscreteScheduler", "euler_a", None),
        ("PNDMScheduler", "plms", None),
        ("DPM++ 3M SDE Karras", "dpmpp_3m_sde", "karras"),
        ("Restart", "restart", None),
        ("k_dpm_2_a", "dpm_2_a", None),
        ("dpm_2_ancestral", "dpm_2_a", None),
        ("dpmpp_2s_ancestral", "dpmpp_2s_a", None),
        ("k_dpm_ad", "dpm_adaptive", None),
        ("LMS Polyexponential", "lms", "polyexponential"),
        ("KDPM2AncestralDiscreteScheduler", "dpm_2_a", None),
        ("DPM++ 2M SDE Heun", None, None),
        ("heunpp2", None, None),
        ("", None, None),
    ],
)
def test_names_of_samplers(name: str, sampler: str | None, schedule: str | None) -> None:
    assert names.read_sampler(name) == names.Named(sampler, schedule)  # type: ignore[arg-type]


def test_every_name_of_ours_is_read_in_both_forms() -> None:
    for sampler in get_args(Sampler):
        assert {names.read_sampler(word).sampler for word in (sampler, names.SAMPLER_LABELS[sampler])} == {sampler}
    for schedule in get_args(Schedule):
        assert {names.read_schedule(word) for word in (schedule, names.SCHEDULE_LABELS[schedule])} == {schedule}


# ------------------------------------------------------------------------------------------------------------- ours


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif"])
def test_ours_is_exact(format: str) -> None:
    request = Txt2Img.build(prompt="a\nb 雾", seed=3, steps=4, guidance=1.5, batch=1, sampler="heun")
    data = put(encoded(format), texts_of(request, Painter("ab", "fp32", "cpu", "2")))
    assert restore(read(data)) == Restored(request, "sfumato", exact=True)


def test_without_the_exact_request_the_infotext_serves() -> None:
    request = Txt2Img.build(
        prompt="a",
        seed=3,
        steps=4,
        guidance=1.5,
        sampler="dpmpp_2m_sde",
        schedule="normal",
        width=64,
        height=96,
        prompt_syntax="comfy",
    )
    texts = texts_of(request, Painter("ab", "fp32", "cpu", "2"))
    assert restored(parameters=texts["parameters"]) == Restored(request, "A1111")
    broken = restored(parameters=texts["parameters"], sfumato='{"prompt": 3}')
    assert broken.request == request
    assert "the exact request: prompt must be text" in broken.unrestored[0]


# ------------------------------------------------------------------------------------------------------------ others


A1111 = (
    "a cat\nNegative prompt: fog\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
    "Model hash: 0a1b2c3d4e, Model: v1-5, Clip skip: 2, Denoising strength: 0.5, Hires upscale: 2, Version: v1.6.0"
)
EXPECTED = {
    **{"prompt": "a cat", "negative": "fog", "steps": 20, "sampler": "dpmpp_2m", "schedule": "karras"},
    **{"guidance": 7.0, "seed": 1, "width": 512, "height": 768, "model": "v1-5", "clip_skip": 2},
}


@pytest.mark.parametrize(
    "data",
    [
        text_png(parameters=A1111),
        exif_jpeg(tiff(b"UNICODE\0" + A1111.encode("utf-16-be"))),
        encoded("gif", comment=A1111.encode()),
    ],
)
def test_a1111(data: bytes) -> None:
    found = restore(read(data))
    assert found.source == "A1111"
    assert not found.exact
    assert options(found) == EXPECTED
    assert found.unrestored == (
        "RNG GPU: the seed gives other noise here, where it is drawn on the CPU",
        "Denoising strength: 0.5",
        "Hires upscale: 2",
    )


@pytest.mark.parametrize(
    ("fields", "expected", "lost"),
    [
        ("Sampler: DPM++ 2M, Schedule type: Automatic", {"sampler": "dpmpp_2m", "schedule": "karras"}, []),
        ("Sampler: Euler, Schedule type: Automatic", {"sampler": "euler", "schedule": "normal"}, []),
        ("Sampler: DDIM, Schedule type: Automatic", {"sampler": "ddim"}, []),
        (
            "Sampler: HeunPP2, Schedule type: Turbo",
            {},
            ["sampler HeunPP2 has no counterpart here", "schedule Turbo has no counterpart here"],
        ),
        ("Size: 500x512, Seed: -1", {"height": 512}, ["width 500 must be a multiple", "seed -1 must be 0 to"]),
        ("Seed: x, CFG scale: nan", {}, ["seed must be a whole number", "guidance nan"]),
        ("Clip skip: 99, Steps: 0", {}, ["clip_skip 99 must be", "steps 0 must be"]),
    ],
)
def test_a1111_values(fields: str, expected: dict[str, object], lost: list[str]) -> None:
    found = restored(parameters=f"a\n{fields}, RNG: CPU, Version: x, User: y")
    assert {name: value for name, value in options(found).items() if name != "prompt"} == expected
    words = sorted(found.unrestored)
    assert len(words) == len(lost)
    for start in lost:
        assert any(word.startswith(start) for word in words), (start, words)


def node(kind: str, **inputs: object) -> dict[str, object]:
    return {"class_type": kind, "inputs": inputs}


GRAPH: dict[str, Any] = {
    "3": node(
        "KSampler",
        seed=5,
        steps=12,
        cfg=6.5,
        sampler_name="dpmpp_2m_sde_gpu",
        scheduler="karras",
        denoise=1,
        model=["10", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "5": node("EmptyLatentImage", width=320, height=256, batch_size=1),
    "6": node("CLIPTextEncode", text=["12", 0], clip=["11", 0]),
    "7": node("CLIPTextEncode", text="fog", clip=["11", 0]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", images=["8", 0], filename_prefix="x"),
    "10": node("LoraLoader", lora_name="ink.safetensors", strength_model=0.7, model=["4", 0], clip=["4", 1]),
    "11": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
    "12": node("String", string="a cat"),
    "99": node("KSampler", seed=1, note="connected to nothing"),
}
COMFY = {
    **{"prompt": "a cat", "negative": "fog", "model": "sd15.safetensors", "seed": 5, "steps": 12, "guidance": 6.5},
    **{"sampler": "dpmpp_2m_sde", "schedule": "karras", "width": 320, "height": 256, "clip_skip": 2},
    "prompt_syntax": "comfy",
}


def test_comfyui() -> None:
    found = restored(prompt=json.dumps(GRAPH), workflow="{}")
    assert found.source == "ComfyUI"
    assert options(found) == COMFY
    assert found.unrestored == ("LoraLoader ink.safetensors at 0.7",)


def test_comfyui_in_webp_of_its_own_kind() -> None:
    block = encoded("webp", exif=_camera("prompt:" + json.dumps(GRAPH)))
    assert options(restore(read(block))) == COMFY


def _camera(text: str) -> bytes:
    from PIL import Image

    tags = Image.Exif()
    tags[0x0110] = text
    return tags.tobytes()


def test_comfyui_second_pass_is_said_and_the_first_restored() -> None:
    second = node(
        "KSamplerAdvanced",
        noise_seed=9,
        steps=4,
        cfg=1,
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["21", 0],
        denoise=0.4,
    )
    graph = {
        **GRAPH,
        "20": second,
        "21": node("LatentUpscale", samples=["3", 0]),
        "8": node("VAEDecode", samples=["20", 0]),
    }
    found = restored(prompt=json.dumps(graph))
    assert options(found) == COMFY
    assert sorted(found.unrestored) == [
        "LoraLoader ink.safetensors at 0.7",
        "a further KSamplerAdvanced, denoise 0.4",
        "node LatentUpscale",
    ]


def test_comfyui_of_a_picture() -> None:
    graph = {**GRAPH, "5": node("VAEEncode", pixels=["30", 0]), "30": node("LoadImage", image="a.png")}
    graph["3"] = node("KSampler", **{**GRAPH["3"]["inputs"], "denoise": 0.5})
    found = restored(prompt=json.dumps(graph))
    assert found.unrestored[:2] == ("denoise 0.5", "the picture or latent that it starts from")
    assert "width" not in options(found)


CYCLES: list[dict[str, Any]] = [
    {"1": node("KSampler", model=["1", 0], positive=["1", 0], latent_image=["1", 0], seed=["1", 0])},
    {"1": node("SaveImage", images=["2", 0]), "2": node("KSampler", model=["3", 0]), "3": node("A", model=["2", 0])},
    {
        "1": node("KSampler", positive=["2", 0], seed=["4", 0], latent_image=["5", 0]),
        "2": node("CLIPTextEncode", text=["3", 0], clip=["2", 0]),
        "3": node("String", text=["4", 0]),
        "4": node("String", text=["3", 0]),
        "5": node("Reroute", samples=["6", 0]),
        "6": node("Reroute", samples=["5", 0]),
    },
    {"1": node("KSampler", model=["2", 0]), **{str(i): node("A", model=[str(i + 1), 0]) for i in range(2, 20_000)}},
    {"1": node("KSampler", seed=["nowhere", 0], positive=[None, 0], negative=[[], {}])},
    {"1": node("KSampler", seed=True, steps={}, cfg=[], sampler_name=3, scheduler=None, positive=4)},
]


@pytest.mark.parametrize("graph", CYCLES, ids=range(len(CYCLES)))
def test_graphs_that_go_in_circles_end(graph: dict[str, Any]) -> None:
    found = restored(prompt=json.dumps(graph))
    assert found.request.prompt == ""
    assert "the model, which no loader names" in found.unrestored
    assert len(found.unrestored) <= 65


def test_invokeai() -> None:
    data = {
        **{"generation_mode": "txt2img", "positive_prompt": "a cat", "negative_prompt": "fog", "width": 512},
        **{"height": 768, "seed": 1, "rand_device": "cpu", "cfg_scale": 7, "steps": 20, "scheduler": "dpmpp_2m_k"},
        **{"clip_skip": 1, "model": {"name": "v1-5", "base": "sd-1"}, "loras": [{"model": {}, "weight": 1}]},
        **{"controlnets": [], "vae": None, "app_version": "4.2.0"},
    }
    found = restored(invokeai_metadata=json.dumps(data))
    assert (found.source, options(found)) == ("InvokeAI", {**EXPECTED, "prompt_syntax": "compel"})
    assert found.unrestored == ("loras: 1 entries",)


def test_novelai() -> None:
    comment = {
        **{"prompt": "a cat", "uc": "fog", "steps": 20, "width": 512, "height": 768, "scale": 7.0, "seed": 1},
        **{"sampler": "k_euler_ancestral", "noise_schedule": "karras", "sm": True, "cfg_rescale": 0.0},
    }
    found = restored(Software="NovelAI", Description="a cat", Source="SD XL 9CC2F394", Comment=json.dumps(comment))
    expected = {name: value for name, value in EXPECTED.items() if name not in ("model", "clip_skip")}
    assert (found.source, options(found)) == ("NovelAI", {**expected, "sampler": "euler_a"})
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


# ---------------------------------------------------------------------------------------------------------- hostile


DEEP = "[" * 100_000
HOSTILE = [
    {},
    {"Title": "a picture"},
    {"parameters": "only a prompt"},
    {"parameters": "{" + DEEP},
    {"parameters": ""},
    {"prompt": '{"a":' + DEEP},
    {"prompt": '{"a":' * 100_000},
    {"prompt": "[1, 2]"},
    {"prompt": "{}"},
    {"prompt": '{"1": {"class_type": "KSampler"}}'},
    {"prompt": '{"1": {"class_type": 3, "inputs": {}}}'},
    {"prompt": '{"1": {"class_type": "KSampler", "inputs": []}}'},
    {"prompt": "1" * 5000},
    {"prompt": '{"a": ' + "1" * 5000 + "}"},
    {"invokeai_metadata": "null"},
    {"invokeai_metadata": "{" + DEEP},
    {"Comment": "{}"},
    {"Comment": '{"uc"'},
    {"sfumato": DEEP},
    {"sfumato": "{}"},
    {"sfumato": '{"prompt": "a", "steps": 1e999}'},
    {"sfumato": '{"prompt": "a", "newer": 1}'},
    {"sfumato": "a" * 2_000_000},
]


@pytest.mark.parametrize("texts", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_that_say_nothing_are_one_clear_line(texts: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        restored(**texts)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500  # the names of all options, at most


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
WORDS = """positive_prompt model scheduler cfg_scale seed steps width clip_skip prompt uc scale sampler noise_schedule
num_inference_steps guidance_scale loras rand_device generation_mode eta"""


@given(
    st.sampled_from(["invokeai_metadata", "Comment", "metadata", "parameters", "sfumato", "prompt"]),
    st.dictionaries(st.sampled_from(WORDS.split()), VALUES),
)
def test_any_json_gives_a_request_or_one_line(name: str, value: dict[str, object]) -> None:
    _request_or_line({name: json.dumps(value), "Software": "NovelAI"})


LINK = st.tuples(st.sampled_from(["1", "2", "3", "4", 1, None]), st.integers(0, 2)).map(list)
INPUTS = """model positive negative latent_image samples clip conditioning text seed steps cfg sampler_name scheduler
denoise width height images ckpt_name lora_name stop_at_clip_layer end_at_step"""
KINDS = ["KSampler", "KSamplerAdvanced", "CLIPTextEncode", "EmptyLatentImage", "SaveImage", "LoraLoader", "String"]
NODES = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(KINDS),
        "inputs": st.dictionaries(st.sampled_from(INPUTS.split()), LINK | VALUES),
    }
)


@given(st.dictionaries(st.sampled_from("1234"), NODES))
def test_any_graph_gives_a_request_or_one_line(graph: dict[str, object]) -> None:
    _request_or_line({"prompt": json.dumps(graph)})


@given(st.text())
def test_any_infotext_gives_a_request_or_one_line(text: str) -> None:
    _request_or_line(
        {"parameters": f"{text}\nSteps: {text}, Seed: {text}, Size: {text}, Sampler: {text}, Model: {text}"}
    )


def _request_or_line(texts: dict[str, str]) -> None:
    try:
        found, message = restore(Carried("png", texts)), ""
    except RequestError as error:
        found, message = Restored(Txt2Img.build(prompt=""), "none"), str(error)
    assert message.isprintable()
    assert Txt2Img.from_json(found.request.to_json()) == found.request
    assert all(word.isprintable() for word in found.unrestored)
