"""Graphs of ComfyUI become requests, and what is lost is said."""

import json
from typing import Any

import pytest

from sfumato.metadata.carriers import read
from sfumato.metadata.readers import restore
from tests.metadata.pictures import camera, encoded, exif_jpeg, hidden, node, options, restored, tiff

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
    "10": node(
        "LoraLoader", lora_name="ink.safetensors", strength_model=0.7, strength_clip=0.6, model=["4", 0], clip=["4", 1]
    ),
    "11": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
    "12": node("String", string="a cat"),
    "99": node("KSampler", seed=1, note="connected to nothing"),
}


def encoder(text: object) -> dict[str, object]:
    """The text encoder of the graph, with another text."""
    return node("CLIPTextEncode", text=text, clip=["11", 0])


def sampler(**inputs: object) -> dict[str, object]:
    """The sampler of the graph, with other inputs."""
    return node("KSampler", **{**GRAPH["3"]["inputs"], **inputs})


COMFY = {
    **{"prompt": "a cat", "negative": "fog", "model": "sd15.safetensors", "seed": 5, "steps": 12, "guidance": 6.5},
    **{"sampler": "dpmpp_2m_sde", "schedule": "karras", "width": 320, "height": 256, "clip_skip": 2},
    **{"prompt_syntax": "comfy", "loras": ({"name": "ink", "weight": 0.7, "text_weight": 0.6},)},
}


def test_comfyui() -> None:
    found = restored(prompt=json.dumps(GRAPH), workflow="{}")
    assert found.source == "ComfyUI"
    assert options(found) == COMFY
    assert found.unrestored == ()


@pytest.mark.parametrize(
    "data",
    [
        encoded("webp", exif=camera(0x0110, "prompt:" + json.dumps(GRAPH))),
        encoded("webp", exif=camera(0x010F, "Prompt: " + json.dumps(GRAPH))),
        encoded("jpeg", exif=camera(0x010F, "Prompt: " + json.dumps(GRAPH))),
        encoded("jpeg", exif=camera(0x010E, json.dumps(GRAPH))),
        exif_jpeg(tiff(b"UNICODE\0" + json.dumps(GRAPH).encode("utf-16-be"))),
        exif_jpeg(tiff(b"UNICODE\0" + json.dumps({"prompt": GRAPH, "workflow": {}}).encode("utf-16-le"))),
        encoded("jpeg", comment=json.dumps(GRAPH).encode()),
        hidden(json.dumps(GRAPH), b"stealth_rgbcomp"),
    ],
    ids=range(8),
)
def test_a_graph_is_one_wherever_it_stands(data: bytes) -> None:
    assert options(restore(read(data))) == COMFY


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
        "a further KSamplerAdvanced, denoise 0.4",
        "node LatentUpscale",
    ]


def test_comfyui_of_a_picture() -> None:
    graph = {**GRAPH, "5": node("VAEEncode", pixels=["30", 0]), "30": node("LoadImage", image="a.png")}
    graph["3"] = sampler(denoise=0.5)
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


def test_settings_in_nodes_of_their_own() -> None:
    custom = node(
        "SamplerCustomAdvanced",
        noise=["31", 0],
        guider=["32", 0],
        sampler=["33", 0],
        sigmas=["34", 0],
        latent_image=["5", 0],
    )
    parts = {
        "31": node("RandomNoise", noise_seed=["40", 0]),
        "32": node("CFGGuider", model=["10", 0], positive=["6", 0], negative=["7", 0], cfg=6.5),
        "33": node("KSamplerSelect", sampler_name="dpmpp_2m_sde"),
        "34": node("BasicScheduler", model=["4", 0], scheduler="karras", steps=["41", 0], denoise=1),
        "40": node("Seed (rgthree)", seed=5),
        "41": node("PrimitiveInt", value=12),
    }
    found = restored(prompt=json.dumps({**GRAPH, "3": custom, **parts}))
    assert (options(found), found.unrestored) == (COMFY, ())
    parts["33"] = node("SamplerDPMPP_2M_SDE", solver_type="midpoint", eta=1.0)
    parts["34"] = node("KarrasScheduler", steps=12, sigma_max=14.6, rho=7.0)
    found = restored(prompt=json.dumps({**GRAPH, "3": custom, **parts}))
    assert options(found) == COMFY
    assert found.unrestored == ("solver_type: midpoint", "eta: 1.0", "sigma_max: 14.6", "rho: 7.0")
    parts["32"] = node("BasicGuider", model=["10", 0], conditioning=["6", 0])
    found = restored(prompt=json.dumps({**GRAPH, "3": custom, **parts}))
    assert (found.request.prompt, found.request.negative, found.request.guidance) == ("a cat", "", 1.0)


