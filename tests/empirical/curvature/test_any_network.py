"""Every kind of layer and whole networks of every kind: scores are autograd's, one sample at a time; all measures work."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sharpdiv.empirical.curvature.average_case import average_case_sharpness
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.fisher import fisher_trace
from sharpdiv.empirical.curvature.one_step import one_step_sharpness
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.errors import InputError
from tests.empirical.curvature.odd_layers import Centred
from tests.empirical.curvature.whole_networks import LAYERS, NETWORKS
from tests.laws import Mutation, law, types_unchecked

SAMPLES = 4


def one_by_one(model: nn.Module, inputs: Any, targets: Tensor) -> list[float]:
    """Squared norms of the gradients of single samples, by one backward pass each."""
    model.eval()
    found = []
    for i in range(len(targets)):
        some = {k: v[i : i + 1] for k, v in inputs.items()} if isinstance(inputs, dict) else inputs[i : i + 1]
        outputs = model(**some) if isinstance(some, dict) else model(some)
        model.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(getattr(outputs, "logits", outputs), targets[i : i + 1]).backward()
        found.append(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    model.zero_grad(set_to_none=True)
    return found


def quietly(call: Callable[[], Any]) -> tuple[Any, bool]:
    """What a call gives, and whether it warned that it is slow."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call()
    return found, any("sample by sample, which is slow" in str(each.message) for each in caught)


@law(
    Mutation(
        "a tenth of a score forgotten by the slow route",
        "sharpdiv.empirical.curvature.per_sample.slow_norms",
        lambda f: lambda *a: 0.9 * f(*a),
    ),
    Mutation(
        "the fast route never doubted",
        "sharpdiv.empirical.curvature.per_sample.close",
        lambda _: lambda *a: True,
    ),
)
def test_scores_are_autograds_for_every_kind_of_layer() -> None:
    assert len(LAYERS) >= 40
    targets = torch.tensor([0, 2, 1, 2])
    for name, make in LAYERS.items():
        torch.manual_seed(0)
        model, inputs = make()
        model = model.double()
        with torch.no_grad():
            model(inputs)  # running statistics that are not the initial ones
        scores, _ = quietly(lambda: per_sample_sharpness(model, inputs, targets))  # noqa: B023
        # float64: sums of a few thousand terms, conditioned to better than 1e3
        assert scores.tolist() == pytest.approx(one_by_one(model, inputs, targets), rel=1e-9), name


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_are_measured_in_every_way(name: str) -> None:
    torch.manual_seed(0)
    model, inputs, targets = NETWORKS[name]()
    model = model.double()
    (scores, slow), data = quietly(lambda: per_sample_sharpness(model, inputs, targets)), [(inputs, targets)]
    assert scores.tolist() == pytest.approx(one_by_one(model, inputs, targets), rel=1e-8)
    assert slow is (name in {"lstm", "residual mlp with weight norm", "recurrent of two layers"})
    assert fisher_trace(model, data).mean == pytest.approx(float(scores.mean()), rel=1e-8)
    assert worst_case_sharpness(model, data, iterations=2) > 0
    average = average_case_sharpness(model, data, draws=2, generator=torch.Generator().manual_seed(0))
    assert np.isfinite(average).all()
    # The quadratic form of the Hessian along the gradient, from central differences of the loss.
    step = one_step_sharpness(model, data, 1e-4)
    assert step == pytest.approx(1e-4 * gradient_norm(model, inputs, targets), rel=1e-2)
    trace = hessian_trace(model, data, draws=2)
    assert np.isfinite(trace).all()


def gradient_norm(model: nn.Module, inputs: Any, targets: Tensor) -> float:
    model.eval()
    outputs = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    loss = nn.functional.cross_entropy(getattr(outputs, "logits", outputs), targets)
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return float(sum(g.square().sum() for g in gradients if g is not None) ** 0.5)


