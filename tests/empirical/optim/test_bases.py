"""All of torch.optim inside SAM: options that change what a gradient means, and those optimizers that cannot."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from tests.laws import Mutation, law

ALL: dict[str, type[torch.optim.Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
}
REFUSED = {"LBFGS": "closure of its own", "Adadelta": "option rho of its own"}
SPARSE = {"SparseAdam"}  # takes sparse gradients only
USABLE = sorted(set(ALL) - set(REFUSED))
OF_GRADIENTS = {"maximize", "differentiable"}
"""Options that change what a gradient means, and have to reach the ascent or be refused."""
OF_THE_STEP = {
    "amsgrad", "capturable", "centered", "decoupled_weight_decay", "foreach", "fused", "nesterov",
}  # fmt: skip
"""Options that say how the descent is computed from its gradient."""


def options(name: str) -> dict[str, Any]:
    return {option: p.default for option, p in inspect.signature(ALL[name]).parameters.items() if option != "params"}


def test_every_switch_of_every_optimizer_is_known() -> None:
    """A new PyTorch with a new switch fails here: does it change what a gradient means?"""
    switches = {o for name in ALL for o, default in options(name).items() if isinstance(default, bool | None)}
    switches -= {"max_eval", "line_search_fn"}  # of LBFGS
    switches -= {"adjust_lr_fn"}  # of Muon: the rate
    assert switches == OF_GRADIENTS | OF_THE_STEP


def weights(name: str, dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    torch.manual_seed(0)
    rows = [nn.Parameter(torch.randn(4, 3, dtype=dtype)), nn.Parameter(torch.randn(3, 2, dtype=dtype))]
    return rows[:1] if name in SPARSE else rows


def loss_of(parameters: list[nn.Parameter], sparse: bool) -> Tensor:
    """A loss of rows 1, 3 and 1 of the first matrix, through the second if there is one."""
    rows = nn.functional.embedding(torch.tensor([1, 3, 1]), parameters[0], sparse=sparse)
    return ((rows @ parameters[1] if parameters[1:] else rows) - 1).square().mean()


def closure_of(optimizer: SAM, parameters: list[nn.Parameter], sparse: bool, sign: float = 1.0) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = sign * loss_of(parameters, sparse)
        loss.backward()
        return loss

    return closure


def by_hand(name: str, sparse: bool, rho: float, sign: float, adaptive: bool, **given: Any) -> list[Tensor]:
    """Two steps with plain tensors, around the optimizer alone."""
    parameters = weights(name)
    optimizer = ALL[name](parameters, **given)
    for _ in range(2):
        gradients = torch.autograd.grad(sign * loss_of(parameters, False), parameters)
        scaled = [p.detach().abs() * g if adaptive else g for p, g in zip(parameters, gradients, strict=True)]
        norm = torch.cat([g.flatten() for g in scaled]).norm()
        ascent = [p.detach().abs() * g if adaptive else g for p, g in zip(parameters, scaled, strict=True)]
        ahead = [nn.Parameter(p.detach() + rho * sign * e / norm) for p, e in zip(parameters, ascent, strict=True)]
        (sign * loss_of(ahead, sparse)).backward()
        for p, moved in zip(parameters, ahead, strict=True):
            p.grad = moved.grad
        optimizer.step()
    return [p.detach() for p in parameters]


def agrees(name: str, sign: float = 1.0, *, sparse: bool = False, adaptive: bool = False, **given: Any) -> None:
    """``sign = -1`` is the loss turned round and maximized: ``by_hand`` ascends to where it is lowest."""
    parameters = weights(name)
    optimizer = SAM(parameters, ALL[name], 0.3, adaptive=adaptive, **given)
    for _ in range(2):
        optimizer.step(closure_of(optimizer, parameters, sparse, sign))
    for ours, theirs in zip(parameters, by_hand(name, sparse, 0.3, sign, adaptive, **given), strict=True):
        # float64; the norm is summed in another order
        assert ours.detach().numpy() == pytest.approx(theirs.numpy(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", USABLE)
def test_sam_around_every_optimizer(name: str) -> None:
    agrees(name, sparse=name in SPARSE)


@pytest.mark.parametrize(
    ("name", "switch"),
    [(n, s) for n in USABLE for s in sorted(OF_THE_STEP - {"capturable"}) if s in options(n)],
)
def test_switches_of_the_step_leave_the_ascent(name: str, switch: str) -> None:
    """``capturable`` is for accelerators."""
    given: dict[str, Any] = {"momentum": 0.9} if switch == "nesterov" and name == "SGD" else {}
    agrees(name, **{switch: True}, **given)


@pytest.mark.parametrize("name", [n for n in USABLE if "maximize" in options(n)])
def test_what_is_maximized_is_worst_where_it_is_lowest(name: str) -> None:
    agrees(name, -1.0, sparse=name in SPARSE, maximize=True)


@law(
    Mutation("up the hill", "sharpdiv.empirical.optim.ascent._signed_rho", lambda f: lambda g: g["rho"]),
    Mutation("always down", "sharpdiv.empirical.optim.ascent._signed_rho", lambda f: lambda g: -g["rho"]),
)
def test_the_ascent_follows_maximize() -> None:
    agrees("SGD", lr=0.1)
    agrees("SGD", -1.0, lr=0.1, maximize=True)


@pytest.mark.parametrize("name", [n for n in USABLE if "differentiable" in options(n)])
def test_a_step_that_keeps_its_graph_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="differentiable=False"):
        SAM(weights(name), ALL[name], 0.1, differentiable=True)


@pytest.mark.parametrize("name", REFUSED)
def test_optimizers_that_cannot_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        SAM(weights(name), ALL[name], 0.1)


def test_a_base_is_a_class_and_not_sam() -> None:
    parameters = weights("SGD")
    with pytest.raises(InputError, match="class"):
        SAM(parameters, torch.optim.SGD(parameters), 0.1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="SAM around SAM"):
        SAM(parameters, lambda p: SAM(p, torch.optim.SGD, 0.1), 0.1)


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("name", ["SGD", "SparseAdam", "Adagrad"])  # those that take them, by PyTorch's documentation
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # Adagrad's own
def test_sparse_gradients(name: str, adaptive: bool) -> None:
    agrees(name, sparse=True, adaptive=adaptive)


def test_sparse_gradients_are_not_clipped_in_silence() -> None:
    parameters = weights("SGD")
    optimizer = SAM(parameters, torch.optim.SGD, 0.1, clip_norm=1.0, lr=0.1)
    with pytest.raises(InputError, match="sparse"):
        optimizer.step(closure_of(optimizer, parameters, True))


@pytest.mark.parametrize("adaptive", [True, False])
def test_complex_parameters_move_as_their_two_parts(adaptive: bool) -> None:
    """Not adaptive: as the real network of real and imaginary parts. Adaptive scales by the modulus."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, dtype=torch.complex128))
    target = torch.randn(3, dtype=torch.complex128)
    parts = torch.view_as_real(weight.detach()).clone().requires_grad_()
    optimizer = SAM([weight], torch.optim.SGD, 0.3, adaptive=adaptive, lr=0.1)

    def value(w: Tensor) -> Tensor:
        return (w * w - target).abs().square().sum()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(weight)
        loss.backward()
        return loss

    (gradient,) = torch.autograd.grad(value(torch.view_as_complex(parts)), parts)
    modulus = parts.detach().norm(dim=1, keepdim=True) if adaptive else torch.ones(3, 1, dtype=torch.float64)
    ahead = (parts.detach() + 0.3 * modulus**2 * gradient / (modulus * gradient).norm()).requires_grad_()
    (descent,) = torch.autograd.grad(value(torch.view_as_complex(ahead)), ahead)
    optimizer.step(closure)
    assert torch.allclose(torch.view_as_real(weight.detach()), parts.detach() - 0.1 * descent, rtol=1e-12)
