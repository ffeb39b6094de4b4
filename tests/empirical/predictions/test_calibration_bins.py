"""Calibration error of shares of votes, which lie on edges of bins, against exact fractions; float32 rounds them across."""

from collections import defaultdict
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.scores import BINS
from tests.laws import Mutation, law

NO_TOLERANCE = Mutation("rounding crosses edges", "sharpdiv.empirical.predictions.scores._ON_EDGE", lambda _: 0.0)


def exact(shares: list[Fraction], right: list[bool]) -> Fraction:
    """Right-closed bins, in fractions."""
    gaps: dict[int, Fraction] = defaultdict(Fraction)
    for share, hit in zip(shares, right, strict=True):
        gaps[ceil(share * BINS)] += hit - share
    return sum(map(abs, gaps.values()), Fraction()) / len(shares)


def stored(shares: list[Fraction], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Probabilities ``(samples, 2)`` of class 0 and 1, as a file keeps them."""
    first = torch.tensor([float(share) for share in shares], dtype=torch.float64).to(dtype)
    return torch.stack([first, torch.tensor([float(1 - share) for share in shares]).to(dtype)], dim=1)


# (share of the votes for class 0, samples, of them right), and the calibration errors: right, and in bins of rounded shares.
# 17/30 and 18/30 share bin 9, whose gaps 1284 - 2021 * 17/30 = 138.77 and 532 - 981 * 18/30 = -56.6 cancel in part.
# 5 voters and 7: 3/5 and 4/7 share it, too: gaps 10 - 12 = -2 and 28 - 20 = 8.
# 10/15 and 59/90 share bin 10: gaps 10 - 20 = -10 and 69 - 59 = 10.
CASES = [
    ([(Fraction(17, 30), 2021, 1284), (Fraction(18, 30), 981, 532)], 0.0274, 0.0651),
    ([(Fraction(3, 5), 20, 10), (Fraction(4, 7), 35, 28)], 6 / 55, 10 / 55),
    ([(Fraction(10, 15), 30, 10), (Fraction(59, 90), 90, 69)], 0.0, 20 / 120),
]


@pytest.mark.parametrize(("groups", "expected", "in_wrong_bins"), CASES)
def test_shares_of_votes_worked_by_hand(
    groups: list[tuple[Fraction, int, int]], expected: float, in_wrong_bins: float
) -> None:
    shares = [share for share, samples, _ in groups for _ in range(samples)]
    right = [i < hits for _, samples, hits in groups for i in range(samples)]
    labels = torch.tensor([int(not hit) for hit in right])
    assert float(exact(shares, right)) == pytest.approx(expected, abs=5e-5)
    for dtype in (torch.float32, torch.float64):
        found = diversity(torch.stack([stored(shares, dtype)] * 2), labels)
        # float32 moves each confidence by 3e-8 at most.
        assert found["ece_ensemble"] == pytest.approx(float(exact(shares, right)), abs=1e-7)
        assert found["ece_mean"] == pytest.approx(expected, abs=5e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sharpdiv.empirical.predictions.scores._ON_EDGE", 0.0)
        wrong = diversity(torch.stack([stored(shares)] * 2), labels)
    assert wrong["ece_ensemble"] == pytest.approx(in_wrong_bins, abs=5e-5)


@law(
    NO_TOLERANCE,
    Mutation(
        "edges closed on the left",
        "sharpdiv.empirical.predictions.scores.torch.Tensor.ceil",
        lambda _: lambda t: (t * (1 + 2**-20)).floor() + 1,
    ),
    seed=st.integers(0, 10_000),
    voters=st.sampled_from([3, 5, 7, 15, 30, 45]),
    members=st.integers(2, 4),
)
def test_agrees_with_exact_fractions(seed: int, voters: int, members: int) -> None:
    """Of every member, and of the ensemble, whose mean of rounded shares lies beside an edge by as little."""
    generator = np.random.default_rng(seed)
    votes = generator.integers(0, voters + 1, size=(members, 60))
    labels = generator.integers(0, 2, size=60)
    shares = [[Fraction(int(v), voters) for v in member] for member in votes]
    mean = [sum(column, Fraction()) / members for column in zip(*shares, strict=True)]

    def error(member: list[Fraction]) -> float:
        top = [max(share, 1 - share) for share in member]
        # Ties go to class 0, as argmax has it; exact halves are shares of even numbers of voters.
        return float(exact(top, [(share < 1 - share) == label for share, label in zip(member, labels, strict=True)]))

    first = torch.tensor([[float(s) for s in member] for member in shares], dtype=torch.float64).float()
    if Fraction(1, 2) in mean:
        return  # a tie of the ensemble, which rounding of the members' shares breaks
    found = diversity(torch.stack([first, 1 - first], dim=2), torch.as_tensor(labels))
    assert found["ece_mean"] == pytest.approx(np.mean([error(member) for member in shares]), abs=1e-6)
    assert found["ece_ensemble"] == pytest.approx(error(mean), abs=1e-6)
