"""Wordings through T5: ids as of the plain text, weights where the pieces stand; the condition of three encoders."""

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import Unigram

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.t5 import T5Config, T5Encoder
from sfumato.models.t5_tokenizer import T5Tokenizer
from sfumato.prompts import parse, timeline
from sfumato.prompts.reading import Reading
from sfumato.prompts.t5 import LENGTH, T5Part, stacked


@pytest.fixture(scope="module")
def part() -> T5Part:
    """Each letter a piece, and the word `fox`."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", "▁fox", *"abcdefghijklmnopqrstuvwxyz"]
    scores = [0.0, 0.0, 0.0, -3.0, -1.0, *[-5.0] * 26]
    tokenizer = Tokenizer(Unigram(list(zip(pieces, scores, strict=True)), 2, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    torch.manual_seed(0)
    config = T5Config(vocab_size=40, d_model=12, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    return T5Part(T5Tokenizer(tokenizer.to_str(), length=16), T5Encoder(config).eval())


def reading(prompt: str) -> Reading:
    [track] = timeline(parse(prompt, "a1111"), 1)
    return track.readings[0]


@pytest.mark.parametrize(
    ("text", "plain", "weights"),
    [
        ("a fox b", "a fox b", [1, 1, 1, 1, 1]),
        ("a (fox:1.5) b", "a fox b", [1, 1, 1.5, 1, 1]),
        ("(a:0.5) fox", "a fox", [0.5, 0.5, 1]),
        ("x(y:2)z", "xyz", [1, 1, 2, 1]),
        ("a BREAK (b:2)", "a b", [1, 1, 2, 2]),
        ("(abcdefghijklmnopqrstuvwxyz:3)", "abcdefghijklmnopqrstuvwxyz", [3] * 15),
        ("", "", []),
    ],
)
def test_ids_are_the_plain_texts_and_weights_follow_the_pieces(
    text: str, plain: str, weights: list[float], part: T5Part
) -> None:
    [prompt] = reading(text).prompts
    chunks = part.pack(prompt)
    assert torch.equal(chunks.ids, part.tokenizer([plain]))
    assert chunks.weights.tolist() == [[*weights, *[1.0] * (16 - len(weights))]]
    assert part.padded(chunks, 3) is chunks


def test_parts_of_an_and_keep_their_weights(part: T5Part) -> None:
    [prompt] = timeline(parse('("a (b)0.5", "c").and(1, 3)', "compel"), 1)[0].readings[0].prompts
    chunks = part.pack(prompt)
    assert torch.equal(chunks.ids, part.tokenizer(["a b c"]))
    assert chunks.weights[0, :7].tolist() == [1, 1, 0.5, 0.5, 1, 1, 1]
    assert chunks.scales[0, :7].tolist() == [1, 1, 1, 1, 3, 3, 1]
    assert chunks.segments[0, :8].tolist() == [0, 0, 0, 0, 0, 0, -1, -1]


def test_embeddings_are_none_of_t5s(part: T5Part) -> None:
    [prompt] = timeline(parse("a embedding:fox, b", "comfy"), 1)[0].readings[0].prompts
    assert torch.equal(part.pack(prompt).ids, part.tokenizer(["a , b"]))


@torch.no_grad()
def test_no_token_sees_a_masked_one(part: T5Part) -> None:
    ids, others = part.tokenizer(["a b c"]), part.tokenizer(["a f c"])
    mask = ids == others
    assert int((~mask).sum()) == 1
    seen, unseen = part.run(ids, 1, mask).tokens, part.run(others, 1, mask).tokens
    torch.testing.assert_close(seen[mask], unseen[mask])
    assert not torch.allclose(part.run(ids).tokens[mask], part.run(others).tokens[mask])


@torch.no_grad()
def test_run(part: T5Part) -> None:
    tokens, pooled = part.run(part.tokenizer(["a fox", "b"]), clip_skip=5)
    assert (tokens.shape, pooled.shape) == ((2, 16, 12), (2, 0))


def condition(width: int, pooled: int, length: int = 4) -> Conditioning:
    return Conditioning(torch.randn(1, length, width), pooled=torch.randn(1, pooled))


def test_stacked() -> None:
    first, second, third = condition(3, 3), condition(5, 2), condition(12, 0, 6)
    whole = stacked([first, second, third], 12)
    assert (whole.tokens.shape, whole.pooled is not None and whole.pooled.shape) == ((1, 10, 12), (1, 5))
    assert torch.equal(whole.tokens[:, :4, :8], torch.cat([first.tokens, second.tokens], dim=-1))
    assert not bool(whole.tokens[:, :4, 8:].any())
    assert torch.equal(whole.tokens[:, 4:], third.tokens)
    without = stacked([first, second], 12)
    assert without.tokens.shape == (1, 4 + LENGTH, 12)
    assert not bool(without.tokens[:, 4:].any())
    assert torch.equal(without.tokens[:, :4], whole.tokens[:, :4])
