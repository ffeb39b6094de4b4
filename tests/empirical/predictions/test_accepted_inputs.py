"""Containers and types that users have predictions in: each gives the same numbers, or one line that says what is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import checked
from sharpdiv.empirical.predictions.bootstrap import bootstrap
from sharpdiv.empirical.predictions.metrics import diversity, logit_variance, vote
from sharpdiv.empirical.predictions.representation import linear_cka, member_cka
from sharpdiv.empirical.predictions.sizes import by_size
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

CONTAINERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "array": lambda t: t.numpy(),
    "lists": lambda t: t.tolist(),
    "list of tensors": lambda t: list(t),
    "tuple of arrays": lambda t: tuple(t.numpy()),
    "array that is read only": lambda t: np.broadcast_to(t.numpy(), t.shape),
    "array in reverse": lambda t: np.flip(np.ascontiguousarray(np.flip(t.numpy()))),
    "array of the other byte order": lambda t: t.numpy().astype(t.numpy().dtype.newbyteorder("S")),
    "tensor with a graph": lambda t: t.clone().requires_grad_(t.is_floating_point()),
}
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "diversity": diversity,
    "by_size": by_size,
    "bootstrap": lambda p, y: bootstrap(p, y, 5),
    "logit_variance": lambda p, _: logit_variance(p),
    "vote": lambda p, y: vote([y, y], p[0]).tolist(),
    "member_cka": lambda p, _: member_cka(p),
    "linear_cka": lambda p, _: linear_cka(p[0], p[1]),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_same(
    container: Callable[[torch.Tensor], Any], function: Callable[[Any, Any], Any]
) -> None:
    probs, labels = predictions(3, 3, 12, 4)
    assert function(container(probs), container(labels)) == function(probs, labels)


@pytest.mark.parametrize("width", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_labels_of_any_width(width: str) -> None:
    probs, labels = predictions(3, 3, 12, 4)
    for given in (labels.numpy().astype(width), labels.to(getattr(torch, width))):
        assert diversity(probs, given) == diversity(probs, labels)


GOOD = np.full((2, 3, 4), 0.25)


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (GOOD, [0, -100, 1], "labels hold -100, which marks samples that losses ignore; leave these samples out"),
        (GOOD, [0.0, 1.0, 2.0], "labels must be integers, got torch.float64"),
        (GOOD, [True, False, True], "labels must be integers, got torch.bool"),
        (GOOD, ["a", "b", "c"], "labels must be real numbers, got <U1"),
        (GOOD, np.ma.masked_equal([0, 1, 2], 1), "masked"),
        (GOOD, np.array([0, 1, 2**64 - 8], dtype=np.uint64), "between 0 and 3"),
        ([*GOOD.tolist()[:1], [[0.5, 0.5]]], [0, 1, 2], "probs must be an array of numbers, its rows of one length"),
        ([torch.ones(3, 4), torch.ones(3, 5)], [0, 1, 2], "its rows of one length"),
        (GOOD.astype(complex), [0, 1, 2], "probs must be real numbers, got complex128"),
        (GOOD.astype(object), [0, 1, 2], "probs must be real numbers, got object"),
        (GOOD.astype(int).tolist(), [0, 1, 2], "probs must be floating, got torch.int64"),
        (GOOD.astype(np.longdouble) * np.longdouble("1e4000"), [0, 1, 2], "finite"),
        ([], [], "shape"),
    ],
)
def test_what_is_meant_otherwise_is_refused(probs: Any, labels: Any, message: str) -> None:
    for function in (diversity, by_size, bootstrap):
        with pytest.raises(InputError, match=message) as caught:
            function(probs, labels)
        assert "\n" not in str(caught.value).strip()


@law(
    Mutation("no bound", "sharpdiv.empirical.predictions.checked.normalized", lambda _: lambda p: p.double()),
    Mutation(
        "sums are left off",
        "sharpdiv.empirical.predictions.checked.normalized",
        lambda f: lambda p: (f(p), p.double())[1],
    ),
    Mutation(
        "anything is divided by its sum",
        "sharpdiv.empirical.predictions.checked.normalized",
        lambda _: lambda p: p.double() / p.double().sum(dim=-1, keepdim=True),
    ),
    dtype=st.sampled_from([torch.float16, torch.bfloat16]),
    by_hand=st.booleans(),
    **(shapes | {"classes": st.sampled_from([2, 10, 1000])}),
)
def test_half_precision_sums_to_one(
    dtype: torch.dtype, by_hand: bool, seed: int, members: int, samples: int, classes: int
) -> None:
    """Rounded once, or a softmax whose sum was rounded too; scaled by 3 units of roundoff instead of one, they are refused."""
    probs, _ = predictions(seed, members, samples, classes)
    powers = probs.to(dtype)
    rounded = powers / powers.double().sum(dim=2, keepdim=True).to(dtype) if by_hand else powers
    found = checked.checked_probs(rounded)
    sums = rounded.double().sum(dim=2, keepdim=True)
    torch.testing.assert_close(found, rounded.double() / sums, rtol=1e-15, atol=0)
    assert float((found.sum(dim=2) - 1).abs().max()) < 1e-13  # of 1,000 summands
    assert float((sums - 1).abs().max()) <= 1.01 * torch.finfo(dtype).eps + classes * torch.finfo(dtype).smallest_normal
    for unexplained in (
        rounded.double() * (1 + 2**-8),
        (rounded.double() * (1 + 3 * torch.finfo(dtype).eps)).to(dtype),
    ):
        assert is_refused(unexplained)


def is_refused(probs: torch.Tensor) -> bool:
    try:
        checked.checked_probs(probs)
    except InputError as error:
        return "explains" in str(error)
    return False


def test_sums_that_bfloat16_explains_and_float32_does_not() -> None:
    """1/3 is .333984375 in bfloat16; three of them are off by .00195, more than single precision can be."""
    third = torch.full((2, 1, 3), 1 / 3).bfloat16()
    found = diversity(third, [0])
    assert found["nll_ensemble"] == pytest.approx(np.log(3), rel=1e-15)
    with pytest.raises(InputError, match=r"off by 0\.00195, and float32 explains 0\.001; give them in the type"):
        diversity(third.float(), [0])
    # .0078 = 2 u / (1 - u) with u = 2^-8, and classes: not .0117, three units.
    with pytest.raises(InputError, match=r"off by 0\.0117, and bfloat16 explains 0\.0078"):
        diversity(torch.tensor([[[0.5, 0.5 + 3 * 2**-8]]] * 2).bfloat16(), [0])


@pytest.mark.parametrize("factor", [0.9992, 1.0008])
def test_single_precision_is_left_as_it_is(factor: float) -> None:
    probs = torch.full((2, 1, 2), 0.5 * factor)
    assert torch.equal(checked.checked_probs(probs), probs.double())
