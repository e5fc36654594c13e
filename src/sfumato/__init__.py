"""sfumato: a complete Stable Diffusion system, CPU first.

>>> import sfumato
>>> sfumato.Studio().txt2img("a red apple, white background", seed=1).images[0]

Importing the package is cheap: the engine is loaded when `Studio` is first touched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfumato.results import Result
    from sfumato.studio import Studio

    __version__: str

__all__ = ["Result", "Studio", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Studio":
        from sfumato.studio import Studio

        return Studio
    if name == "Result":
        from sfumato.results import Result

        return Result
    if name == "__version__":
        from importlib.metadata import version

        return version("sfumato")
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")
