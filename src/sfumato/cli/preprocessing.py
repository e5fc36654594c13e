"""``sfumato preprocess``: what a control is shown, as a file to look at."""

from pathlib import Path
from typing import get_args

from sfumato.choices import Preprocessor
from sfumato.errors import RequestError, UnknownNameError
from sfumato.output import format_of, save_image
from sfumato.requests import Source


def preprocess(how: str, image: str, output: Path) -> None:
    """Write what a preprocessor makes of a picture, and print the file's path.

    Raises:
        UnknownNameError: there is no such preprocessor.
        RequestError: no picture, or no format of ours to write it in.
        OutputError: it cannot be written.
    """
    chosen: Preprocessor | None = next((name for name in get_args(Preprocessor) if name == how), None)
    if chosen is None:
        raise UnknownNameError("preprocessor", how[:64], get_args(Preprocessor))
    format = format_of(output)
    if format is None:
        raise RequestError(f"{output} is of no format that is written here; name it .png, .jpg, .webp or .avif")
    source = Source.of(image)
    source.read()
    from sfumato.preprocess import preprocessed
    from sfumato.tasks.sources import read

    save_image(preprocessed(read(source).image, chosen), output, {}, format)
    print(output)
