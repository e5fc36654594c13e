"""ComfyUI's API graph: ``{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0], ...}}, ...}``, or
a workflow without one.

An input is a value or a link ``[node, slot]``. The graph is followed backwards from what saves the picture; each walk
visits a node once, so cycles end. Of several samplers, the one that starts from an empty latent is the request; the
others are said to be lost. A sampler's settings may stand in nodes of their own, for noise, guider, sampler and sigmas,
or along a pipe. What a node says is used, or the node is said to be lost. Prompts keep their own syntax, ``comfy``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.names import MODEL_PATCHES
from sfumato.metadata.readers import stacks
from sfumato.metadata.readers.graph import Graph, Node
from sfumato.metadata.readers.texts import Texts
from sfumato.metadata.readers.workflow import UNNAMED, as_prompt

_PIPES = ("pipe", "basic_pipe")
_PARTS = ("noise", "guider", "sampler", "sigmas", *_PIPES, "")
"""Inputs behind which the settings of a sampler may stand, in nodes of their own."""
_SETTINGS = {
    "seed": ("seed", "noise_seed"),
    "steps": ("steps",),
    "guidance": ("cfg", "cfg_conds"),
    "sampler": ("sampler_name",),
    "schedule": ("scheduler",),
}
"""Ours to the inputs that hold it."""
_CONDITIONINGS = {"prompt": ("positive", "conditioning", "cond1"), "negative": ("negative",)}
_THROUGH = ("conditioning", "conditioning_1", "conditioning_2", "conditioning_to", "conditioning_from", "")
_USUAL: dict[str, tuple[object, ...]] = {
    "denoise": (1, None),
    "start_at_step": (0, None),
    "add_noise": ("enable", True, None),
    "return_with_leftover_noise": ("disable", None),
}
_LATENTS = ("latent_image", "latent", "optional_latent", "samples")
_MODELS = ("ckpt_name", "unet_name")
_EMPTY = "ConditioningZeroOut"  # the text before it counts for nothing
_AREA = "ConditioningSetArea"  # the text before it is for a part of the picture
_WORDS = ("text", "prompt", "text_g", "clip_g", "t5xxl", "clip_l", "text_l", "populated_text", "wildcard_text")
"""Inputs of text encoders that hold a text; where several do, the first counts."""
_MOST_SAMPLERS = 64  # that are asked where they start
_QUIET = (
    *("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveAnimatedPNG"),
    *("CheckpointLoaderSimple", "CheckpointLoader", "UNETLoader", "VAELoader"),
    *("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "CLIPTextEncode", "CLIPSetLastLayer"),
    *("VAEDecode", "VAEDecodeTiled", "EmptyLatentImage", "EmptySD3LatentImage"),
    *("Reroute", "Note", "PrimitiveNode"),
)
"""What they do is in the request, or is what we do anyway."""


FORMS: tuple[Callable[[Mapping[str, Any]], Mapping[str, Any]], ...] = (dict, as_prompt)
"""How a graph may be written: as the API has it, or as the page does, which is the less sure."""


def read(texts: Texts, found: Gathering[Any]) -> bool:
    """The request in the first graph."""
    graphs = [graph for form in FORMS for _, data in texts.objects if (graph := Graph.of(form(data))).nodes]
    if not graphs:
        return False
    graph = next((graph for graph in graphs if any(map(_samples, graph.reached()))), graphs[0])
    reached = graph.reached()
    samplers = {node.name: node for node in reached if _samples(node)}
    found.text("prompt_syntax", "comfy")
    asked = list(samplers.values())[:_MOST_SAMPLERS]
    first = next((node for node in asked if _latent(graph, node) is not None), asked[-1] if asked else None)
    if first is None:
        found.lose("the sampler, which no node of the graph is that we know")
        for node in reached:
            if _encodes(node):
                found.lose(f"a prompt: {brief(_words(graph, node, 'prompt', found))}")
    else:
        _sampler(graph, first, found)
    _autoencoder(graph, reached, found)
    for node in reached:
        if UNNAMED in node.inputs:
            found.lose(f"the values of node {brief(node.kind)}, which the workflow does not name")
        if node.name in samplers:
            if node is not first:
                found.lose(f"a further {brief(node.kind)}, denoise {brief(node.inputs.get('denoise', 1))}")
        elif node.name not in graph.used and node.kind not in _QUIET:
            found.lose(f"node {brief(node.kind)}")
            for name, weight, _ in stacks.adapters(graph, node):
                found.lose(f"LoRA {brief(name)} at {brief(weight)}")
    return True


def _samples(node: Node) -> bool:
    inputs, kind = set(node.inputs), node.kind.lower()
    named = node.kind.startswith("KSampler") and not kind.startswith(("ksamplerselect", "ksampler config"))
    piped = "ksampler" in kind and not inputs.isdisjoint(_PIPES)
    alike = {"latent_image", "sampler", "sigmas"} <= inputs or {"latent_image", "sampler_name", "steps"} <= inputs
    return named or piped or alike


def _latent(graph: Graph, sampler: Node) -> Node | None:
    """The empty latent that a sampler starts from, with no other sampler between; a loader may hold its size."""
    latents, pipes = (
        [node for name in names if (node := graph.linked(sampler.inputs.get(name))) is not None]
        for names in (_LATENTS, _PIPES)
    )
    for node in graph.walk(latents or pipes, (*_LATENTS, *_PIPES, "")):
        if _samples(node):
            return None
        if (node.kind.startswith("Empty") and "width" in node.inputs) or "empty_latent_width" in node.inputs:
            return node
    return None


def _sampler(graph: Graph, sampler: Node, found: Gathering[Any]) -> None:
    starts = (graph.linked(sampler.inputs.get(name)) for name in _PARTS)
    parts = [sampler, *graph.walk([node for node in starts if node is not None], _PARTS)]
    graph.used.update(part.name for part in parts)
    holders: dict[str, Node] = {}
    for part in reversed(parts):
        holders |= dict.fromkeys(part.inputs, part)
    inputs = {name: part.inputs[name] for name, part in holders.items()}
    for option, names in _SETTINGS.items():
        _setting(graph, inputs, option, names, found)
    _by_kind(parts[1:], inputs, found)
    for name, usual in _USUAL.items():
        value = graph.value(inputs.get(name), (name,))
        if value not in usual:
            found.lose(f"{name} {brief(value)}")
    last, steps = inputs.get("end_at_step"), inputs.get("steps")
    if isinstance(last, int) and isinstance(steps, int) and last < steps:
        found.lose(f"end_at_step {brief(last)}")
    for option, names in _CONDITIONINGS.items():
        name = next((name for name in names if name in holders), names[0])
        holder = holders.get(name, sampler)
        _prompt(graph, holder if _loads(holder, option) else graph.linked(inputs.get(name)), option, found)
    _size(graph, _latent(graph, sampler), found)
    loader = next((part for part in parts if set(_MODELS) & set(part.inputs)), None)
    _model(graph, graph.linked(inputs.get("model")) or loader, found)


def _setting(
    graph: Graph, inputs: dict[str, object], option: str, names: tuple[str, ...], found: Gathering[Any]
) -> None:
    name = next((name for name in names if name in inputs), None)
    if name is None:
        return
    value = graph.value(inputs[name], names)
    node = graph.linked(inputs[name])
    if value is None and node is not None:
        found.lose(f"{option}, which node {brief(node.kind)} makes")
    if value == "uni_pc":
        found.lose("sampler uni_pc is variant B1 of UniPC; ours is B2")
    found.take(option, value)


def _by_kind(parts: list[Node], inputs: dict[str, object], found: Gathering[Any]) -> None:
    """Settings that are said by what a part is: ``SamplerDPMPP_2M_SDE``, ``KarrasScheduler``, ``BasicGuider``."""
    for part in parts:
        if part.kind == "BasicGuider":
            found.real("guidance", 1.0)
        elif part.kind.startswith("Sampler") and "sampler_name" not in inputs:
            found.sampler(part.kind.removeprefix("Sampler"))
            found.lose_rest(dict(part.inputs))
        elif part.kind.endswith("Scheduler") and "scheduler" not in inputs:
            found.schedule(part.kind)
            found.lose_rest(
                {k: v for k, v in part.inputs.items() if k not in ("steps", "denoise", "model", "model_type")}
            )


def _size(graph: Graph, latent: Node | None, found: Gathering[Any]) -> None:
    if latent is None:
        found.lose("the picture or latent that it starts from")
        return
    graph.used.add(latent.name)
    for option in ("width", "height"):
        link = latent.inputs.get(option, latent.inputs.get(f"empty_latent_{option}"))
        node = graph.linked(link)
        value = graph.value(link, (option,) if node is None or set(node.inputs) <= {"width", "height"} else ())
        if value is None and node is not None:
            found.lose(f"{option}, which node {brief(node.kind)} makes")
        found.take(option, value)


# ---------------------------------------------------------------------------------------------------------- prompts


def _loads(node: Node, option: str) -> bool:
    """Whether a node loads a model and holds a prompt as well."""
    return "ckpt_name" in node.inputs and _CONDITIONINGS[option][0] in node.inputs


def _encodes(node: Node) -> bool:
    """Whether a node makes a conditioning of a text, wherever it stands."""
    return "TextEncode" in node.kind or ("clip" in node.inputs and any(key in node.inputs for key in _WORDS))


def _prompt(graph: Graph, start: Node | None, option: str, found: Gathering[Any]) -> None:
    """The text of the first encoder behind a conditioning; the others are lost."""
    if start is None:
        if option == "prompt":
            found.lose("the prompt, to which no link of the sampler leads")
        return
    through = (*_THROUGH, _CONDITIONINGS[option][0])
    walked = list(graph.walk([start], through, ends=(_EMPTY,)))
    encoders = [node for node in walked if _loads(node, option) or any(key in node.inputs for key in _WORDS)]
    emptied = [node.name for node in walked if node.kind == _EMPTY]
    graph.used.update(emptied)
    if not encoders and not emptied:
        found.lose(f"the {option}, of which node {brief(start.kind)} holds no text")
    areas = {} if option == "negative" else dict(_areas(graph, walked))
    regions = []
    whole = [encoder.name for encoder in encoders if encoder.name not in areas]
    for encoder in encoders:
        words = _words(graph, encoder, option, found)
        if encoder.name in areas and words:
            regions.append(f"{areas[encoder.name]}:{words}")
        elif encoder.name in whole[:1]:
            found.text(option, words)
        else:
            found.lose(f"a further {option}: {brief(words)}")
    found.regions(regions)
    if encoders and option == "prompt":
        _clip_skip(graph, encoders[0], found)


def _areas(graph: Graph, walked: list[Node]) -> Iterator[tuple[str, str]]:
    """Encoders whose text is for an area, at full strength, with left, top, width and height."""
    for node in walked:
        encoder = graph.linked(node.inputs.get("conditioning"))
        box = [node.inputs.get(name) for name in ("x", "y", "width", "height")]
        strong = node.kind == _AREA and node.inputs.get("strength", 1) == 1
        if strong and encoder is not None and all(type(side) is int for side in box):
            graph.used.add(node.name)
            yield encoder.name, ",".join(map(str, box))


def _words(graph: Graph, encoder: Node, option: str, found: Gathering[Any]) -> str | None:
    """An encoder's text."""
    graph.used.add(encoder.name)
    own = _CONDITIONINGS[option][0]
    keys = [key for key in (*([own] if _loads(encoder, option) else []), *_WORDS) if key in encoder.inputs]
    texts = {key: graph.text(encoder.inputs[key], own) for key in keys}
    first = next((text for text in texts.values() if text.words), None)
    for key, text in texts.items():
        for kind in text.missing:
            part = f"the {option}" if text.words is None else f"a part of the {option}"
            found.lose(f"{part}, which node {brief(kind)} makes")
        if first is not None and text.words and text.words != first.words:
            found.lose(f"{key} of the {option}: {brief(text.words)}")
    return None if first is None else first.words


