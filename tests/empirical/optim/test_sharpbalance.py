"""Laws of SharpBalance: the sets against Python's own sets, the step against its two parts."""

import copy
import math
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim import sharpbalance
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import Mlp, batch, mlp, state
from tests.laws import Mutation, law

seeds = st.integers(0, 10_000)
sizes: dict[str, Any] = {"members": st.integers(2, 5), "samples": st.integers(4, 30), "fraction": st.floats(0.25, 0.9)}


def scores_of(seed: int, members: int, samples: int) -> torch.Tensor:
    return torch.rand(members, samples, generator=torch.Generator().manual_seed(seed))


def whole(samples: int, fraction: float) -> int:
    """The product of the decimals as they are written, rounded down; float64's rounding is far below 1e-9."""
    return int(samples * Fraction(repr(fraction)) + Fraction(1, 10**9))


def by_python_sets(scores: torch.Tensor, fraction: float, rule: str) -> torch.Tensor:
    members, samples = scores.shape
    count = whole(samples, fraction)
    rows = [sorted(range(samples), key=row.__getitem__, reverse=rule == "paper") for row in scores.tolist()]
    picked = [set(row[:count]) for row in rows]
    unpicked = [n for n in range(samples) if not any(n in p for p in picked)]
    result = torch.zeros(members, samples, dtype=torch.bool)
    for i in range(members):
        mine = set().union(*(p for j, p in enumerate(picked) if j != i))
        share = set(unpicked[i::members])
        mine |= {"paper": set(), "code": share, "code-boost": set(unpicked) - share}[rule]
        result[i, sorted(mine)] = True
    return result


@law(
    Mutation(
        "own picks counted", "sharpdiv.empirical.optim.sharpbalance.torch.Tensor.long", lambda f: lambda t: f(t) * 0
    ),
    seed=seeds,
    rule=st.sampled_from(["paper", "code", "code-boost"]),
    **sizes,
)
def test_sets_are_unions_of_the_others_picks(seed: int, rule: Any, members: int, samples: int, fraction: float) -> None:
    scores = scores_of(seed, members, samples)
    sets = sharpbalance.sharpness_aware_sets(scores, fraction, rule)
    assert torch.equal(sets, by_python_sets(scores, fraction, rule))


@law(
    Mutation(
        "members by index",
        "sharpdiv.empirical.optim.sharpbalance.sharpness_aware_sets",
        lambda f: lambda scores, *a: f(scores, *a).roll(1, dims=0) | f(scores, *a)[:1],
    ),
    seed=seeds,
    **sizes,
)
def test_sets_follow_members_and_samples(seed: int, members: int, samples: int, fraction: float) -> None:
    scores = scores_of(seed, members, samples)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(members, generator=generator), torch.randperm(samples, generator=generator)
    sets = sharpbalance.sharpness_aware_sets(scores, fraction)
    shuffled = sharpbalance.sharpness_aware_sets(scores[rows][:, columns], fraction)
    assert torch.equal(shuffled, sets[rows][:, columns])


