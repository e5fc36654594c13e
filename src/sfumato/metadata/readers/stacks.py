"""LoRAs in nodes of ComfyUI: one, or a stack of them, by the names that loaders have for their inputs."""

from collections.abc import Iterator

from sfumato.metadata.readers.graph import Graph, Node

Adapter = tuple[object, object, object]
"""A file, and its weights in the denoiser and in the text encoders; None for the other's."""

_ROWS = (
    ("lora_name", ("strength_model", "lora_model_strength", "strength"), ("strength_clip", "lora_clip_strength")),
    ("lora_name_{}", ("model_weight_{}", "model_str_{}"), ("clip_weight_{}", "clip_str_{}")),  # Comfyroll, Efficiency
    ("lora{}_name", ("lora{}_model_strength",), ("lora{}_clip_strength",)),  # tinyterra
    ("lora_0{}", ("strength_0{}",), ()),  # rgthree
)
"""A name and its weights; ``{}`` counts from 1."""
_SIMPLE = ("lora_name_{}", ("lora_wt_{}",), ())  # Efficiency's other mode


def adapters(graph: Graph, node: Node) -> Iterator[Adapter]:
    """Those that a node applies, in its order."""
    inputs = node.inputs
    for row in inputs.values():
        if isinstance(row, dict) and "lora" in row and row.get("on", True):  # rgthree's Power Lora Loader
            yield from _applied(row["lora"], row.get("strength", 1), row.get("strengthTwo"))
    count = inputs.get("lora_count")
    for name, weights, text_weights in (_SIMPLE,) if inputs.get("input_mode") == "simple" else _ROWS:
        place = 1
        while (file := inputs.get(name.format(place))) is not None:
            weight, text = (graph.first(node, [key.format(place) for key in keys]) for keys in (weights, text_weights))
            if node.kind.endswith("ModelOnly"):
                text = 0.0
            if inputs.get(f"switch_{place}") != "Off" and not (isinstance(count, int) and place > count):
                yield from _applied(file, 1.0 if weight is None else weight, text)
            if "{}" not in name:
                break
            place += 1


def _applied(file: object, weight: object, text: object) -> Iterator[Adapter]:
    if file != "None" and (weight, text) not in ((0, 0), (0, None)):
        yield file, weight, text
