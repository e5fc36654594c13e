"""Training a byte-pair tokenizer of CLIP's form on captions."""

import json
from collections.abc import Iterable

from tokenizers import pre_tokenizers
from tokenizers.trainers import BpeTrainer

from sfumato.models.tokenizer import BEGIN, END, ClipTokenizer, bpe


def train_tokenizer(texts: Iterable[str], size: int, length: int) -> ClipTokenizer:
    """Learn `size` pieces, begin and end of text included, from `texts`; any other string still has tokens (bytes).

    `length` is the window in tokens, begin and end included.
    """
    tokenizer = bpe()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=size - len(letters) - 2,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = tuple((first, second) for first, second in model["merges"])
    unique = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), BEGIN, END])
    return ClipTokenizer({piece: i for i, piece in enumerate(unique)}, merges, length)