def row_by_row(sets: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.stack([row[torch.randperm(len(row), generator=generator)] for row in sets])


@law(
    Mutation(
        "each member in an order of its own",
        "sharpdiv.empirical.optim.sharpbalance.sharpness_aware_sets",
        lambda f: lambda s, k, rule="paper", g=None: row_by_row(f(s, k), g) if rule == "shuffled" else f(s, k, rule, g),
    ),
    Mutation(
        "not shuffled",
        "sharpdiv.empirical.optim.sharpbalance.sharpness_aware_sets",
        lambda f: lambda s, k, rule="paper", g=None: f(s, k, "paper" if rule == "shuffled" else rule, g),
    ),
    Mutation("SAM on some", "sharpdiv.empirical.optim.sharpbalance.torch.ones_like", lambda _: torch.zeros_like),
    seed=seeds,
    **sizes,
)
def test_shuffled_sets_keep_sizes_and_overlaps(seed: int, members: int, samples: int, fraction: float) -> None:
    """The same columns as the paper's sets, in another order; SAM applied late is every sample."""
    scores = scores_of(seed, members, samples)
    generator = torch.Generator().manual_seed(seed)
    ours = sharpbalance.sharpness_aware_sets(scores, fraction, "shuffled", generator)
    paper = sharpbalance.sharpness_aware_sets(scores, fraction)
    assert sorted(map(tuple, ours.T.tolist())) == sorted(map(tuple, paper.T.tolist()))
    again = torch.Generator().manual_seed(seed)
    assert torch.equal(ours, paper[:, torch.randperm(samples, generator=again)])
    assert sharpbalance.sharpness_aware_sets(scores, fraction, "all").all()


@law(
    Mutation(
        "one sample more",
        "sharpdiv.empirical.optim.sharpbalance._random_sets",
        lambda f: lambda s, n, *a: f(s, n + 1, *a),
    ),
    seed=seeds,
    rule=st.sampled_from(["random", "same"]),
    **sizes,
)
def test_random_sets_have_their_size(seed: int, rule: Any, members: int, samples: int, fraction: float) -> None:
    scores = scores_of(seed, members, samples)
    sets = sharpbalance.sharpness_aware_sets(scores, fraction, rule, torch.Generator().manual_seed(seed))
    left_out = int(samples * (1 - Fraction(repr(fraction))) + Fraction(1, 10**9))
    assert (sets.sum(dim=1) == samples - left_out).all()
    if rule == "same":
        assert (sets == sets[0]).all()


@law(
    Mutation(
        "by floats",
        "sharpdiv.empirical.optim.sharpbalance._rounded",
        lambda _: lambda product, otherwise: otherwise(product),
    ),
    Mutation("to the nearest", "sharpdiv.empirical.optim.sharpbalance._rounded", lambda _: lambda p, _: round(p)),
)
def test_counts_are_exact_and_only_whole_products_changed() -> None:
    """All sizes to 5,000 and all hundredths, beside exact integers: floor and ceiling of N k / 100."""
    changed = {"down": 0, "up": 0}
    for k in range(1, 100):
        fraction = k / 100
        for samples in range(1, 5001):
            product = samples * fraction
            down = sharpbalance._rounded(product, math.floor)
            up = sharpbalance._rounded(product, math.ceil)
            assert down == samples * k // 100
            assert up == -(-samples * k // 100)
            for name, new, old in (
                ("down", down, int(product)),
                ("up", up, samples - int(samples * (1 - fraction))),
            ):
                if new != old:
                    assert samples * k % 100 == 0
                    changed[name] += 1
    assert sharpbalance._rounded(100 * 0.29, math.floor) == 29
    assert 0 < changed["down"] < 1000
    assert changed["up"] > 0


@pytest.mark.parametrize("fraction", [0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 0.8])
def test_counts_in_use_stayed(fraction: float) -> None:
    """Sizes of the profiles and of what ``train_samples`` leaves of each data set: as ``int`` had them."""
    for samples in (200, 1000, 2000, 5000, 10_000, 45_000, 50_000, 60_000, 90_000, 100_000):
        assert sharpbalance._rounded(samples * fraction, math.floor) == int(samples * fraction)
        if fraction not in {0.3, 0.4, 0.8}:  # of the two random rules, which no committed run has with these
            assert sharpbalance._rounded(samples * fraction, math.ceil) == samples - int(samples * (1 - fraction))


STEP: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}


def one_step(seed: int, rho: float, aware: torch.Tensor) -> Mlp:
    model = mlp(seed)
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho, **STEP)
    sharpbalance.sharpbalance_step(model, optimizer, *batch(seed), aware)
    return model