def test_sampler_custom() -> None:
    custom = node(
        "SamplerCustom",
        model=["10", 0],
        add_noise=True,
        noise_seed=5,
        cfg=6.5,
        positive=["6", 0],
        negative=["7", 0],
        sampler=["33", 0],
        sigmas=["34", 0],
        latent_image=["5", 0],
    )
    parts = {
        "33": node("KSamplerSelect", sampler_name="dpmpp_2m_sde"),
        "34": node("BasicScheduler", model=["4", 0], scheduler="karras", steps=12, denoise=1.0),
    }
    found = restored(prompt=json.dumps({**GRAPH, "3": custom, **parts}))
    assert (options(found), found.unrestored) == (COMFY, ())


def test_a_loader_that_holds_prompts_too() -> None:
    loader = node(
        "Efficient Loader",
        ckpt_name="sd15.safetensors",
        lora_name="ink.safetensors",
        lora_model_strength=0.7,
        lora_clip_strength=0.6,
        clip_skip=-2,
        positive=["12", 0],
        negative="fog",
        empty_latent_width=320,
        empty_latent_height=256,
    )
    efficient = node(
        "KSampler (Efficient)",
        **{**GRAPH["3"]["inputs"], "model": ["50", 0], "positive": ["50", 1], "negative": ["50", 2]},
    )
    efficient["inputs"]["latent_image"] = ["50", 3]  # type: ignore[index]
    graph = {name: GRAPH[name] for name in ("8", "9", "12")} | {"3": efficient, "50": loader}
    found = restored(prompt=json.dumps(graph))
    assert (options(found), found.unrestored) == (COMFY, ())


def test_settings_along_a_pipe() -> None:
    loader = node(
        "easy fullLoader",
        ckpt_name="sd15.safetensors",
        vae_name="Baked VAE",
        lora1_name="style\\ink.safetensors",
        lora1_model_strength=0.7,
        lora1_clip_strength=0.6,
        lora2_name="None",
        clip_skip=-2,
        positive=["12", 0],
        negative="fog",
    )
    before = node(
        "easy preSampling",
        pipe=["50", 0],
        latent=["5", 0],
        steps=12,
        cfg=6.5,
        sampler_name="dpmpp_2m_sde",
        scheduler="karras",
        denoise=1,
        seed=5,
    )
    graph = {
        **{name: GRAPH[name] for name in ("5", "12")},
        **{"50": loader, "51": before, "52": node("easy kSampler", pipe=["51", 0])},
        **{"53": node("Image Save", images=["52", 1])},
    }
    found = restored(prompt=json.dumps(graph))
    assert (options(found), found.unrestored) == (COMFY, ())


