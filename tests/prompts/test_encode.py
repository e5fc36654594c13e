"""Windows of tokens, and what comes out of an encoder for them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sfumato.checkpoints.folder import load_folder
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts import Emphasis, FlatPrompt, Piece, Reading, Segment, Syntax, parse, timeline
from sfumato.prompts.chunks import pack, padded
from sfumato.prompts.encode import encode

CLIP = ClipTokenizer.clip()
ROOM = CLIP.length - 2


def words(*segments: str | tuple[tuple[str, float], ...]) -> FlatPrompt:
    pieces = [((segment, 1.0),) if isinstance(segment, str) else segment for segment in segments]
    return FlatPrompt(tuple(Segment(tuple(Piece(*piece) for piece in row)) for row in pieces))


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
    full = pack(replace(words(text), packing="full"), CLIP)
    assert [len(row) for row in inner(full.ids)] == [ROOM, before + 31 - ROOM]


LONG = "stone " * 60 + ", " + "wave " * 30
GIANT = "antidisestablishmentarianism"  # 6 tokens
NUMBER = "1234567890"  # 10 tokens, one a digit


@pytest.mark.parametrize(
    ("syntax", "text", "windows"),
    [
        ("a1111", LONG, [61, 30]),
        ("comfy", LONG, [75, 16]),
        ("compel", LONG, [75, 16]),
        ("comfy", "stone " * 72 + GIANT, [72, 6]),
        ("comfy", "stone " * 72 + f"({GIANT}:1.2)", [72, 6]),
        ("comfy", "stone " * 72 + NUMBER, [75, 7]),
        ("compel", "stone " * 72 + GIANT, [75, 3]),
    ],
)
def test_windows_end_where_the_syntaxes_own_program_ends_them(syntax: Syntax, text: str, windows: list[int]) -> None:
    """The windows of `comfy` are those of ComfyUI's `SDTokenizer.tokenize_with_weights`."""
    [prompt] = reading(text, syntax).prompts
    assert [len(row) for row in inner(pack(prompt, CLIP).ids)] == windows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("embedding:easyneg, blurry", [60000, 60001, *CLIP.words(", blurry")]),
        ("a (embedding:styles/EasyNeg.safetensors:1.2)", [*CLIP.words("a"), 60000, 60001]),
        ("embedding:none, blurry embedding:", CLIP.words(", blurry")),
        ("easyneg blurry", CLIP.words("easyneg blurry")),
    ],
)
def test_comfys_embeddings_are_called_by_their_prefix(text: str, expected: list[int]) -> None:
    [prompt] = reading(text, "comfy").prompts
    vectors = {"easyneg": [60000, 60001], "EasyPos": [60002]}
    assert inner(pack(prompt, CLIP, embeddings=vectors).ids) == [expected]


