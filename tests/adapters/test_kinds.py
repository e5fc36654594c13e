"""Each kind against its formula, written out over single numbers or by another route than the code's."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.adapters.kinds import MisfitError, bias_change, kind_of, weight_change
from tests.adapters.conftest import numbers

O, I, R = 6, 4, 2  # noqa: E741 - rows, columns, rank


def change(weight: Tensor, scale: Any = 1.0, **parts: Tensor) -> Tensor:
    kind = kind_of(parts)
    assert kind is not None
    return weight_change(kind, parts, scale, weight)


def tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Sum over both ranks, number by number: core (l, r, h, w), left (l, o), right (r, i)."""
    made = torch.zeros(left.shape[1], right.shape[1], *core.shape[2:])
    for a in range(core.shape[0]):
        for b in range(core.shape[1]):
            for o in range(left.shape[1]):
                for i in range(right.shape[1]):
                    made[o, i] += core[a, b] * left[a, o] * right[b, i]
    return made


def test_lora_of_linear_layers_and_kernels() -> None:
    up, down = numbers(O, R), numbers(R, I, 3, 3)
    expected = sum(up[:, r, None, None, None] * down[r] for r in range(R))
    assert isinstance(expected, Tensor)
    found = change(numbers(O, I, 3, 3), 0.5, up=up[..., None, None], down=down)
    torch.testing.assert_close(found, 0.5 * expected)
    linear = change(numbers(O, I), up=up[..., None, None], down=down[..., :1, :1])  # stored as a 1x1 convolution
    torch.testing.assert_close(linear, up @ down[..., 0, 0])


def test_locon_with_a_core() -> None:
    up, mid, down = numbers(O, R, 1, 1), numbers(R, R, 3, 3), numbers(R, I, 1, 1)
    expected = tucker(mid, up[..., 0, 0].T, down[..., 0, 0])
    torch.testing.assert_close(change(numbers(O, I, 3, 3), up=up, mid=mid, down=down), expected)


def test_loha() -> None:
    a, b, c, d = numbers(O, R), numbers(R, I * 9, seed=1), numbers(O, R, seed=2), numbers(R, I * 9, seed=3)
    found = change(numbers(O, I, 3, 3), hada_w1_a=a, hada_w1_b=b, hada_w2_a=c, hada_w2_b=d)
    for o in range(O):
        for n in range(I * 9):
            product = sum(a[o, r] * b[r, n] for r in range(R)) * sum(c[o, r] * d[r, n] for r in range(R))
            torch.testing.assert_close(found.flatten(1)[o, n], product)


