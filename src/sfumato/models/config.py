"""Configurations as frozen dataclasses, read strictly from the `config.json` of a diffusers or transformers folder."""

import dataclasses
import logging
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Self, get_args, get_origin

from sfumato.errors import CheckpointError

log = logging.getLogger(__name__)

MAX_LAYERS = 1000
"""No published network has as many layers or blocks of a kind: refused before memory is taken for them."""

WRITERS = frozenset(
    # diffusers' `EMAModel.save_pretrained`
    {"decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"}
    # how a program loaded the weights that it then saved
    | {"torch_dtype", "dtype", "use_safetensors", "low_cpu_mem_usage", "variant"}
)
"""Keys about the writing of a file, which no network reads."""


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _single(value: Any) -> Any:
    """A list of equal items as the item, which diffusers takes in its place."""
    return value[0] if isinstance(value, tuple) and value and all(item == value[0] for item in value) else value


def _is(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of the type of a field."""
    if get_origin(hint) is types.UnionType:
        return any(_is(value, option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        wanted = (inner[0],) * len(value) if inner[-1] is ... and isinstance(value, tuple) else inner
        return isinstance(value, tuple) and len(value) == len(wanted) and all(map(_is, value, wanted))
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    return isinstance(value, int | float if hint is float else hint)


def _named(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) is types.UnionType:
        return " or ".join(map(_named, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list"
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return words.get(hint, "null")


def _brief(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _layers(value: Any) -> int:
    """The largest number in a value."""
    if isinstance(value, tuple):
        return max(map(_layers, value), default=0)
    return value if isinstance(value, int) else 0


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model's configuration.

    Fields are what we implement. `fixed` lists the other published keys with the only values that we implement:
    a file that says otherwise is refused instead of being painted wrongly. `ignored` keys do not change the function.
    """

    class_name: ClassVar[str]
    """The name of the class in diffusers or transformers, written as `_class_name` or `architectures`."""
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    ignored: ClassVar[frozenset[str]] = frozenset()
    tolerant: ClassVar[bool] = False
    """Ignore keys that we do not know: transformers files carry dozens of generation settings of every version."""

    @classmethod
    def describes(cls, data: Mapping[str, Any]) -> bool:
        """Whether a `config.json` that names `class_name` is of this kind, where several are called so."""
        return True

    @classmethod
    def from_json(cls, data: Mapping[str, Any], source: str = "config.json") -> Self:
        """Build from a parsed `config.json`. A list of equal values is taken for the value where one is wanted. Keys
        that no network reads are named in a warning, as diffusers does.

        Raises:
            CheckpointError: for a value of the wrong type or one that we do not implement, naming it and `source`.
        """
        hints = {field.name: field.type for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        unknown = []
        for key, given in data.items():
            value = _frozen(given)
            if key in cls.fixed and (allowed := tuple(map(_frozen, cls.fixed[key]))):
                if value not in allowed and (value := _single(value)) not in allowed:
                    known = " or ".join(repr(v) for v in cls.fixed[key])
                    raise CheckpointError(
                        f"{source}: {key}={_brief(given)} is not supported for {cls.class_name}, only {known}"
                    )
            elif key not in hints:
                if not (cls.tolerant or key in cls.ignored or key in WRITERS or key.startswith("_")):
                    unknown.append(key)
                continue
            if key in hints:
                values[key] = cls._checked(key, value, hints[key], source)
        if unknown:
            named = ", ".join(repr(key[:60]) for key in unknown[:5]) + (" ..." if len(unknown) > 5 else "")
            log.warning("%s: %s has no setting %s; ignored", source, cls.class_name, named)
        return cls(**values)

    @classmethod
    def _checked(cls, key: str, value: Any, hint: Any, source: str) -> Any:
        if not _is(value, hint):
            value, given = _single(value), value
            if not _is(value, hint):
                raise CheckpointError(
                    f"{source}: {key}={_brief(given)} is not supported for {cls.class_name}, only {_named(hint)}"
                )
        if ("layers" in key or "blocks" in key) and _layers(value) > MAX_LAYERS:
            raise CheckpointError(f"{source}: {key}={_brief(value)} describes no network; at most {MAX_LAYERS}")
        return value

    def to_json(self) -> dict[str, Any]:
        """The `config.json` that diffusers (or transformers) reads: our fields plus the fixed ones' first value."""
        fixed = {key: values[0] for key, values in self.fixed.items()}
        return {"_class_name": self.class_name, **fixed, **dataclasses.asdict(self)}
