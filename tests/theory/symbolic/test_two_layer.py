"""The two-layer proofs hold, and fail for what is not so."""

import sympy as sp

from sharpdiv.theory.symbolic import two_layer
from tests.laws import Mutation, law

ROOM = "sharpdiv.theory.symbolic.two_layer"


@law(
    Mutation(
        "with a regularizer of W",
        f"{ROOM}._loss",
        lambda f: lambda entries, *args: f(entries, *args) + sum(w**2 for w in entries[2:]),
    )
)
def test_sam_does_not_move_what_no_sample_shows() -> None:
    assert two_layer.two_layer_null_space().holds


@law(
    Mutation(
        "divided by the members",
        f"{ROOM}._unseen_errors",
        lambda f: lambda members: (f(members)[0] * (members - 1) / members, *f(members)[1:]),
    ),
    Mutation(
        "a bias that is not there",
        f"{ROOM}._mean_over_normal",
        lambda f: lambda quadratic, entries: f(quadratic, entries) + two_layer._bias,
    ),
)
def test_the_improvement_rate_is_a_function_of_d() -> None:
    assert two_layer.two_layer_improvement().holds


@law(
    Mutation(
        "a rotation",
        f"{ROOM}._hyperbola",
        lambda f: lambda: tuple(v.subs(two_layer._tau, sp.I * two_layer._tau) for v in f()),
    ),
    Mutation("half the overlap", f"{ROOM}._hyperbola", lambda f: lambda: (*f()[:2], f()[2] / 2)),
)
def test_gradient_flow_turns_hyperbolically() -> None:
    assert two_layer.two_layer_hyperbola().holds


@law(
    Mutation(
        "the same on both layers", f"{ROOM}._friction", lambda f: lambda *args: f(args[0], 0 * args[1], 0 * args[2])
    ),
    Mutation("no odd part", f"{ROOM}._friction", lambda f: lambda *args: f(*args[:2], 0 * args[2])),
    Mutation("one integral", f"{ROOM}._integrals", lambda f: lambda: (f()[0], f()[0], f()[2])),
)
def test_sam_is_friction() -> None:
    assert two_layer.two_layer_friction().holds


@law(
    Mutation(
        "the sum over groups",
        f"{ROOM}._at_origin",
        lambda f: lambda groups: (f(groups)[0], 2 * f(groups)[1], f(groups)[2]),
    ),
    Mutation("one group's gradient", f"{ROOM}._at_origin", lambda f: lambda groups: (groups[0, :].T, *f(groups)[1:])),
)
def test_the_origin_attracts_from_the_groups_gradient_on() -> None:
    assert two_layer.origin_attracts().holds
