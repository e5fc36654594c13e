"""Attention in blocks of queries: the same function, raced where networks are packed, the same alone and in a batch."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.nn import blockwise as module
from sfumato.nn.attention import Attention, attention
from sfumato.nn.blockwise import blockwise, quickest
from sfumato.nn.packed import pack
from sfumato.runtime.races import Races


def drawn(n: int, m: int, d: int = 40, *, batch: int = 2, heads: int = 3) -> Iterator[Tensor]:
    """Queries, keys and values of normal numbers, laid out as the projections leave them."""
    for tokens in (n, m, m):
        yield torch.randn(batch, tokens, heads, d).transpose(1, 2).bfloat16()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (300, 77), (700, 1500), (1024, 1024)])
def test_blocks_are_attention(n: int, m: int) -> None:
    q, k, v = drawn(n, m)
    right = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    found = blockwise(q, k, v)
    assert found.shape == right.shape
    assert float((found.float() - right).norm() / right.norm()) < 8e-3


@torch.inference_mode()
@pytest.mark.parametrize("winner", ["fused", "blocks"])
def test_the_winner_computes_and_a_picture_is_the_same_in_any_batch(
    monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    asked: list[str] = []

    class Known(Races):
        def winner(self, race: str, ways: object) -> str:
            asked.append(race)
            return winner

    monkeypatch.setattr(module, "races", lambda: Known(None))
    q, k, v = drawn(1024, 700)
    both = quickest(q, k, v)
    assert torch.equal(both, blockwise(q, k, v) if winner == "blocks" else attention(q, k, v))
    assert torch.equal(both[1:], quickest(q[1:], k[1:], v[1:]))
    assert set(asked) == {"attention bfloat16 (3, 1024, 700, 40)"}


def test_what_is_small_exact_causal_or_learned_is_never_raced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "races", lambda: 1 / 0)
    q, k, v = drawn(1024, 700)
    small = [x[:, :, :256] for x in (q, k, v)]
    assert torch.equal(quickest(*small), attention(*small))
    assert torch.equal(quickest(q.float(), k.float(), v.float()), attention(q.float(), k.float(), v.float()))
    square = q, torch.randn_like(q), torch.randn_like(q)
    assert torch.equal(quickest(*square, causal=True), attention(*square, causal=True))
    assert quickest(q.requires_grad_(), k, v).requires_grad


@torch.inference_mode()
def test_only_packed_networks_choose() -> None:
    network = nn.Sequential(Attention(64, 4))
    plain = nn.Sequential(Attention(64, 4))
    pack([network], 0)
    assert [each.attend for each in (network[0], plain[0])] == [quickest, attention]