def test_the_hessian_of_attention_is_that_of_the_same_network_written_out() -> None:
    """Fused attention has no second derivative: within a measure it is computed step by step, to rounding the same."""

    def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / 2).softmax(dim=2) @ v

    class Written(nn.Module):
        def __init__(self, fused: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fused, self.project, self.head = fused, nn.Linear(4, 12), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.project(x).chunk(3, dim=2)
            attend = nn.functional.scaled_dot_product_attention if self.fused else written_out
            found: Tensor = self.head(attend(q, k, v).mean(dim=1))
            return found

    batch = torch.randn(5, 6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    fused, plain = (Written(fused).double() for fused in (True, False))
    assert hessian_eigenvalues(fused, batch, 2, tolerance=1e-8) == pytest.approx(
        hessian_eigenvalues(plain, batch, 2, tolerance=1e-8), rel=1e-6
    )
    assert hessian_trace(fused, batch).mean == pytest.approx(hessian_trace(plain, batch).mean, rel=1e-12)


# ------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_may_come_in_any_form() -> None:
    torch.manual_seed(0)
    model, x, y = nn.Linear(5, 3), torch.randn(8, 5), torch.randint(3, (8,))
    expected = worst_case_sharpness(model, [(x, y)])
    index = torch.arange(8)
    for form in (
        (x, y),
        [(x, y, index)],
        [[x, y]],
        {"input": x, "labels": y},
        [{"input": x, "target": y}],
        [((x,), y)],
        [(x.numpy(), y.numpy())],
        DataLoader(TensorDataset(x, y), batch_size=8),
        (pair for pair in [(x, y)]),
    ):
        assert worst_case_sharpness(model, form) == expected


def test_batches_of_dictionaries_weigh_by_their_samples() -> None:
    """88 and 8 samples: the Hessian is that of all 96, whatever the number of keys."""
    torch.manual_seed(0)
    model, x, y = nn.Linear(5, 3).double(), torch.randn(96, 5, dtype=torch.float64), torch.randint(3, (96,))
    parts = [{"input": a, "labels": b} for a, b in ((x[:88], y[:88]), (x[88:], y[88:]))]
    whole = hessian_eigenvalues(model, [(x, y)], tolerance=1e-8)
    assert hessian_eigenvalues(model, parts, tolerance=1e-8) == pytest.approx(whole, rel=1e-7)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(torch.zeros(3, 5), torch.zeros(3)), "pass torch.utils.data.DataLoader"),
        ([torch.zeros(3, 5)], "must be a pair of inputs and targets or a mapping, got Tensor"),
        ([{"input": torch.zeros(3, 5)}], "targets under one of labels"),
        ([(torch.zeros(3, 5), torch.zeros(4))], "3 inputs and 4 targets"),
        ([(torch.zeros(3, 5), 1.0)], "targets with samples on the first axis, got float"),
        ([], "at least one batch"),
    ],
)
def test_what_is_no_batch_is_refused(data: Any, message: str) -> None:
    with types_unchecked(), pytest.raises(InputError, match=message):
        one_step_sharpness(nn.Linear(5, 3), data, 0.1)


def test_an_unreduced_loss_is_refused() -> None:
    with pytest.raises(InputError, match=r"the mean over samples; got .*: use reduction='mean'"):
        one_step_sharpness(
            nn.Linear(5, 3),
            (torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64)),
            0.1,
            loss=nn.CrossEntropyLoss(reduction="none"),
        )


def test_a_loss_that_is_no_mean_over_samples_takes_the_slow_route() -> None:
    """Tokens that do not count: the mean is over those that do, which differ in number between samples."""
    torch.manual_seed(0)
    model = nn.Linear(5, 3).double()
    x, y = torch.randn(4, 6, 5, dtype=torch.float64), torch.randint(3, (4, 6))
    y[0, 2:] = -100

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    scores, slow = quietly(lambda: per_sample_sharpness(model, x, y, loss))
    assert slow
    expected = []
    for i in range(4):
        gradients = torch.autograd.grad(loss(model(x[i : i + 1]), y[i : i + 1]), list(model.parameters()))
        expected.append(float(sum(g.square().sum() for g in gradients)))
    assert scores.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_kernel_of_a_network_with_attention() -> None:
    torch.manual_seed(0)
    model, inputs, _ = NETWORKS["vit"]()
    model, inputs = model.double(), inputs.double()
    kernel, slow = quietly(lambda: tangent_kernel(model, inputs[:2], inputs[2:3]))
    assert slow
    model.eval()
    weights = list(model.parameters())
    rows = [
        torch.autograd.grad(model(inputs[i : i + 1])[0, c], weights, allow_unused=True) for i in (0, 2) for c in (0, 1)
    ]
    flat = [
        torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(row, weights, strict=True)])
        for row in rows
    ]
    assert float(kernel.train[0, 0, 0, 1]) == pytest.approx(float(flat[0] @ flat[1]), rel=1e-9)
    assert float(kernel.test[0, 1, 0, 0]) == pytest.approx(float(flat[3] @ flat[0]), rel=1e-9)


# ------------------------------------------------------------------------------------------- what changes after a first call

X, Y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3


