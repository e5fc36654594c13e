"""Pictures in DICOM files: their stored values read, and others written in their place; nothing else is changed.

pydicom is an extra (``medical``). Values are those that are stored: window, rescale slope and photometric
interpretation say how they are shown, and stay what they are.
"""

import importlib.util
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Num

from sfumato.errors import RequestError, installed_by

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

SHOWN = ("MONOCHROME1", "MONOCHROME2", "RGB")


@dataclass(frozen=True)
class Scan:
    """The picture of a DICOM file.

    Attributes:
        values: as they are stored, (h, w), or (h, w, 3) of colour.
        modality: as CT, MR, DX.
    """

    values: Num[np.ndarray, "h w *c"]
    modality: str


def is_dicom(data: bytes) -> bool:
    """Whether bytes begin as a DICOM file does."""
    return data[128:132] == b"DICM"


def read(data: bytes, name: str) -> Scan:
    """The one picture of a file.

    Raises:
        RequestError: pydicom is not there, or the file is damaged, has no picture, several, or one that cannot be
            decoded; in a line that calls it `name`.
    """
    found = _opened(data, name)
    kind = found.get("Modality", "")
    if "PixelData" not in found:
        raise RequestError(f"{name} is a DICOM object without pixels ({kind or 'of no modality'}); give a picture")
    frames = int(found.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise RequestError(f"{name} has {frames} frames; save the one that is meant as a file of its own")
    shown = str(found.get("PhotometricInterpretation", ""))
    if shown not in SHOWN:
        raise RequestError(f"{name} is {shown or 'of no photometric interpretation'}; {', '.join(SHOWN)} are taken")
    try:
        values = found.pixel_array
    except Exception as error:  # decoders raise whatever they stumble over
        said = " ".join(str(error).split())[:160]
        syntax = getattr(found.file_meta.get("TransferSyntaxUID"), "name", "an unknown transfer syntax")
        raise RequestError(
            f"{name} cannot be decoded ({syntax}: {said}); install pylibjpeg and its plugins, or decompress it"
        ) from None
    return Scan(np.asarray(values), str(kind))


def written(data: bytes, values: Float[np.ndarray, "h w *c"], said: str) -> bytes:
    """The file with other values in its pixels, at their depth, uncompressed. It says that it is derived, and how.

    Args:
        data: of the file that they come from.
        values: in the units of what is stored; rounded, and clipped to what the depth can hold.
        said: what was done.

    Raises:
        RequestError: as `read`.
    """
    import hashlib

    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    found = _opened(data, "the DICOM file")
    before = np.asarray(found.pixel_array)
    bits, signed = int(found.BitsStored), bool(found.PixelRepresentation)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if found.file_meta.TransferSyntaxUID.is_compressed:  # whose pixels are replaced as a whole
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        found["PixelData"].is_undefined_length = False
    little = bool(found.file_meta.TransferSyntaxUID.is_little_endian)
    stored = np.clip(np.rint(values), low, high).astype(before.dtype.newbyteorder("<" if little else ">"))
    if before.ndim == 3 and int(found.get("PlanarConfiguration", 0)) == 1:
        stored = np.moveaxis(stored, 2, 0)
    pixels = stored.tobytes()
    found.PixelData = pixels + b"\0" * (len(pixels) % 2)
    found["PixelData"].VR = "OW" if found.BitsAllocated > 8 else "OB"
    kinds = list(found.get("ImageType", ["ORIGINAL", "PRIMARY"]))
    found.ImageType = ["DERIVED", *kinds[1:]]
    found.DerivationDescription = said[:1024]
    digest = hashlib.sha256(pixels + said.encode()).hexdigest()
    found.SOPInstanceUID = generate_uid(entropy_srcs=[str(found.get("SOPInstanceUID", "")), digest])
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    buffer = io.BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def require() -> None:
    """Raises RequestError where pydicom is not installed."""
    if importlib.util.find_spec("pydicom") is None:
        raise RequestError(f"DICOM files need pydicom: {installed_by('medical')}")


def _opened(data: bytes, name: str) -> "FileDataset":
    require()
    from pydicom import dcmread

    try:
        found: Any = dcmread(io.BytesIO(data))
        found.file_meta.TransferSyntaxUID  # noqa: B018 - what is missing is told here
    except Exception as error:  # whatever a damaged file makes it stumble over
        said = " ".join(str(error).split())[:160]
        raise RequestError(f"{name} is no sound DICOM file: {said}") from None
    return found