@pytest.mark.parametrize(
    "stack",
    [
        node(
            "CR LoRA Stack",
            **{"switch_1": "On", "lora_name_1": "ink.safetensors", "model_weight_1": 0.7, "clip_weight_1": 0.6},
            **{"switch_2": "Off", "lora_name_2": "b.safetensors", "model_weight_2": 1, "clip_weight_2": 1},
            **{"switch_3": "On", "lora_name_3": "None", "model_weight_3": 1, "clip_weight_3": 1},
        ),
        node(
            "LoRA Stacker",
            **{"input_mode": "advanced", "lora_count": 1, "lora_name_1": "ink", "lora_wt_1": 1, "model_str_1": 0.7},
            **{"clip_str_1": 0.6, "lora_name_2": "b", "model_str_2": 1, "clip_str_2": 1},
        ),
    ],
    ids=range(2),
)
def test_stacks_of_adapters(stack: dict[str, object]) -> None:
    applied = node("CR Apply LoRA Stack", model=["4", 0], clip=["4", 1], lora_stack=["15", 0])
    found = restored(prompt=json.dumps({**GRAPH, "10": applied, "15": stack}))
    assert options(found) == COMFY


def test_stacks_with_one_weight() -> None:
    simple = {"input_mode": "simple", "lora_count": 1, "lora_name_1": "ink", "lora_wt_1": 0.7, "model_str_1": 1}
    rows = {"lora_01": "b.safetensors", "strength_01": 0.3, "lora_02": "c", "strength_02": 0, "lora_03": "None"}
    nodes = {
        "10": node("CR Apply LoRA Stack", model=["16", 0], lora_stack=["15", 0]),
        "15": node("LoRA Stacker", **simple),
        "16": node("Lora Loader Stack (rgthree)", model=["4", 0], **rows),
    }
    found = restored(prompt=json.dumps({**GRAPH, **nodes}))
    assert {(lora.name, lora.weight, lora.text_weight) for lora in found.request.loras} == {
        ("b", 0.3, None),
        ("ink", 0.7, None),
    }


@pytest.mark.parametrize(
    ("nodes", "prompt"),
    [
        ({"30": node("StringConcatenate", string_a="a pier", string_b="fog", delimiter=", ")}, "a pier, fog"),
        (
            {
                "30": node("StringConcatenate", string_a=["30:1", 0], string_b=["30:2", 0], delimiter=" "),
                "30:1": node("PrimitiveStringMultiline", value="a pier"),
                "30:2": node("ComfySwitchNode", switch=False, on_false=["12", 0], on_true=["nowhere", 0]),
            },
            "a pier a cat",
        ),
        ({"30": node("Text Concatenate", delimiter=", ", text_a="a", text_b=["12", 0], text_c="c")}, "a, a cat, c"),
        ({"30": node("ShowText|pysssss", text=["12", 0], text_0="stale")}, "a cat"),
        ({"30": node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="b", mode="fixed")}, "b"),
        (
            {"30": node("StringFunction|pysssss", action="append", tidy_tags="yes", text_a="a", text_b="", text_c="c")},
            "a, c",
        ),
        ({"30": node("ImpactSwitch", select=2, input1="x", input2=["12", 0])}, "a cat"),
    ],
    ids=range(7),
)
def test_texts_are_put_together(nodes: dict[str, Any], prompt: str) -> None:
    found = restored(prompt=json.dumps({**GRAPH, "6": encoder(["30", 0]), **nodes}))
    assert found.request.prompt == prompt


def test_a_prompt_that_nobody_stored_is_said_to_be_lost() -> None:
    written = {"31": node("TextGenerate", clip=["11", 0], prompt="write a prompt", max_length=256)}
    found = restored(prompt=json.dumps({**GRAPH, "6": encoder(["31", 0]), **written}))
    assert found.request.prompt == ""
    assert found.unrestored == ("the prompt, which node TextGenerate makes", "node TextGenerate")
    joined = node("StringConcatenate", string_a=["31", 0], string_b="fog", delimiter=", ")
    graph = {**GRAPH, "6": encoder(["30", 0]), "30": joined, **written}
    found = restored(prompt=json.dumps(graph))
    assert found.request.prompt == "fog"
    assert found.unrestored[0] == "a part of the prompt, which node TextGenerate makes"
    found = restored(prompt=json.dumps({**GRAPH, "6": node("Mystery", model=["4", 0])}))
    assert "the prompt, of which node Mystery holds no text" in found.unrestored