def by_autograd(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> list[float]:
    model.eval()
    weights, found = list(model.parameters()), []
    for i in range(len(targets)):
        gradients = torch.autograd.grad(loss(model(inputs[i : i + 1]), targets[i : i + 1]), weights, allow_unused=True)
        found.append(sum(float(g.square().sum()) for g in gradients if g is not None))
    return found


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2])),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.functional.cross_entropy,
    ],
)
def test_scores_by_any_loss_are_those_of_each_sample_alone(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """In the order of the classes too, where the first samples are all alike; and after a call with one sample."""
    model, order = nn.Linear(4, 3), Y.argsort()
    expected = by_autograd(model, loss, X[order], Y[order])
    for size in (1, 8):
        found, _ = quietly(lambda: per_sample_sharpness(model, X[order][:size], Y[order][:size], loss))  # noqa: B023
        assert found.tolist() == pytest.approx(expected[:size], rel=1e-4)  # float32


class Switched(nn.Module):
    """A forward that an attribute or the data decide."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.twice, self.dropped = nn.Linear(4, 4), nn.Linear(4, 3), False, 0.0

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        if self.twice:
            hidden = hidden + nn.functional.linear(x, self.first.weight) * 2
        found: Tensor = self.last(nn.functional.dropout(hidden.relu(), self.dropped))
        return found


def test_a_network_that_changes_after_a_first_call_is_tried_again() -> None:
    torch.manual_seed(0)
    model = Switched()
    per_sample_sharpness(model, X, Y)
    model.twice = True
    found, slow = quietly(lambda: per_sample_sharpness(model, X, Y))
    assert slow
    assert found.tolist() == pytest.approx(by_autograd(model, nn.functional.cross_entropy, X, Y), rel=1e-4)
    model.twice, model.dropped = False, 0.5
    with pytest.raises(InputError, match="random in evaluation mode"):
        per_sample_sharpness(model, X, Y)
    other = nn.Sequential(nn.Linear(4, 3))
    per_sample_sharpness(other, X, Y)
    handle = other[0].register_forward_pre_hook(lambda _, arguments: (arguments[0] - arguments[0].mean(0),))
    with pytest.raises(InputError, match="samples interact"):
        per_sample_sharpness(other, X, Y)
    handle.remove()
    per_sample_sharpness(other, X, Y)
    other[0].register_forward_hook(lambda _m, _a, output: output - output.mean(0))
    with pytest.raises(InputError, match="samples interact"):
        per_sample_sharpness(other, X, Y)


def test_one_sample_does_not_vouch_for_more() -> None:
    model = nn.Sequential(nn.Linear(4, 3), Centred())
    per_sample_sharpness(model, X[:1], Y[:1])
    with pytest.raises(InputError, match="samples interact"):
        per_sample_sharpness(model, X, Y)


def test_a_label_beyond_the_outputs_is_refused() -> None:
    with pytest.raises(InputError, match="labels must be below the number of outputs, 3; got 5"):
        per_sample_sharpness(nn.Linear(4, 3), X, Y + 3)


class Merging(nn.Linear):
    """A low-rank adapter whose ``train`` merges it into the weight, and out again."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.left, self.right, self.merged = nn.Parameter(torch.ones(3, 1)), nn.Parameter(torch.ones(1, 4)), False
        self.weight.requires_grad_(False)

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * (self.left @ self.right)
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        plain = nn.functional.linear(x, self.weight, self.bias)
        return plain if self.merged else plain + x @ self.right.T @ self.left.T


def test_a_module_whose_train_does_more_is_not_changed() -> None:
    model = Merging()
    before = model.weight.clone()
    quietly(lambda: per_sample_sharpness(model, X, Y))
    assert worst_case_sharpness(model, (X, Y), iterations=2) > 0
    assert torch.equal(model.weight, before)
    assert (model.training, model.merged) == (True, False)


@pytest.mark.parametrize("last", [nn.Linear(4, 1), nn.Sequential(nn.PReLU(), nn.Linear(4, 1))])
def test_one_output_has_no_cross_entropy_after_another_loss_either(last: nn.Module) -> None:
    def binary(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())

    quietly(lambda: per_sample_sharpness(last, X, Y % 2, binary))
    with pytest.raises(InputError, match="one output has no cross-entropy"):
        per_sample_sharpness(last, X, 0 * Y)


class Sometimes(nn.Module):
    """Uses a layer's weight beside the layer, for samples whose first entry is above 9."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        beside = torch.where((x[:, :1] > 9), x @ self.layer.weight, 0.0)
        found: Tensor = self.head(torch.tanh(self.layer(x) + beside))
        return found


@pytest.mark.parametrize(("place", "caught"), [(0, True), (4, True), (8, True), (2, False)])
def test_what_only_some_samples_do_is_caught_at_those_that_are_tried(place: int, caught: bool) -> None:
    """Of nine samples the first, the middle and the last: elsewhere the score of a sample that goes another way is wrong."""
    torch.manual_seed(0)
    model, targets = Sometimes().double(), torch.arange(9) % 3
    inputs = torch.randn(9, 4, dtype=torch.float64)
    inputs[place, 0] = 10.0
    scores, slow = quietly(lambda: per_sample_sharpness(model, inputs, targets))
    expected = one_by_one(model, inputs, targets)
    assert slow is caught
    right = np.isclose(scores.numpy(), expected, rtol=1e-9)
    assert right.all() if caught else right.tolist() == [i != place for i in range(9)]
