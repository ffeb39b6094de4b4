"""Batches of any form are the same step; masks and inputs that mean something else are refused in one line."""

from collections import UserDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sharpdiv.empirical.batches import as_batch
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.masks import mask_of
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import batch, mlp, state
from tests.laws import Mutation, law


class Pair(nn.Module):
    """A network of two inputs, of which one may be token ids."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.last = nn.Embedding(4, 5), nn.Linear(5, 3)

    def forward(self, features: Tensor, token: Tensor) -> Tensor:
        return self.last(torch.relu(features + self.words(token)))


AWARE = torch.arange(12) % 3 == 0


def stepped(inputs: Any) -> list[Tensor]:
    model = Pair()
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1)
    sharpbalance_step(model, optimizer, inputs, batch(0)[1], AWARE)
    return state(model)


@law(
    Mutation(
        "arguments in another order",
        "sharpdiv.empirical.optim.sharpbalance.mean_loss",
        lambda f: lambda m, b, loss: f(m, (b[0], b[1].flip(0)), loss) if isinstance(b[0], dict) else f(m, b, loss),
    ),
    Mutation(
        "named inputs not cut",
        "sharpdiv.empirical.optim.sharpbalance.rows",
        lambda f: lambda x, i: {n: v[: len(i)] for n, v in x.items()} if isinstance(x, dict) else f(x, i),
    ),
)
def test_tuples_lists_and_dicts_of_inputs() -> None:
    features, token = batch(0)[0], torch.arange(12) % 4
    named = {"token": token, "features": features}
    found = [stepped(inputs) for inputs in ((features, token), [features, token], named, UserDict(named))]
    model = Pair()
    alone = nn.Module()
    alone.forward = lambda both: model(both[:, :5], both[:, 5].long())
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1)
    sharpbalance_step(alone, optimizer, torch.cat([features, token[:, None]], dim=1), batch(0)[1], AWARE)
    for other in (*found[1:], state(model)):
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("aware", "message"),
    [
        (AWARE.long(), r"Boolean tensor of shape \[12\], got torch.int64 of shape \[12\]; of indices"),
        (AWARE.nonzero()[:, 0], r"got torch.int64 of shape \[4\]; of indices i make one"),
        (AWARE.float(), "got torch.float32"),
        (AWARE[:6], r"got torch.bool of shape \[6\]; cut it like the batch"),
        (AWARE.repeat(2), r"got torch.bool of shape \[24\]; cut it"),
        (AWARE[None], r"got torch.bool of shape \[1, 12\]"),
        (torch.tensor(True), r"got torch.bool of shape \[\]"),
    ],
)
def test_masks_that_mean_something_else(aware: Tensor, message: str) -> None:
    model = mlp(0)
    before = state(model)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1)
    with pytest.raises(InputError, match=message) as caught:
        sharpbalance_step(model, optimizer, *batch(0), aware)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


@pytest.mark.parametrize("aware", [[True, False], np.array([True, False]), None])
def test_masks_that_are_no_tensors(aware: Any) -> None:
    with pytest.raises(InputError, match="must be a Boolean tensor"):
        mask_of(aware, 2)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ({"x": "text"}, torch.zeros(2), "no inputs and 2 targets"),
        (torch.zeros(2, 3), [0, 1], "targets with samples on the first axis, got list"),
        (torch.zeros(2, 3), torch.tensor(1), "targets with samples on the first axis"),
        (torch.zeros(2, 3), torch.zeros(3), "2 inputs and 3 targets"),
        ((torch.zeros(2, 3), torch.zeros(1)), torch.zeros(2), "1 and 2 inputs and 2 targets"),
        (torch.zeros(0, 3), torch.zeros(0), "needs samples"),
        ({}, torch.zeros(2), "no inputs"),
    ],
)
def test_inputs_that_cannot_be_cut(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_batch((inputs, targets))


@pytest.mark.parametrize("aware", [AWARE, AWARE | True, AWARE & False])
def test_losses_of_every_sample_are_refused(aware: Tensor) -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1)
    with pytest.raises(InputError, match=r"mean over samples; got shape \(\d+,\): use reduction"):
        sharpbalance_step(model, optimizer, *batch(0), aware, nn.CrossEntropyLoss(reduction="none"))
