"""Windows of tokens, and what comes out of an encoder for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sfumato.checkpoints.folder import load_folder
from sfumato.errors import RequestError
from sfumato.families import Model
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts import Emphasis, Piece, Reading, Segment, Syntax, Wording, parse, timeline
from sfumato.prompts.chunks import pack, padded
from sfumato.prompts.encode import encode

CLIP = ClipTokenizer.clip()
ROOM = CLIP.length - 2


def words(*segments: str | tuple[tuple[str, float], ...]) -> Wording:
    pieces = [((segment, 1.0),) if isinstance(segment, str) else segment for segment in segments]
    return Wording(tuple(Segment(tuple(Piece(*piece) for piece in row)) for row in pieces))


def reading(text: str, syntax: Syntax = "a1111") -> Reading:
    return timeline(parse(text, syntax), 1)[0].readings[0]


# ---------------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("text", ["", "a red fox", "cat " * ROOM, "é, 狐 🦊!"])
@pytest.mark.parametrize("padding", ["<|endoftext|>", "!"])
def test_one_window_is_the_tokenizers_own(text: str, padding: str) -> None:
    tokenizer = ClipTokenizer(CLIP.vocabulary, CLIP.merges, padding=padding)
    chunks = pack(words(text), tokenizer)
    assert torch.equal(chunks.ids, tokenizer([text]))
    assert bool((chunks.weights == 1).all())


def inner(ids: Tensor) -> list[list[int]]:
    """The words of each window."""
    rows: list[list[int]] = ids.tolist()
    return [row[1 : row.index(CLIP.end)] for row in rows]


@pytest.mark.parametrize(
    ("before", "expected"),
    [(ROOM - 20, ROOM - 19), (ROOM - 21, ROOM), (ROOM - 1, ROOM), (ROOM, ROOM), (ROOM - 5, ROOM - 4)],
)
def test_what_follows_a_near_comma_moves_on(before: int, expected: int) -> None:
    """`before` words, a comma, 30 words: a comma among the last 20 places ends the window."""
    text = "cat " * before + "," + " dog" * 30
    chunks = pack(words(text), CLIP)
    assert [len(row) for row in inner(chunks.ids)] == [expected, before + 31 - expected]
    hard = pack(words(text), CLIP, backtrack=0)
    assert [len(row) for row in inner(hard.ids)] == [ROOM, before + 31 - ROOM]


def test_weights_stay_with_their_words() -> None:
    chunks = pack(words((("cat " * 70 + ",", 1.0), ("dog " * 10, 1.5))), CLIP)
    [dog] = CLIP.words("dog")
    assert chunks.weights.shape == chunks.ids.shape == (2, CLIP.length)
    assert torch.equal(chunks.weights == 1.5, chunks.ids == dog)
    assert [len(row) for row in inner(chunks.ids)] == [71, 10]


def test_a_break_starts_a_window() -> None:
    chunks = pack(words("a", "", "b", ""), CLIP)
    assert inner(chunks.ids) == [CLIP.words("a"), [], CLIP.words("b")]
    assert torch.equal(padded(chunks, 5, CLIP).ids[3:], CLIP(["", ""]))
    assert len(padded(chunks, 2, CLIP)) == 3


def test_padding_follows_the_first_end() -> None:
    tokenizer = ClipTokenizer(CLIP.vocabulary, CLIP.merges, padding="!")
    row = pack(words("a fox", "b"), tokenizer).ids[0].tolist()
    assert row == [CLIP.begin, *CLIP.words("a fox"), CLIP.end, *[0] * (ROOM - 2)]


def test_windows_of_another_length() -> None:
    short = ClipTokenizer(CLIP.vocabulary, CLIP.merges, length=56)
    chunks = pack(words("cat " * 60), short)
    assert chunks.ids.shape == (2, 56)
    assert [len(row) for row in inner(chunks.ids)] == [54, 6]


def test_learned_vectors_stay_together() -> None:
    vectors = {"my cat": [60001, 60002, 60003], "my": [60000]}
    chunks = pack(words("dog " * 73 + "my cat"), CLIP, embeddings=vectors)
    assert inner(chunks.ids)[1] == [60001, 60002, 60003]
    assert inner(pack(words("my dog my cat"), CLIP, embeddings=vectors).ids) == [
        [60000, *CLIP.words("dog"), 60001, 60002, 60003]
    ]
    long = {"big": list(range(50_000, 50_000 + 70))}
    chunks = pack(words("cat " * 60 + "," + " dog" * 14 + " big"), CLIP, embeddings=long)
    assert [len(row) for row in inner(chunks.ids)] == [61, 14, 70]
    with pytest.raises(RequestError, match="has 76 vectors"):
        pack(words("big"), CLIP, embeddings={"big": [1] * 76})


# --------------------------------------------------------------------------------------------------------- encoding


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[Model]:
    with torch.inference_mode():
        yield load_folder(tiny, dtype=torch.float32, device=torch.device("cpu"))


def encoded(model: Model, said: Reading, emphasis: Emphasis = "original", clip_skip: int = 1) -> Tensor:
    [condition] = encode([said], [*model.texts.values()], emphasis=emphasis, clip_skip=clip_skip)
    return condition.tokens


@pytest.mark.parametrize("text", ["", "a red fox", "a green house, red"])
@pytest.mark.parametrize("syntax", ["a1111", "comfy", "compel", "plain"])
@pytest.mark.parametrize("clip_skip", [1, 2])
def test_a_plain_prompt_is_the_models_own_encoding(model: Model, text: str, syntax: Syntax, clip_skip: int) -> None:
    ours = encoded(model, reading(text, syntax), parse(text, syntax).emphasis, clip_skip)
    assert torch.equal(ours, model.encode([text], clip_skip=clip_skip).tokens)


def test_pooled_is_of_the_first_window(model: Model) -> None:
    [condition] = encode([reading("a red fox BREAK a house")], [*model.texts.values()])
    length = model.texts["text_encoder"].tokenizer.length
    assert condition.tokens.shape == (1, 2 * length, 16)
    assert condition.pooled is not None
    pooled = model.texts["text_encoder"].encoder(model.texts["text_encoder"].tokenizer(["a red fox"])).pooled
    torch.testing.assert_close(condition.pooled, pooled)
    torch.testing.assert_close(condition.tokens[:, length:], model.encode(["a house"]).tokens)


def test_the_modes_of_emphasis(model: Model) -> None:
    said = reading("a (red:1.5) fox BREAK a house")
    plain = encoded(model, said, "ignore")
    weights = pack(said.wordings[0], model.texts["text_encoder"].tokenizer).weights.flatten()[None, :, None]
    assert set(weights.unique().tolist()) == {1.0, 1.5}
    torch.testing.assert_close(encoded(model, said, "no_norm"), plain * weights)
    half = model.texts["text_encoder"].tokenizer.length
    original = encoded(model, said, "original")
    torch.testing.assert_close(original[:, :half].mean(), plain[:, :half].mean())
    scaled = plain[:, :half] * weights[:, :half]
    torch.testing.assert_close(original[:, :half], scaled * plain[:, :half].mean() / scaled.mean())
    assert torch.equal(original[:, half:], plain[:, half:])
    nothing = model.encode([""]).tokens.repeat(1, 2, 1)
    torch.testing.assert_close(encoded(model, said, "comfy"), nothing + weights * (plain - nothing))


def test_a_weight_of_nothing_stays_finite(model: Model) -> None:
    modes: tuple[Emphasis, ...] = ("original", "no_norm", "comfy")
    for mode in modes:
        assert bool(encoded(model, reading("(a red fox:0) (house:-3)"), mode).isfinite().all())


def test_conditions_of_unequal_length_share_a_batch(model: Model) -> None:
    long, short = encode([reading("a BREAK b BREAK c"), reading("a")], [*model.texts.values()])
    assert long.tokens.shape == short.tokens.shape
    torch.testing.assert_close(short.tokens[:, 16:32], model.encode([""]).tokens)
    [wide] = encode([reading("a")], [*model.texts.values()], windows=3)
    assert torch.equal(wide.tokens, short.tokens)


def test_compels_blend_and_join(model: Model) -> None:
    fox, house = model.encode(["a red fox"]).tokens, model.encode(["a house"]).tokens
    blend = encoded(model, reading('("a red fox", "a house").blend(3, 1)', "compel"), "comfy")
    torch.testing.assert_close(blend, 0.75 * fox + 0.25 * house)
    nothing = model.encode([""]).tokens
    joined = encoded(model, reading('("a red fox", "a house").and(1, 0.5)', "compel"), "comfy")
    torch.testing.assert_close(joined, torch.cat([fox, nothing + 0.5 * (house - nothing)], dim=1))
