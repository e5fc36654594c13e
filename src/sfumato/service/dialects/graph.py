"""ComfyUI's API graph as one request: ``{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0]}}}``.

An input is a value or a link ``[node, slot]``. The graph is followed from its outputs through `nodes.NODES`. Whatever
does not come to one painting is refused, and the node is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sfumato.errors import RequestError, UnknownNameError
from sfumato.metadata.gathering import brief
from sfumato.requests import Img2Img, Inpaint, Painting, Request, Source, Txt2Img, Upscale
from sfumato.service.dialects.inputs import Input
from sfumato.service.dialects.links import Enlarged, GraphError, Mask
from sfumato.service.dialects.nodes import NODES, Kind, is_output

_DEEPEST = 100  # links from an output to the last node behind it
_NESTED = 16  # objects and lists within another


@dataclass(frozen=True)
class Translated:
    """What a graph asks for.

    Attributes:
        mask: of an inpainting, to be made of its upload.
        outputs: nodes that show the pictures.
        sampler: the node that paints, or enlarges.
    """

    kind: type[Request]
    options: Mapping[str, Any]
    mask: Mask | None
    outputs: tuple[str, ...]
    sampler: str

    def request(self, mask: str | None) -> Request:
        """The request; `mask` is the digest of its picture.

        Raises:
            GraphError: it breaks a rule.
        """
        options = dict(self.options)
        if self.mask is not None:
            options |= {"mask": Source(sha256=mask), "invert": self.mask.inverted}
        try:
            return self.kind.build(**options)
        except RequestError as error:
            raise GraphError("invalid_request", str(error), node=self.sampler) from None


@dataclass
class _Walk:
    """A graph as it is carried out; each node once."""

    nodes: Mapping[str, Mapping[str, Any]]
    made: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    sampler: str = ""
    _open: list[str] = field(default_factory=list)

    def outputs_of(self, id: str) -> tuple[Any, ...]:
        """What a node makes.

        Raises:
            GraphError: it cannot.
        """
        if id not in self.made:
            if id in self._open or len(self._open) >= _DEEPEST:
                raise GraphError("dependency_cycle", f"node {brief(id)} hangs upon itself, or too many others", node=id)
            self._open.append(id)
            name = self.nodes[id]["class_type"]
            try:
                self.made[id] = NODES[name].make(**dict(self._values(id, NODES[name])))
            except GraphError as error:
                raise (
                    error if error.node is not None else GraphError(error.type, str(error), node=id, input=error.input)
                ) from None
            except RequestError as error:
                raise GraphError("unsupported_graph", f"{name}: {error}", node=id) from None
            if name.startswith("KSampler") or (name == "ImageUpscaleWithModel" and not self.sampler):
                self.sampler = id
            self._open.pop()
        return self.made[id]

    def _values(self, id: str, kind: Kind) -> Iterator[tuple[str, Any]]:
        given = self.nodes[id].get("inputs")
        given = given if isinstance(given, dict) else {}
        for name, how in kind.inputs.items():
            if name in given:
                value = given[name]
                yield name, self._linked(value, name, how) if isinstance(value, list) else how.value(value, name)
            elif how.default is not None:
                yield name, how.default
            else:
                raise GraphError("required_input_missing", f"{name} is missing; give it", node=id, input=name)

    def _linked(self, link: list[Any], name: str, how: Input) -> Any:
        if len(link) != 2 or type(link[1]) is not int or str(link[0]) not in self.nodes:
            raise GraphError("bad_linked_input", f"{name} {brief(str(link))} is no link to a node", input=name)
        id, slot = str(link[0]), link[1]
        types = NODES[self.nodes[id]["class_type"]].outputs
        if not 0 <= slot < len(types) or types[slot] != how.type:
            is_ = types[slot] if 0 <= slot < len(types) else "nothing"
            raise GraphError(
                "return_type_mismatch", f"{name} takes a {how.type}, and node {brief(id)} gives {is_}", input=name
            )
        return self.outputs_of(id)[slot]


def _is_shallow(value: object, depth: int = _NESTED) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in inner)


def translated(graph: object) -> Translated:
    """The request of a graph.

    Raises:
        GraphError: it has none, or more than one; a node is not known, or is not used as it can be here.
    """
    if not isinstance(graph, dict) or not graph:
        raise GraphError("no_prompt", "prompt is missing; give a graph in API format")
    if not _is_shallow(graph):
        raise GraphError("invalid_prompt", f"the graph is nested over {_NESTED} deep; inputs are values and links")
    for id, node in graph.items():
        name = node.get("class_type") if isinstance(node, dict) else None
        if not isinstance(name, str):
            raise GraphError("invalid_prompt", f"node {brief(id)} has no class_type; save the graph in API format")
        if name not in NODES:
            raise GraphError("missing_node_type", str(UnknownNameError("node", name[:80], NODES)), node=id)
    ends = tuple(id for id, node in graph.items() if is_output(node))
    if not ends:
        raise GraphError("prompt_no_outputs", "the graph has no output; add SaveImage")
    walk = _Walk(graph)
    shown = [walk.outputs_of(id)[0].painting for id in ends]
    if any(each != shown[0] for each in shown[1:]):
        raise GraphError("unsupported_graph", "the graph paints several pictures; ask for each by itself", node=ends[1])
    painting = shown[0]
    if isinstance(painting, Enlarged):
        options = {"image": Source(sha256=painting.digest), "method": painting.upscaler}
        return Translated(Upscale, options, None, ends, walk.sampler)
    mask = painting.begun.mask
    kind: type[Painting] = Txt2Img if not painting.begun.picture else Img2Img if mask is None else Inpaint
    vae = {} if painting.vae is None or painting.vae.file is None else {"vae": painting.vae.file}
    return Translated(kind, {**painting.options, **vae}, mask, ends, walk.sampler)