def part_gradient(model: nn.Module, rho: float, inputs: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    """SAM's gradient of one part by itself, written out with plain tensors."""
    model = copy.deepcopy(model)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(nn.functional.cross_entropy(model(inputs), targets), parameters)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            p.add_(g, alpha=float(rho / norm))
    return list(torch.autograd.grad(nn.functional.cross_entropy(model(inputs), targets), parameters))


@law(
    Mutation("no ascent", "sharpdiv.empirical.optim.sharpbalance.SAM.perturbed", lambda _: lambda s: nullcontext()),
    Mutation("SAM on everything", "sharpdiv.empirical.optim.sharpbalance.sam_samples", lambda _: len),
    examples=15,
    seed=seeds,
    rho=st.floats(0.05, 1),
    size=st.sampled_from([3, 4, 8, 9]),
)
def test_the_combined_gradient_is_weighted_by_size(seed: int, rho: float, size: int) -> None:
    inputs, targets = batch(seed)
    aware = torch.zeros(12, dtype=torch.bool)
    aware[torch.randperm(12, generator=torch.Generator().manual_seed(seed))[:size]] = True
    before = mlp(seed)
    sharp = part_gradient(before, rho, inputs[aware], targets[aware])
    plain = part_gradient(before, 0.0, inputs[~aware], targets[~aware])
    after = one_step(seed, rho, aware)
    for old, new, a, b in zip(before.parameters(), after.parameters(), sharp, plain, strict=True):
        expected = old - 0.1 * (size * a + (12 - size) * b) / 12
        assert new.detach().numpy() == pytest.approx(
            expected.detach().numpy(), abs=2e-6
        )  # float32 rounding of order-1 sums


@law(
    Mutation("statistics of the last part", "sharpdiv.empirical.optim.running._mix", lambda _: lambda a, b, share: b),
    Mutation(
        "parts weighted alike", "sharpdiv.empirical.optim.running._mix", lambda f: lambda a, b, share: f(a, b, 0.5)
    ),
    examples=15,
    seed=seeds,
    size=st.sampled_from([2, 3, 8, 9]),
)
def test_running_statistics_advance_once_by_the_weighted_mean(seed: int, size: int) -> None:
    inputs, _ = batch(seed)
    aware = torch.arange(12) < size
    hidden = mlp(seed).first(inputs)
    mean = (size * hidden[aware].mean(dim=0) + (12 - size) * hidden[~aware].mean(dim=0)) / 12
    variance = (size * hidden[aware].var(dim=0) + (12 - size) * hidden[~aware].var(dim=0)) / 12
    norm = one_step(seed, 0.5, aware).norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.running_mean.numpy() == pytest.approx(0.1 * mean.detach().numpy(), abs=1e-6)
    assert norm.running_var.numpy() == pytest.approx(0.9 + 0.1 * variance.detach().numpy(), abs=1e-6)
    assert int(norm.num_batches_tracked) == 1


@law(
    Mutation("always SAM", "sharpdiv.empirical.optim.sharpbalance.sam_samples", lambda _: len),
    Mutation("never SAM", "sharpdiv.empirical.optim.sharpbalance.sam_samples", lambda _: lambda aware: 0),
    examples=10,
    seed=seeds,
    marked=st.sampled_from([0, 1, 11, 12]),
)
def test_a_lone_sample_joins_the_others_to_the_bit(seed: int, marked: int) -> None:
    """0 or 1 marked: the base optimizer; 11 or 12 of 12: SAM."""
    whole = mlp(seed)
    optimizer = SAM(whole.parameters(), torch.optim.SGD, 0.3 if marked > 6 else 0.0, **STEP)
    inputs, targets = batch(seed)
    sharpbalance._whole_batch(whole, optimizer, True, lambda: nn.functional.cross_entropy(whole(inputs), targets))
    combined = one_step(seed, 0.3, torch.arange(12) < marked)
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(combined), strict=True))