def test_loha_with_cores() -> None:
    parts = {f"hada_w{n}_{side}": numbers(R, size, seed=n) for n in (1, 2) for side, size in (("a", O), ("b", I))}
    cores = {f"hada_t{n}": numbers(R, R, 3, 3, seed=n) for n in (1, 2)}
    first, second = (tucker(cores[f"hada_t{n}"], parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"]) for n in (1, 2))
    torch.testing.assert_close(change(numbers(O, I, 3, 3), **parts, **cores), first * second)


@pytest.mark.parametrize("kernel", [(), (3, 3)])
@pytest.mark.parametrize("form", ["whole", "factors", "core"])
def test_lokr(form: str, kernel: tuple[int, ...]) -> None:
    first, size = numbers(2, 2), (3, 2)
    if form == "whole" or (not kernel and form == "core"):
        second = numbers(*size, *kernel)
        parts = {"lokr_w2": second}
    elif form == "factors":
        a, b = numbers(3, R), numbers(R, 2 * math.prod(kernel))
        second = (a @ b).reshape(*size, *kernel)
        parts = {"lokr_w2_a": a, "lokr_w2_b": b}
    else:
        parts = {"lokr_t2": numbers(R, R, *kernel), "lokr_w2_a": numbers(R, 3), "lokr_w2_b": numbers(R, 2)}
        second = tucker(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    found = change(numbers(O, I, *kernel), lokr_w1=first, **parts)
    for o in range(O):
        for i in range(I):
            torch.testing.assert_close(found[o, i], first[o // 3, i // 2] * second[o % 3, i % 2])


def test_ia3_scales_rows_or_columns() -> None:
    weight = numbers(O, I, 3, 3)
    rows, columns = numbers(O, 1), numbers(1, I)
    torch.testing.assert_close(change(weight, ia3_out=rows), torch.stack([weight[o] * rows[o, 0] for o in range(O)]))
    by_column = torch.stack([weight[:, i] * columns[0, i] for i in range(I)], dim=1)
    torch.testing.assert_close(change(weight, ia3_in=columns), by_column)
    assert bias_change({"ia3_out": rows}, 1.0, numbers(O)) is None  # LyCORIS leaves the bias
    torch.testing.assert_close(bias_change({"ia3_bias": rows}, 1.0, numbers(O)), numbers(O) * rows[:, 0])


def test_differences_and_norms() -> None:
    assert torch.equal(change(numbers(O, I), diff=numbers(O, I, seed=1)), numbers(O, I, seed=1))
    assert torch.equal(change(numbers(O), w_norm=numbers(O, seed=1)), numbers(O, seed=1))
    for name in ("diff_b", "b_norm"):
        assert kind_of({name: numbers(O)}) is None
        assert bias_change({name: numbers(O)}, 1.0, numbers(O, seed=1)) is not None


def rotation(matrix: Tensor, most: float = math.inf) -> Tensor:
    """Cayley's, block by block through the inverse, on the whole diagonal; trained numbers held to a norm."""
    q = matrix - matrix.transpose(1, 2)
    q = q * min(1.0, most / float(q.pow(2).sum().sqrt()))
    one = torch.eye(q.shape[1])
    return torch.block_diag(*[(one + block) @ torch.inverse(one - block) for block in q])


@pytest.mark.parametrize("kernel", [(), (3, 3)])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.2])
def test_oft_turns_blocks_of_rows(alpha: float | None, kernel: tuple[int, ...]) -> None:
    weight, trained = numbers(O, I, *kernel), numbers(2, 3, 3)
    parts = {"oft_blocks": trained} | ({} if alpha is None else {"constraint": torch.tensor(alpha)})
    turns = rotation(trained, alpha * O if alpha else math.inf)
    torch.testing.assert_close(turns @ turns.T, torch.eye(O))
    assert float((trained - trained.mT).norm()) > 0.2 * O
    assert not torch.allclose(turns, torch.eye(O), atol=0.1)
    expected = (turns.T @ weight.flatten(1)).reshape(weight.shape)
    found = change(weight, **parts)
    torch.testing.assert_close(weight + found, expected)
    whole = change(weight, oft_diag=torch.stack([turns[:3, :3], turns[3:, 3:]]))
    torch.testing.assert_close(whole, found)
    factors = numbers(O, *[1] * (weight.ndim - 1))
    torch.testing.assert_close(weight + change(weight, **parts, rescale=factors), factors * expected)


@pytest.mark.parametrize("shared", [False, True])
def test_oft_turns_blocks_of_columns(shared: bool) -> None:
    weight, trained = numbers(O, I), numbers(1 if shared else 2, 2, 2)
    whole = rotation(trained)
    blocks = torch.stack([whole[:2, :2], whole[-2:, -2:]])
    turns = torch.block_diag(*blocks)
    given = blocks[:1] if shared else blocks
    for name in ("turn_in", "turn_peft"):
        torch.testing.assert_close(weight + change(weight, **{name: given}), weight @ turns.T)
    pointwise = weight[..., None, None]
    torch.testing.assert_close((pointwise + change(pointwise, turn_peft=given))[..., 0, 0], weight @ turns.T)
    torch.testing.assert_close((pointwise + change(pointwise, turn_in=given))[..., 0, 0], weight @ turns)
    kernel = numbers(O, I, 3, 3)
    every = torch.block_diag(*[blocks[0]] * 18)
    found = kernel + change(kernel, turn_in=blocks[:1])
    torch.testing.assert_close(found.flatten(1), kernel.flatten(1) @ every)
    with pytest.raises(MisfitError, match="otherwise merged than not"):
        change(kernel, turn_peft=blocks[:1])


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
@pytest.mark.parametrize("core", [False, True])
def test_glora(core: bool, kernel: tuple[int, ...], old: bool) -> None:
    weight, a1, a2, b1 = numbers(O, I, *kernel), numbers(I, R), numbers(R, I), numbers(O, R)
    b2 = numbers(R, I) if core else numbers(R, I, *kernel)
    parts = {"a1": a1, "a2": a2, "b1": b1, "b2": b2}
    if kernel:
        parts = {name: part.reshape(*part.shape, *[1] * (4 - part.ndim)) for name, part in parts.items()}
    straight = torch.einsum("o r, r i ... -> o i ...", b1, b2)
    if core:
        parts["bm"] = numbers(R, R, *kernel) if kernel else numbers(R, R)
        straight = tucker(parts["bm"], b1.T, b2)
    through = torch.zeros_like(weight)
    for i in range(I):
        for j in range(I):
            through[:, j] += weight[:, i] * (a1[i] @ a2[:, j])
    if old:
        other = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
        parts = {other.get(name, name): part for name, part in parts.items()}
    torch.testing.assert_close(change(weight, 0.5, **parts), 0.5 * (straight + through))
    kind = kind_of(parts)
    assert kind is not None
    assert kind.rank(parts) == R


@pytest.mark.parametrize("by_row", [True, False])
def test_dora_gives_rows_or_columns_their_magnitudes(by_row: bool) -> None:
    weight, up, down = numbers(O, I, 3, 3), numbers(O, R, 1, 1), numbers(R, I, 3, 3)
    magnitude = numbers(O, 1, 1, 1).abs() if by_row else numbers(1, I, 1, 1).abs()
    merged = weight + change(weight, 0.5, up=up, down=down, dora_scale=magnitude)
    lora = weight + change(weight, 0.5, up=up, down=down)
    for n in range(O if by_row else I):
        slice_, plain = (merged[n], lora[n]) if by_row else (merged[:, n], lora[:, n])
        torch.testing.assert_close(slice_.norm(), magnitude.flatten()[n])
        torch.testing.assert_close(slice_ / slice_.norm(), plain / plain.norm())


def test_dora_on_a_square_weight_goes_by_the_shape_of_its_magnitudes() -> None:
    weight, up, down = numbers(I, I), numbers(I, R), numbers(R, I)
    for shape, axis in (((I, 1), 1), ((1, I), 0), ((I,), 1)):
        magnitude = numbers(I).abs().reshape(shape)
        merged = weight + change(weight, up=up, down=down, dora_scale=magnitude)
        torch.testing.assert_close(merged.norm(dim=axis), magnitude.flatten())


BAD: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "incomplete": ({"up": (O, R)}, "down is missing"),
    "ranks": ({"up": (O, R), "down": (R + 1, I)}, "do not multiply"),
    "columns": ({"up": (O, R), "down": (R, I + 1)}, r"the shape \(6, 5\) for \(6, 4\)"),
    "transposed": ({"up": (I, R), "down": (R, O)}, r"the shape \(4, 6\) for \(6, 4\)"),
    "flat": ({"up": (O,), "down": (R, I)}, "a matrix is of the shape"),
    "half a LoHa": ({"hada_w1_a": (O, R), "hada_w1_b": (R, I)}, "hada_w2_a is missing"),
    "half a LoKr": ({"lokr_w1": (2, 2), "lokr_w2_a": (3, R)}, "lokr_w2_b is missing"),
    "a vector in a LoKr": ({"lokr_w1": (2,), "lokr_w2": (3, 2)}, "no matrix"),
    "factors": ({"ia3_out": (I, 1)}, "4 factors are for 6 rows"),
    "difference": ({"diff": (I, O)}, "the shape"),
    "blocks": ({"oft_blocks": (2, 3, 2)}, "no row of square blocks"),
    "other rows": ({"oft_blocks": (2, 2, 2)}, "do not multiply"),
    "butterflies": ({"oft_blocks": (2, 3, 2, 2)}, r"butterflies \(BOFT\) are not known"),
    "factors of rows": ({"oft_diag": (2, 3, 3), "rescale": (I, 1)}, "4 factors are for 6 rows"),
    "only factors": ({"rescale": (O, 1)}, "of no kind"),
    "other columns": ({"turn_in": (3, 2, 2)}, "do not multiply"),
    "half a GLoRA": ({"a1": (I, R), "b1": (O, R), "b2": (R, I)}, "a2 is missing"),
    "a GLoRA of other rows": ({"a1": (I, R), "a2": (R, I), "b1": (O + 1, R), "b2": (R, I)}, "do not multiply"),
    "a GLoRA of other columns": ({"a1": (I + 1, R), "a2": (R, I), "b1": (O, R), "b2": (R, I)}, "do not multiply"),
    "magnitudes": ({"up": (O, R), "down": (R, I), "dora_scale": (O + 1,)}, "magnitudes"),
    "two kinds": ({"up": (O, R), "down": (R, I), "diff": (O, I)}, "at once"),
    "no kind": ({"dora_scale": (O, 1)}, "of no kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_misfits(name: str) -> None:
    shapes, message = BAD[name]
    with pytest.raises(MisfitError, match=message):
        change(numbers(O, I), **{part: numbers(*shape) for part, shape in shapes.items()})


@pytest.mark.parametrize("bias", [None, numbers(O + 1)])
def test_a_bias_that_is_not_there(bias: Tensor | None) -> None:
    with pytest.raises(MisfitError, match="change of a bias"):
        bias_change({"diff_b": numbers(O)}, 1.0, bias)