def test_comfys_unknown_embeddings_are_named(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    said = reading("embedding:none, a fox, embedding:none", "comfy")
    encode([said, said], [*model.texts.values()], emphasis="comfy")
    assert [record.getMessage() for record in caplog.records] == [
        "there is no embedding 'none' that fits; embedding:none is left out"
    ]


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
    assert [sorted(set(row)) for row in padded(chunks, 4, CLIP).segments.tolist()] == [[-1, 0], [-1], [-1, 2], [-1]]
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
@pytest.mark.parametrize("syntax", ["a1111", "comfy", "compel", "novelai", "plain"])
@pytest.mark.parametrize("clip_skip", [1, 2])
def test_a_plain_prompt_is_the_models_own_encoding(model: Model, text: str, syntax: Syntax, clip_skip: int) -> None:
    ours = encoded(model, reading(text, syntax), parse(text, syntax).emphasis, clip_skip)
    assert torch.equal(ours, model.encode_text([text], clip_skip=clip_skip).tokens)


def test_pooled_is_of_the_first_window(model: Model) -> None:
    [condition] = encode([reading("a red fox BREAK a house")], [*model.texts.values()])
    length = model.texts["text_encoder"].tokenizer.length
    assert condition.tokens.shape == (1, 2 * length, 16)
    assert condition.pooled is not None
    pooled = model.texts["text_encoder"].encoder(model.texts["text_encoder"].tokenizer(["a red fox"])).pooled
    torch.testing.assert_close(condition.pooled, pooled)
    torch.testing.assert_close(condition.tokens[:, length:], model.encode_text(["a house"]).tokens)


GOLDEN: list[tuple[Syntax, Emphasis, str, list[list[float]]]] = [
    (
        "a1111",
        "original",
        "a (red:1.5) [fox] BREAK a house",
        [
            [-1.2821, 0.5388, -0.1952, 0.3806],
            [-1.4231, 1.1220, 0.5861, -0.6247],
            [0.5862, 0.6654, -0.1116, -0.4843],
            [0.6002, -0.2506, 1.1229, 0.0069],
            [0.2652, 1.0571, -0.3376, -0.1331],
        ],
    ),
    (
        "a1111",
        "no_norm",
        "a (red:1.5) [fox] BREAK a house",
        [
            [-1.3149, 0.5526, -0.2002, 0.3903],
            [-1.4595, 1.1507, 0.6011, -0.6406],
            [0.6012, 0.6824, -0.1144, -0.4966],
            [0.6156, -0.2570, 1.1516, 0.0071],
            [0.2652, 1.0571, -0.3376, -0.1331],
        ],
    ),
    (
        "comfy",
        "comfy",
        "a (red:1.5) (fox:0.4) house",
        [
            [-1.5822, -0.1511, 0.0764, 0.9236],
            [-0.8604, 1.7607, 0.3318, -1.2370],
            [0.7885, -0.8344, 1.8138, -0.3181],
            [0.5511, -0.2820, 1.2175, 0.0929],
            [0.2784, 1.0342, -0.3071, -0.1106],
        ],
    ),
    (
        "compel",
        "compel",
        "a (red)1.5 (fox)0.4 house-",
        [
            [-1.5822, -0.1511, 0.0764, 0.9236],
            [-0.8798, 1.7456, 0.3202, -1.2459],
            [0.7152, -0.6824, 1.6075, -0.3647],
            [0.5260, -0.2793, 1.2120, 0.0815],
            [0.2793, 1.0393, -0.3081, -0.1189],
        ],
    ),
]
"""What the programs themselves make of these prompts with the tiny model's text encoder, `final_layer_norm.bias` set to
0.25 (else its tokens have no mean): tokens 2 to 5 and the last, their first four numbers, of

    encoder, tokenizer = CLIPTextModel.from_pretrained(tiny / "text_encoder"), CLIPTokenizer.from_pretrained(...)

A1111 1.10: `prompt_parser.parse_prompt_attention`, a chunk for each part between BREAKs filled up with end tokens, and
`sd_emphasis.EmphasisOriginal` (`EmphasisOriginalNoNorm`) on `encoder(ids).last_hidden_state`.
ComfyUI: `ClipTokenWeightEncoder.encode_token_weights(SDTokenizer.tokenize_with_weights(prompt))`, `max_length` 16,
`encode` being the encoder's `last_hidden_state`.
compel 2.4: `Compel(tokenizer, encoder, truncate_long_prompts=False, split_long_text_mode=SplitLongTextMode.BRUTAL)`.
"""


@pytest.mark.parametrize(("syntax", "emphasis", "text", "expected"), GOLDEN, ids=[row[1] for row in GOLDEN])
def test_the_modes_of_emphasis(
    tiny: Path, syntax: Syntax, emphasis: Emphasis, text: str, expected: list[list[float]]
) -> None:
    with torch.inference_mode():
        model = load_folder(tiny, dtype=torch.float32, device=torch.device("cpu"))
        model.texts["text_encoder"].encoder.text_model.final_layer_norm.bias.fill_(0.25)
        tokens = encoded(model, reading(text, syntax), emphasis)
    assert parse(text, syntax).emphasis in (emphasis, "original")
    torch.testing.assert_close(tokens[0, [2, 3, 4, 5, -1], :4], torch.tensor(expected), atol=1e-4, rtol=0)


def test_compel_lightens_words_of_each_prompt_over_its_windows(model: Model) -> None:
    """Words of one weight are masked together, in whatever window they stand; each part of an `and` by itself."""
    fox = "a red fox, a green house, a red house a green fox a a fox"
    long = encoded(model, reading(f"({fox})0.4 red", "compel"), "compel")
    part = model.texts["text_encoder"]
    chunks = part.pack(reading(f"{fox} red", "compel").prompts[0])
    mask = chunks.segments < 0
    mask[1, -1] = True
    red = chunks.ids == part.tokenizer.words("red")[0]
    last = red.nonzero()[-1].tolist()
    mask[last[0], last[1]] = True
    share = math.tan(0.6 * math.pi / 2)
    weights = torch.where(mask, 1.0, 0.4)[..., None]
    nothing = part.run(part.tokenizer([""])).tokens
    base, without = (nothing + weights * (part.run(chunks.ids, 1, seen).tokens - nothing) for seen in (None, mask))
    torch.testing.assert_close(long[0], ((base + share * without) / (1 + share)).flatten(0, 1))
    both = encoded(model, reading('("a (red)0.5 fox", "a green- house")' + ".and()", "compel"), "compel")
    alone = [encoded(model, reading(text, "compel"), "compel") for text in ("a (red)0.5 fox", "a green- house")]
    torch.testing.assert_close(both, torch.cat(alone, dim=1))


def test_a_weight_of_nothing_stays_finite(model: Model) -> None:
    modes: tuple[Emphasis, ...] = ("original", "no_norm", "comfy", "compel")
    for mode in modes:
        assert bool(encoded(model, reading("(a red fox:0) (house:-3)"), mode).isfinite().all())


def test_conditions_of_unequal_length_share_a_batch(model: Model) -> None:
    long, short = encode([reading("a BREAK b BREAK c"), reading("a")], [*model.texts.values()])
    assert long.tokens.shape == short.tokens.shape
    torch.testing.assert_close(short.tokens[:, 16:32], model.encode_text([""]).tokens)
    [wide] = encode([reading("a")], [*model.texts.values()], windows=3)
    assert torch.equal(wide.tokens, short.tokens)


def test_compels_blend_and_join(model: Model) -> None:
    fox, house = model.encode_text(["a red fox"]).tokens, model.encode_text(["a house"]).tokens
    blend = encoded(model, reading('("a red fox", "a house").blend(3, 1)', "compel"), "compel")
    torch.testing.assert_close(blend, 0.75 * fox + 0.25 * house)
    nothing = model.encode_text([""]).tokens
    joined = encoded(model, reading('("a red fox", "a house").and(1, 0.5)', "compel"), "compel")
    torch.testing.assert_close(joined, torch.cat([fox, nothing + 0.5 * (house - nothing)], dim=1))