@law(
    Mutation("m ignored", "sharpdiv.empirical.optim.sharpbalance._parts", lambda f: lambda aware, m: f(aware, None)),
    Mutation(
        "pieces weighted alike",
        "sharpdiv.empirical.optim.sharpbalance._sum",
        lambda f: lambda t, g: f(t, g if t is None else 2 * g),
    ),
    examples=10,
    seed=seeds,
    m=st.sampled_from([2, 3, 4, 5]),
    marked=st.sampled_from([6, 10, 12]),
)
def test_every_m_samples_have_their_own_ascent(seed: int, m: int, marked: int) -> None:
    """The step's gradient is the size-weighted mean of SAM gradients of pieces of m, each found by a network of its own."""
    inputs, targets = batch(seed)
    model = mlp(seed)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.3, lr=1.0)
    sharpbalance.sharpbalance_step(model, optimizer, inputs, targets, torch.arange(12) < marked, m=m)
    pieces = [range(start, min(start + m, marked)) for start in range(0, marked, m)]
    if len(pieces[-1]) == 1:
        pieces[-2:] = [range(pieces[-2][0], marked)]
    expected = [torch.zeros_like(p) for p in model.parameters()]
    for piece in [*pieces, range(marked, 12)]:
        if not len(piece):
            continue
        alone = mlp(seed)
        sam = SAM(alone.parameters(), torch.optim.SGD, 0.3 if piece.start < marked else 0.0, lr=1.0)
        index = torch.tensor(list(piece))

        def closure(alone: nn.Module = alone, sam: SAM = sam, index: torch.Tensor = index) -> torch.Tensor:
            sam.zero_grad()
            loss = nn.functional.cross_entropy(alone(inputs[index]), targets[index])
            loss.backward()
            return loss

        sam.step(closure)
        for total, after, before in zip(expected, alone.parameters(), mlp(seed).parameters(), strict=True):
            total += len(piece) / 12 * (before - after).detach()
    for before, after, total in zip(mlp(seed).parameters(), model.parameters(), expected, strict=True):
        assert (before - after).detach().numpy() == pytest.approx(total.numpy(), abs=3e-6)  # float32 sums of order 1


def test_autocast_sees_the_perturbed_weights() -> None:
    """Autocast keeps its bfloat16 copies of the weights: a stale one would make SAM's second pass a repetition of the first."""
    inputs, targets = batch(0)
    weights = {}
    for rho in (0.0, 0.5):
        model = mlp(0)
        optimizer = SAM(model.parameters(), torch.optim.SGD, rho, lr=1.0)
        with torch.autocast("cpu", torch.bfloat16):  # a user's own, around the whole step: the hard case
            sharpbalance.sharpbalance_step(model, optimizer, inputs, targets, torch.arange(12) < 12)
        weights[rho] = torch.cat([p.detach().flatten() for p in model.parameters()])
    model, exact = mlp(0), mlp(0)
    for network, dtype in ((model, torch.bfloat16), (exact, None)):
        optimizer = SAM(network.parameters(), torch.optim.SGD, 0.5, lr=1.0)
        sharpbalance.sharpbalance_step(network, optimizer, inputs, targets, torch.arange(12) < 12, autocast=dtype)
    ours, theirs = (torch.cat([p.detach().flatten() for p in n.parameters()]) for n in (model, exact))
    assert torch.equal(ours, weights[0.5])
    effect = float((theirs - weights[0.0]).norm())
    # bfloat16 has 8 bits: errors of some 2^-8 of the gradient, far below SAM's effect on it.
    assert float((ours - theirs).norm()) < 0.2 * effect


@pytest.mark.parametrize(
    ("scores", "fraction", "rule", "message"),
    [
        (torch.rand(1, 9), 0.5, "paper", "at least 2"),
        (torch.rand(2, 9), 0.0, "paper", "top fraction"),
        (torch.rand(2, 9), 1.0, "paper", "top fraction"),
        (torch.rand(2, 9), 0.01, "paper", "selects none"),
        (torch.full((2, 9), float("nan")), 0.5, "paper", "finite"),
        (torch.rand(2, 9), 0.5, "random", "generator"),
    ],
)
def test_bad_sets_are_refused(scores: torch.Tensor, fraction: float, rule: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sharpbalance.sharpness_aware_sets(scores, fraction, rule)


def test_the_loss_is_the_batch_mean() -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, **STEP)
    inputs, targets = batch(0)
    aware = torch.arange(12) < 5
    with torch.no_grad():
        parts = [nn.functional.cross_entropy(mlp(0)(inputs[m]), targets[m], reduction="sum") for m in (aware, ~aware)]
    loss = sharpbalance_step(model, optimizer, inputs, targets, aware)
    assert float(loss) == pytest.approx(float(sum(parts)) / 12, rel=1e-6)


def test_pieces_of_one_sample_are_refused() -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1)
    with pytest.raises(InputError, match="m must be at least 2"):
        sharpbalance.sharpbalance_step(model, optimizer, *batch(0), torch.arange(12) < 6, m=1)
