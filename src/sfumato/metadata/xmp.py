"""XMP packets: texts of ours as properties, and the IPTC statement of what made the picture.

Packets are searched for our own elements rather than parsed, so that no entity of a hostile one is ever expanded.
The source type is IPTC Photo Metadata Standard 2023.1, section "Digital Source Type".
"""

import html
import re
from collections.abc import Mapping

PNG_KEYWORD = "XML:com.adobe.xmp"
JPEG_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = f"{SOURCES}trainedAlgorithmicMedia"
"""The picture was made by a trained model alone."""
SOURCE = "sfumatosource"
"""The text that names another of IPTC's source types, as ``algorithmicallyEnhanced``."""

_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
_TAIL = '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
_OPEN = (
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:sfumato="urn:x-sfumato:1/">'
)
_CLOSE = "</rdf:Description>"
_TEXT = re.compile(r"<sfumato:([a-z]+)>([^<]*)</sfumato:\1>")
_COMMENT = re.compile(r"<(exif:UserComment|dc:description)>\s*<rdf:Alt>\s*<rdf:li[^<>]*>([^<]*)</rdf:li>")


def write(texts: Mapping[str, str], old: bytes | None = None) -> bytes:
    """A packet with the source type and `texts`; what others wrote into an `old` one stays."""
    kind = f"{SOURCES}{_escaped(texts[SOURCE])}" if SOURCE in texts else TRAINED
    source = f"<Iptc4xmpExt:DigitalSourceType>{kind}</Iptc4xmpExt:DigitalSourceType>"
    properties = "".join(f"<sfumato:{name}>{_escaped(text)}</sfumato:{name}>" for name, text in texts.items())
    ours = f"{_OPEN}{source}{properties}{_CLOSE}"
    foreign = _without_ours(old)
    end = foreign.rfind("</rdf:RDF>")
    packet = _HEAD + ours + _TAIL if end < 0 else foreign[:end] + ours + foreign[end:]
    return packet.encode("utf-8")


def read(packet: bytes) -> dict[str, str]:
    """Our texts in a packet, of whatever tool; empty if there are none."""
    return {name: html.unescape(text) for name, text in _TEXT.findall(packet.decode("utf-8", "replace"))}


def comment(packet: bytes) -> str | None:
    """The ``exif:UserComment``, where Draw Things has its settings, else the description, where GIMP keeps comments."""
    found = dict(_COMMENT.findall(packet.decode("utf-8", "replace")))
    text = found.get("exif:UserComment", found.get("dc:description"))
    return None if text is None else html.unescape(text)


def says_generated(packet: bytes) -> bool:
    """Whether it says that a trained algorithm made the picture."""
    return TRAINED.encode() in packet


def _without_ours(old: bytes | None) -> str:
    try:
        text = "" if old is None else old.decode("utf-8")
    except UnicodeDecodeError:
        return ""  # no XMP that is in use: the specification allows UTF-16, and nobody writes it
    start = text.find(_OPEN)
    end = text.find(_CLOSE, start)
    return text if start < 0 or end < 0 else text[:start] + text[end + len(_CLOSE) :]


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\r", "&#13;")