def test_an_emptied_conditioning_has_no_text() -> None:
    graph = {**GRAPH, "7": node("ConditioningZeroOut", conditioning=["6", 0])}
    found = restored(prompt=json.dumps(graph))
    assert (options(found), found.unrestored) == ({k: v for k, v in COMFY.items() if k != "negative"}, ())


def test_adapters_in_the_order_of_the_model() -> None:
    nodes = {
        "10": node("LoraLoaderModelOnly", lora_name="style\\b.safetensors", strength_model=0.3, model=["13", 0]),
        "13": node("LoraLoader", lora_name="ink.safetensors", strength_model=1, strength_clip=1, model=["14", 0]),
        "14": node(
            "Power Lora Loader (rgthree)",
            lora_1={"on": True, "lora": "c.safetensors", "strength": 0.5},
            lora_2={"on": False, "lora": "d.safetensors", "strength": 0.5},
            model=["4", 0],
        ),
    }
    found = restored(prompt=json.dumps({**GRAPH, **nodes}))
    assert [(lora.name, lora.weight, lora.text_weight) for lora in found.request.loras] == [
        ("c", 0.5, None),
        ("ink", 1.0, None),
        ("b", 0.3, 0.0),
    ]
    assert found.unrestored == ()


def test_areas_are_regions() -> None:
    area = {"width": 256, "height": 512, "y": 0, "strength": 1.0}
    nodes = {
        "20": node("CLIPTextEncode", clip=["4", 1], text="a bus: red"),
        "21": node("ConditioningSetArea", conditioning=["20", 0], x=256, **area),
        "22": node("ConditioningCombine", conditioning_1=["21", 0], conditioning_2=["6", 0]),
    }
    found = restored(prompt=json.dumps({**GRAPH, "3": sampler(positive=["22", 0]), **nodes}))
    assert found.request.prompt == COMFY["prompt"]
    assert found.request.regions == ("256,0,256,512:a bus: red",)
    assert not [words for words in found.unrestored if "further" in words or "SetArea" in words]
    nodes["21"]["inputs"]["strength"] = 0.5
    found = restored(prompt=json.dumps({**GRAPH, "3": sampler(positive=["22", 0]), **nodes}))
    assert found.request.regions == ()
    assert "node ConditioningSetArea" in found.unrestored


def test_patches_of_the_model_are_guidance() -> None:
    nodes = {
        "10": node("RescaleCFG", multiplier=0.4, model=["13", 0]),
        "13": node("PerturbedAttentionGuidance", scale=["14", 0], model=["15", 0]),
        "14": node("PrimitiveFloat", value=2.5),
        "15": node("CFGZeroStar", model=["4", 0]),
    }
    found = restored(prompt=json.dumps({**GRAPH, "3": sampler(model=["10", 0]), **nodes}))
    request = found.request
    assert (request.guidance_rescale, request.pag, request.guidance_method) == (0.4, 2.5, "cfg_zero")
    assert found.unrestored == ()


def test_what_has_no_counterpart_in_a_graph_is_said() -> None:
    graph = {
        **GRAPH,
        "3": sampler(steps=["60", 0], sampler_name="uni_pc"),
        "5": node("EmptyLatentImage", width=["61", 0], height=256),
        "8": node("VAEDecode", samples=["3", 0], vae=["62", 0]),
        "60": node("SimpleMath", a=5, b=7),
        "61": node("AspectRatio", width=320, height=256, ratio="16:9"),
        "62": node("VAELoader", vae_name="mse.safetensors"),
    }
    found = restored(prompt=json.dumps(graph))
    assert (found.request.sampler, found.request.vae, found.request.steps) == ("unipc", "mse", None)
    assert found.unrestored == (
        "steps, which node SimpleMath makes",
        "sampler uni_pc is variant B1 of UniPC; ours is B2",
        "width, which node AspectRatio makes",
    )


