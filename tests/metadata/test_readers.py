"""Pictures of other tools become requests, and what is lost is said."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import RequestError
from sfumato.metadata.carriers import Carried, put, read
from sfumato.metadata.gathering import Gathering
from sfumato.metadata.provenance import Provenance
from sfumato.metadata.readers import Restored, restore
from sfumato.output import texts_of
from sfumato.requests import Inpaint, Txt2Img
from tests.metadata.pictures import encoded, exif_jpeg, hidden, node, options, restored, text_png, tiff

# ------------------------------------------------------------------------------------------------------------- ours


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif"])
def test_ours_is_exact(format: str) -> None:
    request = Txt2Img.build(prompt="a\nb 雾", seed=3, steps=4, guidance=1.5, batch=1, sampler="heun")
    data = put(encoded(format), texts_of(request, Provenance("ab", "fp32", "cpu", "2")))
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
    texts = texts_of(request, Provenance("ab", "fp32", "cpu", "2"))
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
    **{"hires": 2.0, "hires_strength": 0.5},
}


@pytest.mark.parametrize(
    "data",
    [
        text_png(parameters=A1111),
        exif_jpeg(tiff(b"UNICODE\0" + A1111.encode("utf-16-be"))),
        exif_jpeg(tiff(b"UNICODE\0" + A1111.encode())),
        exif_jpeg(tiff(A1111.encode())),
        encoded("gif", comment=A1111.encode()),
        encoded("jpeg", comment=A1111.encode()),
        text_png(Description=A1111, Title="a picture"),
        hidden(A1111, b"stealth_pnginfo"),
        hidden(A1111, b"stealth_pngcomp"),
    ],
    ids=range(9),
)
def test_a1111(data: bytes) -> None:
    found = restore(read(data))
    assert found.source == "A1111"
    assert not found.exact
    assert options(found) == EXPECTED
    assert found.unrestored == ("RNG GPU: the seed gives other noise here, where it is drawn on the CPU",)


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
        (
            "Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.7",
            {"refiner": "sd_xl_refiner_1.0", "switch": 0.7},
            [],
        ),
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


SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12, Size: 512x768, Model: harbor, RNG: CPU"
SAID = {
    **{"prompt": "a pier", "negative": "fog", "steps": 20, "sampler": "euler_a", "guidance": 7.0, "seed": 12},
    **{"width": 512, "height": 768, "model": "harbor"},
}


@pytest.mark.parametrize(
    ("infotext", "other", "lost"),
    [
        (f"{{{{quiet}}}} pier\nNegative prompt: fog\n{SETTINGS}", {"prompt": "{{quiet}} pier"}, []),
        (
            f"a pier\nNegative prompt: fog\n{SETTINGS}\nTemplate: a {{pier|lamp}}\nNegative Template: fog, x",
            {},
            ["Template: a {pier|lamp}", "Negative Template: fog, x"],
        ),
        (f"a pier.Negative prompt: fog.{SETTINGS}", {"prompt": "a pier.", "negative": "fog."}, []),
        (
            f"a pier, in: a fog, of the sea Negative prompt: {SETTINGS}",
            {"prompt": "a pier, in: a fog, of the sea", "negative": ""},
            [],
        ),
        (f"a pier, dusk {SETTINGS}", {"prompt": "a pier, dusk", "negative": ""}, []),
        ("a pier\nNegative prompt: fog\n" + SETTINGS.replace(", ", " | "), {}, []),
        ("a pier\nNegative prompt: fog\n" + SETTINGS.replace("CFG scale", "cfg Scale"), {}, []),
        (
            f'a pier\nNegative prompt: fog\n{SETTINGS}, Hashes: {{"lora:ink": "7c6b", "embed:neg": "66a7"}}, VAE: None',
            {},
            [],
        ),
        (
            f"a pier\nNegative prompt: fog\n{SETTINGS}, Created Date: 2024-06-01T00:00:00.1Z, Civitai resources: "
            '[{"type":"checkpoint","modelName":"Harbor: Steps: 4, Size: 64x64"},'
            '{"type":"lora","weight":0.8,"modelName":"Ink: Seed: 5, x"}], Civitai metadata: {}',
            {},
            ["lora Ink: Seed: 5, x at 0.8"],
        ),
        (
            "a pier\nNegative prompt: fog\n"
            + SETTINGS.replace("Model: harbor", 'Civitai resources: [{"type":"checkpoint","modelName":"XL"}]'),
            {"model": "XL"},
            [],
        ),
        (f"a pier\nNegative prompt: fog\n{SETTINGS}, Sampler sigma: karras, App: SD.Next", {"schedule": "karras"}, []),
        (
            f"a pier\nNegative prompt: fog\n{SETTINGS}, Operations: txt2img, Parser: compel, "
            "Sampler spacing: trailing, Sampler order: 3, CFG rescale: 0.7, Pipeline: StableDiffusionPipeline",
            {"prompt_syntax": "compel", "schedule": "trailing", "guidance_rescale": 0.7},
            ["Sampler order: 3"],
        ),
        (
            f"a pier\nNegative prompt: fog\n{SETTINGS}, Schedule type: Beta, Beta schedule alpha: 0.6, Batch size: 2, "
            'Civitai resources: [{"air": "urn:air:sd1:lora:civitai:8@9", "weight": 1}]',
            {"schedule": "beta"},
            ["lora urn:air:sd1:lora:civitai:8@9 at 1"],
        ),
        (f"a pier\nNegative prompt: fog\n{SETTINGS}, Scheduler: karras, Version: Fooocus", {"schedule": "karras"}, []),
        (
            "a pier\nNegative prompt: fog\n" + SETTINGS.replace("Euler a", "DDIM CFG++"),
            {"sampler": "ddim", "guidance_method": "cfgpp", "guidance": 0.56},
            [],
        ),
    ],
    ids=range(15),
)
def test_infotexts_as_others_write_them(infotext: str, other: dict[str, object], lost: list[str]) -> None:
    found = restored(parameters=infotext)
    assert found.source == "A1111"
    assert options(found) == {name: value for name, value in {**SAID, **other}.items() if value != ""}
    assert found.unrestored == tuple(lost)


def test_a_prompt_is_shown_whatever_it_breaks() -> None:
    long = "fog, " * 20_000
    found = restored(parameters=f"{long}\nNegative prompt: a\x80b\n{SETTINGS}")
    assert found.beyond == {"prompt": long.strip()}
    assert (found.request.prompt, found.request.negative, found.request.steps) == ("", "ab", 20)
    assert found.unrestored[0].startswith("prompt has 99999 characters")
    assert found.unrestored[1:] == ("control characters of the negative: U+0080",)


def test_values_are_gathered_for_any_request() -> None:
    found = Gathering(Inpaint, image="a.png")
    for name, value in {"strength": "0.5", "invert": "True", "blur": "3", "size": "512x520", "fill": "fog"}.items():
        found.take(name, value)
    request = found.request()
    assert (request.strength, request.invert, request.blur, request.width, request.height) == (0.5, True, 3, 512, 520)
    assert len(found.lost) == 1
    assert found.lost[0].startswith("unknown fill 'fog'")


def test_the_largest_seed_is_read() -> None:
    found = restored(parameters="a\nSteps: 1, Sampler: Euler, Seed: 18446744073709551615, RNG: CPU")
    assert (found.request.seed, found.unrestored) == (2**64 - 1, ())


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
    {"Dream": '"' + "\\" * 50_000},
    {"sd-metadata": '{"image": {"prompt": 3}}'},
    {"parameters": '{"sui_image_params"'},
    {"parameters": "aa: {" * 100_000},
    {"parameters": '{"Comment": "{' + "[" * 100_000 + '"}'},
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


def test_what_nobody_knows_is_shown() -> None:
    with pytest.raises(RequestError, match=r"its text Prompt is: a red pier, fog$"):
        restored(Prompt="a red pier,\n fog", Title="x")


@pytest.mark.parametrize(
    "graph",
    [
        {str(i): node("KSampler", latent_image=[str(i + 1), 0], model=[str(i + 1), 0]) for i in range(5_000)},
        {
            "a": node("KSampler", model=["0", 0]),
            **{
                str(i): node("LoraLoader", lora_name="x", strength_model=[str(i + 1), 0], model=[str(i + 1), 0])
                for i in range(2_000)
            },
        },
    ],
    ids=["samplers", "adapters"],
)
def test_large_graphs_take_no_long_time(graph: dict[str, Any]) -> None:
    start = time.process_time()
    found = restored(prompt=json.dumps(graph))
    assert time.process_time() - start < 5
    assert found.source == "ComfyUI"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
WORDS = """positive_prompt model scheduler cfg_scale seed steps width clip_skip prompt uc scale sampler noise_schedule
num_inference_steps guidance_scale loras rand_device generation_mode eta sui_image_params base_model resolution image
v4_prompt Prompt Negative software lora_combined_1 use_stable_diffusion_model c size lora"""


@given(
    st.sampled_from(["invokeai_metadata", "Comment", "metadata", "parameters", "sfumato", "prompt"]),
    st.dictionaries(st.sampled_from(WORDS.split()), VALUES),
)
def test_any_json_gives_a_request_or_one_line(name: str, value: dict[str, object]) -> None:
    _request_or_line({name: json.dumps(value), "Software": "NovelAI"})


LINK = st.tuples(st.sampled_from(["1", "2", "3", "4", 1, None]), st.integers(0, 2)).map(list)
INPUTS = """model positive negative latent_image samples clip conditioning text seed steps cfg sampler_name scheduler
denoise width height images ckpt_name lora_name stop_at_clip_layer end_at_step noise guider sampler sigmas string_a
string_b delimiter select input1 switch on_true on_false prompt vae vae_name lora_1 strength_model strength_clip"""
KINDS = [
    *("KSampler", "KSamplerAdvanced", "CLIPTextEncode", "EmptyLatentImage", "SaveImage", "LoraLoader", "String"),
    *("SamplerCustomAdvanced", "CFGGuider", "KarrasScheduler", "SamplerEulerAncestral", "VAEDecode"),
]
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
