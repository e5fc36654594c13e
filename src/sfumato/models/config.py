"""Configurations as frozen dataclasses, read strictly from the `config.json` of a diffusers or transformers folder."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from sfumato.errors import CheckpointError


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value


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
    def from_json(cls, data: Mapping[str, Any], source: str = "config.json") -> Self:
        """Build from a parsed `config.json`.

        Raises:
            CheckpointError: for a key we do not know or a value we do not implement, naming it and `source`.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        for key, value in data.items():
            if key in cls.fixed and value not in cls.fixed[key]:
                allowed = " or ".join(repr(v) for v in cls.fixed[key])
                raise CheckpointError(
                    f"{source}: {key}={value!r} is not supported for {cls.class_name}, only {allowed}"
                )
            known = key in fields or key in cls.fixed or key in cls.ignored or key.startswith("_")
            if not known and not cls.tolerant:
                raise CheckpointError(f"{source}: unknown key {key!r} for {cls.class_name}; is it another model?")
        return cls(**{key: _freeze(value) for key, value in data.items() if key in fields})

    def to_json(self) -> dict[str, Any]:
        """The `config.json` that diffusers (or transformers) reads: our fields plus the fixed ones' first value."""
        fixed = {key: values[0] for key, values in self.fixed.items()}
        return {"_class_name": self.class_name, **fixed, **dataclasses.asdict(self)}
