"""ComfyUI's API graph: ``{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0], ...}}, ...}``.

An input is a value or a link ``[node, slot]``. The graph is followed backwards from what saves the picture; each walk
visits a node once, so cycles end. Of several samplers, the one that starts from an empty latent is the request; the
others are said to be lost. Prompts keep their own syntax, ``comfy``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.metadata.gathering import Gathering, brief

_SAMPLERS = ("KSampler", "KSamplerAdvanced")
_OUTPUTS = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveAnimatedPNG")
_LOADERS = ("CheckpointLoaderSimple", "CheckpointLoader", "UNETLoader", "CLIPLoader", "DualCLIPLoader", "VAELoader")
_LATENTS = ("EmptyLatentImage", "EmptySD3LatentImage", "VAEDecode")
_QUIET = (*_OUTPUTS, *_LOADERS, *_LATENTS, "CLIPTextEncode", "CLIPSetLastLayer", "Reroute", "Note", "PrimitiveNode")
"""What they do is in the request, or is what we do anyway."""


@dataclass(frozen=True)
class Node:
    """A node of the graph, with the nodes that its links lead to."""

    name: str
    kind: str
    inputs: Mapping[str, Any]


def read(graph: Mapping[str, Any]) -> Gathering | None:
    """The request in a graph; None when nothing in it samples."""
    nodes = dict(_nodes(graph))
    reached = _reached(nodes)
    samplers = [node for node in reached if node.kind in _SAMPLERS]
    if not samplers:
        return None
    first = next((node for node in samplers if _latent(nodes, node) is not None), samplers[-1])
    found = Gathering()
    found.text("prompt_syntax", "comfy")
    _sampler(nodes, first, found)
    for node in reached:
        if node is first:
            continue
        if node.kind in _SAMPLERS:
            found.lose(f"a further {node.kind}, denoise {brief(node.inputs.get('denoise', 1))}")
        elif "lora" in node.kind.lower():
            strength = node.inputs.get("strength_model", 1)
            found.lose(f"{brief(node.kind)} {brief(node.inputs.get('lora_name', ''))} at {brief(strength)}")
        elif node.kind not in _QUIET and not _is_text(node):
            found.lose(f"node {brief(node.kind)}")
    return found


def _nodes(graph: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    for name, node in graph.items():
        if isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict):
            yield name, Node(name, node["class_type"], node["inputs"])


def _linked(nodes: Mapping[str, Node], value: object) -> Node | None:
    """Where a link leads; None for a value, and for a link into the void."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
        return nodes.get(str(value[0])) if not isinstance(value[0], int) or abs(value[0]) < 10**9 else None
    return None


def _reached(nodes: Mapping[str, Node]) -> list[Node]:
    """Nodes that the saved picture depends on, nearest first; all of them when nothing saves."""
    queue = [node for node in nodes.values() if node.kind in _OUTPUTS]
    if not queue:
        return list(nodes.values())
    return list(_walk(nodes, queue))


def _walk(nodes: Mapping[str, Node], start: list[Node], inputs: tuple[str, ...] | None = None) -> Iterator[Node]:
    """Breadth first against the links, through all inputs or those of these names; each node once."""
    queue, seen = list(start), {node.name for node in start}
    for node in queue:
        yield node
        for name, value in node.inputs.items():
            following = _linked(nodes, value) if inputs is None or name in inputs else None
            if following is not None and following.name not in seen:
                seen.add(following.name)
                queue.append(following)


def _latent(nodes: Mapping[str, Node], sampler: Node) -> Node | None:
    """The empty latent that a sampler starts from, with no other sampler between."""
    start = _linked(nodes, sampler.inputs.get("latent_image"))
    if start is None:
        return None
    for node in _walk(nodes, [start], ("samples", "latent", "latent_image", "")):
        if node.kind in _SAMPLERS:
            return None
        if node.kind.startswith("Empty") and "width" in node.inputs:
            return node
    return None


def _sampler(nodes: Mapping[str, Node], node: Node, found: Gathering) -> None:
    inputs = node.inputs
    found.whole("seed", _value(nodes, inputs.get("seed", inputs.get("noise_seed"))))
    found.whole("steps", _value(nodes, inputs.get("steps")))
    found.real("guidance", _value(nodes, inputs.get("cfg")))
    found.sampler(_value(nodes, inputs.get("sampler_name")))
    found.schedule(_value(nodes, inputs.get("scheduler")))
    denoise = _value(nodes, inputs.get("denoise", 1))
    if denoise not in (1, None):
        found.lose(f"denoise {brief(denoise)}")
    for name, usual in (("start_at_step", 0), ("add_noise", "enable"), ("return_with_leftover_noise", "disable")):
        if inputs.get(name, usual) != usual:
            found.lose(f"{name} {brief(inputs[name])}")
    last, steps = inputs.get("end_at_step"), inputs.get("steps")
    if isinstance(last, int) and isinstance(steps, int) and last < steps:
        found.lose(f"end_at_step {brief(last)}")
    for option, name in (("prompt", "positive"), ("negative", "negative")):
        _prompt(nodes, inputs.get(name), option, found)
    latent = _latent(nodes, node)
    if latent is None:
        found.lose("the picture or latent that it starts from")
    else:
        found.whole("width", _value(nodes, latent.inputs.get("width")))
        found.whole("height", _value(nodes, latent.inputs.get("height")))
    _model(nodes, inputs.get("model"), found)


def _prompt(nodes: Mapping[str, Node], link: object, option: str, found: Gathering) -> None:
    """The text of the first encoder behind a conditioning; the others are lost."""
    start = _linked(nodes, link)
    if start is None:
        return
    through = ("conditioning", "conditioning_1", "conditioning_2", "conditioning_to", "conditioning_from", option)
    encoders = [
        encoder
        for encoder in _walk(nodes, [start], (*through, "positive" if option == "prompt" else option, ""))
        if "TextEncode" in encoder.kind
    ]
    if not encoders:
        found.lose(f"the {option}, which no text encoder makes")
        return
    for place, encoder in enumerate(encoders):
        text = _value(nodes, encoder.inputs.get("text", encoder.inputs.get("text_g")))
        if place:
            found.lose(f"a further {option}: {brief(text)}")
        else:
            found.text(option, text)
    clip = _linked(nodes, encoders[0].inputs.get("clip"))
    for node in [] if clip is None else _walk(nodes, [clip], ("clip", "")):
        layer = node.inputs.get("stop_at_clip_layer")
        if option == "prompt" and node.kind == "CLIPSetLastLayer" and type(layer) is int:
            found.whole("clip_skip", -layer)
            return


def _model(nodes: Mapping[str, Node], link: object, found: Gathering) -> None:
    start = _linked(nodes, link)
    for node in [] if start is None else _walk(nodes, [start], ("model", "")):
        for name in ("ckpt_name", "unet_name"):
            if isinstance(node.inputs.get(name), str):
                found.text("model", node.inputs[name])
                return
    found.lose("the model, which no loader names")


def _is_text(node: Node) -> bool:
    """A node that does nothing but hold a value."""
    return bool(node.inputs) and set(node.inputs) <= {"text", "string", "value", "int", "float", "seed"}


def _value(nodes: Mapping[str, Node], value: object) -> object:
    """A value, or the one in the node that its link leads to, through any number of them."""
    seen: set[str] = set()
    while (node := _linked(nodes, value)) is not None and node.name not in seen:
        seen.add(node.name)
        names = ("text", "string", "value", "int", "float", "seed", "")
        value = next((node.inputs[name] for name in names if name in node.inputs), None)
    return None if isinstance(value, list) else value