def _clip_skip(graph: Graph, encoder: Node, found: Gathering[Any]) -> None:
    start = graph.linked(encoder.inputs.get("clip")) or encoder
    for node in graph.walk([start], ("clip", "")):
        layer = graph.first(node, ("stop_at_clip_layer", "clip_skip"))
        if type(layer) is int:
            graph.used.add(node.name)
            found.whole("clip_skip", abs(layer))
            return


# ----------------------------------------------------------------------------------------------------------- models


def _model(graph: Graph, start: Node | None, found: Gathering[Any]) -> None:
    """The model's name, and the adapters on the way from it to the sampler."""
    walked = [] if start is None else list(graph.walk([start], ("model", "lora_stack", "optional_lora_stack", "")))
    loader = next((node for node in walked if isinstance(graph.first(node, _MODELS), str)), None)
    if loader is None:
        found.lose("the model, which no loader names")
    else:
        graph.used.add(loader.name)
        found.text("model", graph.first(loader, _MODELS))
        found.take("vae", loader.inputs.get("vae_name"))
    for node in reversed(walked):
        if node.kind in MODEL_PATCHES:
            graph.used.add(node.name)
            patch = MODEL_PATCHES[node.kind]
            found.take(patch.option, patch.method or graph.value(node.inputs.get(patch.input), (patch.input,)))
        for adapter in stacks.adapters(graph, node):
            graph.used.add(node.name)
            found.lora(*adapter)


def _autoencoder(graph: Graph, reached: list[Node], found: Gathering[Any]) -> None:
    """The autoencoder that decodes, if it is not the model's."""
    decoder = next((node for node in reached if node.kind.startswith("VAEDecode")), None)
    loader = None if decoder is None else graph.linked(decoder.inputs.get("vae"))
    if loader is not None:
        found.take("vae", loader.inputs.get("vae_name"))
