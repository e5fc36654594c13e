"""ComfyUI's workflow, as its page draws it, in the form of its API graph: for pictures and files that lost the latter.

Links stand apart, and values of widgets in a list without names. Recent pages name the widgets among a node's inputs;
for older ones `WIDGETS` has the nodes that come with ComfyUI. Where neither tells every value, none is guessed: they
are kept together as `UNNAMED`. A muted node is left out; a bypassed one hands on its first input of the type asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

UNNAMED = "widgets_values"

WIDGETS: Mapping[str, tuple[str, ...]] = {
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CLIPLoader": ("clip_name", "type"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncode": ("text",),
    "ConditioningSetArea": ("width", "height", "x", "y", "strength"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        *("add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler"),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "KSamplerSelect": ("sampler_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "PerturbedAttentionGuidance": ("scale",),
    "PrimitiveNode": ("value",),
    "RandomNoise": ("noise_seed",),
    "RescaleCFG": ("multiplier",),
    "SamplerCustom": ("add_noise", "noise_seed", "cfg"),
    "SaveImage": ("filename_prefix",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "VAELoader": ("vae_name",),
}
"""Widgets of ComfyUI's own nodes, in their order."""
_SEEDS = ("seed", "noise_seed", "value")
_AFTER = ("fixed", "increment", "decrement", "randomize")
"""What is to become of a seed, which stands behind it without being an input."""
_MUTED, _BYPASSED = 2, 4
_MOST_HOPS = 16


def as_prompt(data: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow in a JSON object as an API graph; empty where it is none."""
    nodes = {str(node["id"]): node for node in _dicts(data.get("nodes")) if isinstance(node.get("id"), str | int)}
    links = dict(_links(data.get("links")))
    return {
        name: {"class_type": node["type"], "inputs": _inputs(node, nodes, links)}
        for name, node in nodes.items()
        if isinstance(node.get("type"), str) and node.get("mode") not in (_MUTED, _BYPASSED)
    }


_Link = tuple[str, int]
"""The node that it comes from, and which of its outputs."""


def _links(given: object) -> Iterator[tuple[object, _Link]]:
    """Links by their names: lists ``[link, node, output, ...]``, or objects."""
    for link in given if isinstance(given, list) else ():
        if isinstance(link, dict):
            link = [link.get("id"), link.get("origin_id"), link.get("origin_slot")]
        if isinstance(link, list) and len(link) > 2 and all(isinstance(part, str | int) for part in link[:3]):
            yield link[0], (str(link[1]), link[2] if isinstance(link[2], int) else 0)


def _inputs(node: Mapping[str, Any], nodes: Mapping[str, Any], links: Mapping[object, _Link]) -> dict[str, Any]:
    found = _values(node)
    for given in _dicts(node.get("inputs")):
        name, link = given.get("name"), given.get("link")
        source = _source(links.get(link), nodes, links) if isinstance(link, str | int) else None
        if isinstance(name, str) and source is not None:
            found[name] = list(source)
    return found


def _source(link: _Link | None, nodes: Mapping[str, Any], links: Mapping[object, _Link]) -> _Link | None:
    """Where a link comes from, through bypassed nodes."""
    for _ in range(_MOST_HOPS):
        node = None if link is None else nodes.get(link[0])
        if link is None or node is None or node.get("mode") == _MUTED:
            return None
        if node.get("mode") != _BYPASSED:
            return link
        outputs = _dicts(node.get("outputs"))
        kind = outputs[link[1]].get("type") if 0 <= link[1] < len(outputs) else None
        alike = (given for given in _dicts(node.get("inputs")) if given.get("type") == kind)
        passed = next((given.get("link") for given in alike), None)
        link = links.get(passed) if isinstance(passed, str | int) else None
    return None


def _values(node: Mapping[str, Any]) -> dict[str, Any]:
    values = node.get("widgets_values")
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if not isinstance(value, list)}
    if not isinstance(values, list) or not values:
        return {}
    told = [
        given["widget"].get("name") for given in _dicts(node.get("inputs")) if isinstance(given.get("widget"), dict)
    ]
    for names in (tuple(told), WIDGETS.get(str(node.get("type")), ())):
        if all(isinstance(name, str) for name in names) and (found := _named(names, values)) is not None:
            return found
    return {UNNAMED: {"values": values}}


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any] | None:
    """The values by these names; None where they are not as many."""
    rest, found = list(values), {}
    for name in names:
        if not rest:
            return None
        found[name] = rest.pop(0)
        if name in _SEEDS and rest and rest[0] in _AFTER:
            rest.pop(0)
    return None if rest or any(isinstance(value, list) for value in found.values()) else found


def _dicts(given: object) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