def test_a_graph_without_a_sampler_that_we_know_shows_its_prompts() -> None:
    graph = {"1": node("SaveImage", images=["2", 0]), "2": node("Paint", positive=["6", 0]), "6": GRAPH["7"]}
    found = restored(prompt=json.dumps(graph))
    assert (found.source, found.request.prompt) == ("ComfyUI", "")
    assert found.unrestored[:2] == ("the sampler, which no node of the graph is that we know", "a prompt: fog")


def test_texts_that_double_at_every_node_end() -> None:
    doubled = {
        str(i): node("StringConcatenate", string_a=[str(i + 1), 0], string_b=[str(i + 1), 0], delimiter=" ")
        for i in range(1000, 1090)
    }
    graph = {**GRAPH, "6": encoder(["1000", 0]), **doubled, "1090": node("String", string="a")}
    found = restored(prompt=json.dumps(graph))
    assert found.request.prompt == ""
    assert "the prompt, which node StringConcatenate makes" in found.unrestored


def drawn(graph: dict[str, Any], *, named: bool, objects: bool = False) -> str:
    """The workflow of a graph: as recent pages write it, or without names of widgets; links as lists or objects."""
    nodes, links = [], []
    for name, each in graph.items():
        inputs, values = [], []
        for key, value in each["inputs"].items():
            if isinstance(value, list):
                inputs.append({"name": key, "type": key, "link": len(links)})
                links.append([len(links), int(value[0]), value[1], int(name), len(inputs) - 1, key])
                continue
            if named:
                inputs.append({"name": key, "type": "X", "widget": {"name": key}, "link": None})
            values += [value, "randomize"] if key in ("seed", "noise_seed") else [value]
        nodes.append(
            {"id": int(name), "type": each["class_type"], "inputs": inputs, "widgets_values": values, "mode": 0}
        )
    if objects:
        links = [{"id": link[0], "origin_id": link[1], "origin_slot": link[2]} for link in links]
    return json.dumps({"version": 0.4, "nodes": nodes, "links": links})


OWN = {name: each for name, each in GRAPH.items() if name not in ("12", "99")} | {"6": encoder("a cat")}
"""ComfyUI's own nodes alone."""


@pytest.mark.parametrize(
    "text", [drawn(GRAPH, named=True), drawn(OWN, named=False), drawn(OWN, named=False, objects=True)]
)
def test_a_workflow_alone_is_read(text: str) -> None:
    found = restored(workflow=text)
    assert found.source == "ComfyUI"
    assert options(found) == COMFY
    assert found.unrestored == ()


def test_values_that_a_workflow_does_not_name_are_not_guessed() -> None:
    found = restored(workflow=drawn(GRAPH, named=False))
    assert options(found) == {**COMFY, "prompt": ""}
    assert "the values of node String, which the workflow does not name" in found.unrestored
    strange = {**OWN, "3": {**sampler(), "class_type": "KSampler XL"}}
    found = restored(workflow=drawn(strange, named=False))
    assert found.request.seed is None
    assert "the values of node KSampler XL, which the workflow does not name" in found.unrestored


def test_muted_and_bypassed_nodes_of_a_workflow() -> None:
    """What is bypassed hands on the input of the type that is asked for."""
    data = json.loads(drawn(OWN, named=False))
    lora = next(each for each in data["nodes"] if each["type"] == "LoraLoader")
    lora |= {"mode": 4, "outputs": [{"type": "model"}, {"type": "clip"}]}
    found = restored(workflow=json.dumps(data))
    assert options(found) == {name: value for name, value in COMFY.items() if name != "loras"}
    assert found.unrestored == ()
    negative = next(each for each in data["nodes"] if each["id"] == 7)
    negative["mode"] = 2
    assert options(restored(workflow=json.dumps(data)))["prompt"] == "a cat"
    assert "negative" not in options(restored(workflow=json.dumps(data)))


def test_an_api_graph_is_surer_than_a_workflow() -> None:
    other = {**OWN, "3": sampler(seed=9)}
    assert options(restored(workflow=drawn(other, named=True), prompt=json.dumps(GRAPH)))["seed"] == 5
