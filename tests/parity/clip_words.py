"""transformers' tokenizer of CLIP's vocabulary, made once: to read 49,408 words takes as long as to paint."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import CLIPTokenizer

from sfumato.models.tokenizer import END, ClipTokenizer


@cache
def clip_tokenizer(padding: str = END) -> CLIPTokenizer:
    """Read only."""
    clip = ClipTokenizer.clip()
    with TemporaryDirectory() as folder:
        ClipTokenizer(clip.vocabulary, clip.merges, padding=padding).save(Path(folder))
        return CLIPTokenizer.from_pretrained(folder)
