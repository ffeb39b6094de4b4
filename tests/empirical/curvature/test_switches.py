"""Networks that are switched between two calls, run a layer without gradients, or look rows up in unusual ways."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from tests.empirical.curvature.test_any_network import one_by_one, quietly
from tests.empirical.networks import batch

BATCH = batch(0, 5, (4,))


class Way(Enum):
    """Of a forward pass."""

    PLAIN = "plain"
    BESIDE = "beside"


def plainly(_: nn.Linear, values: Tensor) -> Tensor:
    return 0 * values


def beside(layer: nn.Linear, values: Tensor) -> Tensor:
    """A use of the weight that no hook sees, and that is right for the graph: rows by a matrix."""
    return nn.functional.linear(values, layer.weight)


class Switched(nn.Module):
    """The layer's weight is used once more if something says so."""

    on: Tensor

    def __init__(self, says: Callable[["Switched"], bool]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head, self.says = nn.Linear(4, 4), nn.Linear(4, 3), says
        self.ways, self.way, self.function = [False], Way.PLAIN, plainly
        self.options: dict[str, Any] = {"beside": False}
        self.register_buffer("on", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        values = self.layer(x) + (beside if self.says(self) else self.function)(self.layer, x)
        found: Tensor = self.head(values.tanh())
        return found


SWITCHES: dict[str, tuple[Callable[[Switched], bool], Callable[[Switched], Any]]] = {
    "an item of a list": (lambda s: s.ways[0], lambda s: s.ways.__setitem__(0, True)),
    "an item of a dictionary": (lambda s: s.options["beside"], lambda s: s.options.update(beside=True)),
    "an item of a list in a dictionary": (
        lambda s: s.options["beside"] == [Way.BESIDE],
        lambda s: s.options.update(beside=[Way.BESIDE]),
    ),
    "a member of an enumeration": (lambda s: s.way is Way.BESIDE, lambda s: setattr(s, "way", Way.BESIDE)),
    "a function": (lambda _: False, lambda s: setattr(s, "function", beside)),
    "a truth value that is a buffer": (lambda s: bool(s.on), lambda s: s.on.fill_(True)),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_network_that_is_switched_after_a_first_call_is_tried_again(name: str) -> None:
    says, switch = SWITCHES[name]
    model = Switched(says)
    _, slow = quietly(lambda: per_sample_sharpness(model, *BATCH))
    assert not slow
    switch(model)
    found, slow = quietly(lambda: per_sample_sharpness(model, *BATCH))
    assert slow
    assert found.tolist() == pytest.approx(one_by_one(model, *BATCH), rel=1e-4)


def test_what_is_not_switched_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Switched(lambda _: False)
    first = per_sample_sharpness(model, *BATCH)
    monkeypatch.setattr("sharpdiv.empirical.curvature.per_sample._obstacle", None)
    assert torch.equal(per_sample_sharpness(model, *BATCH), first)


class Thawed(nn.Module):
    """One run of the first layer has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        self.again = False

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            values = self.body(x)
        found: Tensor = self.head(self.body(values) if self.again else values)
        return found


@pytest.mark.parametrize("again", [False, True])
def test_a_layer_that_runs_without_gradients_adds_nothing(again: bool) -> None:
    model = Thawed()
    model.again = again
    found, slow = quietly(lambda: per_sample_sharpness(model, *BATCH))
    assert not slow
    assert found.tolist() == pytest.approx(one_by_one(model, *BATCH), rel=1e-4)


class Words(nn.Module):
    """Rows that are looked up, several times the same."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows, self.head = nn.Embedding(5, 4, **options), nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(self.rows(ids).tanh().mean(1))
        return found


IDS = torch.tensor([[0, 1, 1], [2, 2, 2], [4, 0, 3], [1, 2, 3]])
CLASSES = torch.tensor([0, 1, 2, 0])


def test_sparse_gradients_are_measured() -> None:
    """The same row looked up twice is two entries of a sparse gradient, whose squares are no square of the sum."""
    dense, sparse = Words(), Words(sparse=True)
    found = per_sample_sharpness(sparse, IDS, CLASSES)
    assert found.tolist() == pytest.approx(one_by_one(dense, IDS, CLASSES), rel=1e-4)


def test_rows_of_a_maximal_norm_are_afterwards_as_long_as_before() -> None:
    model = Words(max_norm=0.5)
    before = model.rows.weight.detach().clone()
    assert float(before.norm(dim=1).min()) > 0.5
    quietly(lambda: per_sample_sharpness(model, IDS, CLASSES))
    assert torch.equal(model.rows.weight, before)
