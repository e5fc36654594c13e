"""A labelled set: the pictures of a folder by class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sfumato.decoding import pictures_in
from sfumato.errors import RequestError
from sfumato.requests.fields import checked_labels

Classes = Mapping[str, Sequence[Path]]
"""Label -> its pictures."""


def read_classes(folder: Path) -> Classes:
    """The pictures of a folder by class: a folder a class, or beside each picture a ``.txt`` with its label.

    Raises:
        RequestError: no such folder, no pictures, or fewer than two classes.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder}; give one with a folder of pictures for each class")
    found: dict[str, list[Path]] = {}
    inside = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    for each in inside:
        if pictures := pictures_in(each):
            found[each.name] = pictures
    if not found:
        for picture in pictures_in(folder):
            caption = picture.with_suffix(".txt")
            if caption.is_file():
                found.setdefault(caption.read_text(encoding="utf-8").strip(), []).append(picture)
    if len(found) < 2:
        raise RequestError(
            f"{folder} has {len(found)} classes of pictures; two or more are needed to tell whether a label is kept: a "
            "folder for each, or a .txt with the label beside each picture"
        )
    checked_labels(list(found))
    return found
