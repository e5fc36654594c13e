"""The measures against formulas and pictures whose answer is known."""

import math

import numpy as np
import pytest
import torch

from sfumato.evaluation.colour import background_error, lab
from sfumato.evaluation.distances import diversity, frechet, neighbours
from sfumato.evaluation.judge import judge, pixel_distance, small
from sfumato.evaluation.plan import Case, pairs
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig


def exactly(mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """A set of vectors with exactly that mean and (unbiased) covariance."""
    torch.manual_seed(0)
    x = torch.randn(64, len(mean), dtype=torch.float64)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T
    return white @ torch.linalg.cholesky(covariance).T + mean


def test_frechet_is_that_of_gaussians() -> None:
    # Commuting covariances: |m|^2 + sum (sqrt(a) - sqrt(b))^2 over the common axes, here rotated.
    q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    a = q @ torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)) @ q.T
    b = q @ torch.diag(torch.tensor([4.0, 4.0, 1.0], dtype=torch.float64)) @ q.T
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    assert frechet(exactly(zero, a), exactly(shift, b)) == pytest.approx(5.25 + 1 + 0 + 4, rel=1e-5)
    assert frechet(exactly(zero, a), exactly(zero, a)) == pytest.approx(0, abs=1e-5)


def test_frechet_where_covariances_do_not_commute() -> None:
    a = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.5], [-0.5, 3.0]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    # In two dimensions tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)), and M = AB.
    product = a @ b
    cross = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = float(a.trace() + b.trace()) - 2 * cross
    assert frechet(exactly(zero, a), exactly(zero, b)) == pytest.approx(expected, rel=1e-5)


def test_frechet_needs_sets() -> None:
    with pytest.raises(ValueError, match="not 1 and 5"):
        frechet(torch.randn(1, 3), torch.randn(5, 3))


def test_diversity() -> None:
    same = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    across = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    assert diversity(same) == pytest.approx(0)
    assert diversity(torch.cat([same, across])) == pytest.approx(0.5)
    three = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    assert diversity(three) == pytest.approx((1 + 1 + 2) / 3)
    with pytest.raises(ValueError, match="two seeds"):
        diversity(torch.randn(3, 1, 2))


def test_neighbours_are_the_most_alike_by_cosine() -> None:
    training = torch.tensor([[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    found = neighbours(torch.tensor([[0.1, 9.0], [7.0, 1.0]]), training, k=2)
    assert found.index.tolist() == [[1, 2], [0, 2]]
    assert float(found.cosine[0, 0]) == pytest.approx(9 / math.hypot(0.1, 9))
    assert neighbours(torch.randn(2, 2), training).index.shape == (2, 3)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.585, 0, 0)),
        ((5, 5, 5), (1.37, 0, 0)),
    ],
)
def test_lab_as_tables_have_it(rgb: tuple[int, int, int], expected: tuple[float, float, float]) -> None:
    """The corners of sRGB under D65 to the digits that tables give, a grey on the root and one on the line below it."""
    assert lab(np.array([rgb, rgb]) / 255) == pytest.approx(np.array([expected, expected]), abs=0.02)


def test_backgrounds_are_read_in_the_upper_corners() -> None:
    wanted = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    painted = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    painted[16:, :] = (0, 0, 255)
    painted[:, 16:48] = (0, 255, 0)
    painted[0, 0] = 0  # a speck is no background
    assert background_error(painted, wanted) == pytest.approx(0, abs=1e-9)
    assert background_error(255 - wanted, wanted) > 50


def test_pixel_distance() -> None:
    rng = np.random.default_rng(0)
    picture, other = (rng.integers(0, 256, (128, 128, 3), np.uint8) for _ in range(2))
    assert pixel_distance(picture, [other, picture]) == 0
    assert pixel_distance(picture, [np.clip(picture, 0, 250) + 5, other]) == pytest.approx(5, abs=0.6)
    assert small(np.full((100, 100, 3), 7, np.uint8)).max() == 7


def test_pairs_are_of_the_attributes_that_count() -> None:
    found = list(
        pairs({"hair": "afro", "split": "train", "background": "red", "hat": "cap"}, {"hair", "hat", "background"})
    )
    assert found == [
        (("background", "red"), ("hair", "afro")),
        (("background", "red"), ("hat", "cap")),
        (("hair", "afro"), ("hat", "cap")),
    ]


def test_ranks_are_of_the_words_asked_for() -> None:
    heads = (("hair", ("afro", "bob", "mullet")), ("hat", ("", "cap")))
    model = PictureClassifier(PictureClassifierConfig(heads, channels=(8, 8), fold=2)).eval()
    torch.nn.init.zeros_(model.head.weight)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 2.0, 1.0, 5.0, 0.0]))
    asked = [{"hair": "bob", "hat": "cap"}, {"hair": "afro"}, {"hair": "wig", "hat": "cap"}]
    both = (("hair", "bob"), ("hat", "cap"))
    cases = [Case(i, "person", {"kind": "person", **words}, ()) for i, words in enumerate(asked)]
    verdicts = judge(model, cases, [np.zeros((16, 16, 3), np.uint8)] * 3)
    assert [dict(v.ranks) for v in verdicts] == [{"hair": 0, "hat": 1}, {"hair": 2}, {"hat": 1}]
    assert verdicts[0].right("hair")
    assert verdicts[0].has(both) is False
    assert verdicts[1].has(both) is None
