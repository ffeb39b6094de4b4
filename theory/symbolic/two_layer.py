"""The two-layer linear network: what SAM cannot move, the hyperbola it moves on, and where the origin begins to attract."""

import sympy as sp

from sharpdiv.theory.symbolic.proof import Proof, equal

__all__ = [
    "origin_attracts",
    "two_layer_friction",
    "two_layer_hyperbola",
    "two_layer_improvement",
    "two_layer_null_space",
]

_tau = sp.Symbol("tau", real=True)
_first, _second, _target, _curvature = sp.symbols("A_0 U_0 t lambda", positive=True)
_bias, _variance = sp.symbols("b s_w^2", positive=True)
_on_output, _on_hidden = sp.symbols("K J", positive=True)


def two_layer_null_space() -> Proof:
    """A step of SAM leaves W alone on what no sample shows, for one sample in two dimensions and two units.

    Returns:
        The proof, by differentiation of the loss at the ascended weights.

    Examples:
        >>> from sharpdiv.theory.symbolic import two_layer_null_space
        >>> two_layer_null_space().holds
        True
    """
    entries = sp.symbols("a_1 a_2 w_11 w_12 w_21 w_22")
    x, (y, rho) = sp.symbols("x_1 x_2"), sp.symbols("y rho")
    gradient = [sp.diff(_loss(entries, x, y), entry) for entry in entries]
    at = dict(zip(entries, (w + rho * g for w, g in zip(entries, gradient, strict=True)), strict=True))
    ahead = [g.subs(at, simultaneous=True) for g in gradient]
    unseen = [-x[1] * ahead[2 + 2 * unit] + x[0] * ahead[3 + 2 * unit] for unit in range(2)]
    return Proof(
        "two-layer-null-space",
        "SAM does not move the first layer of a linear network where no sample shows",
        r"X z = 0 \implies W_{k+1} z = W_k z, \quad D = s_w^2 (d - n) E |a|^2",
        all(sp.expand(moved) == 0 for moved in unseen) and any(sp.expand(g) != 0 for g in ahead[2:]),
    )


def _loss(entries: tuple[sp.Symbol, ...], x: tuple[sp.Symbol, ...], y: sp.Expr) -> sp.Expr:
    """Half the square of a'Wx - y."""
    a, rows = entries[:2], (entries[2:4], entries[4:6])
    return (sum(a[k] * (rows[k][0] * x[0] + rows[k][1] * x[1]) for k in range(2)) - y) ** 2 / 2


def _unseen_errors(members: int) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Mean over W of D, member and ensemble error in one direction that no sample shows, for two units a member."""
    # W there is as drawn, of variance s_w^2 and independent of a; the target has the component b.
    entries = sp.symbols(f"w_1:{2 * members + 1}")
    units = sp.symbols(f"a_1:{2 * members + 1}", positive=True)
    outputs = [entries[2 * i] * units[2 * i] + entries[2 * i + 1] * units[2 * i + 1] for i in range(members)]
    mean = sum(outputs) / members
    parts = (
        sum((output - mean) ** 2 for output in outputs) / (members - 1),
        sum((output - _bias) ** 2 for output in outputs) / members,
        (mean - _bias) ** 2,
    )
    diversity, member, ensemble = (_mean_over_normal(part, entries) for part in parts)
    return diversity, member, ensemble


def _mean_over_normal(quadratic: sp.Expr, entries: tuple[sp.Symbol, ...]) -> sp.Expr:
    """Mean of a polynomial of degree 2 over independent normal entries of mean 0 and variance ``s_w^2``."""
    terms = sp.Poly(quadratic, *entries).terms()
    return sum(value * _variance ** (sum(powers) // 2) for powers, value in terms if all(p % 2 == 0 for p in powers))


def two_layer_improvement() -> Proof:
    """At a given bias, which SAM does not move, the improvement rate rises with D.

    Returns:
        The proof for three members of two units and one direction; of several, numerators and denominators add up.

    Examples:
        >>> from sharpdiv.theory.symbolic import two_layer_improvement
        >>> two_layer_improvement().holds
        True
    """
    members = 3
    diversity, member, ensemble = _unseen_errors(members)
    value = sp.Symbol("D", positive=True)
    closed = (1 - sp.Rational(1, members)) * value / (_bias**2 + value)
    return Proof(
        "two-layer-improvement",
        f"In two-layer linear networks of one bias b the improvement rate rises with D (M = {members})",
        r"\mathrm{member} = b^2 + D, \quad \mathrm{ensemble} = b^2 + \tfrac1M D, \quad"
        r" \mathrm{EIR} = \bigl(1 - \tfrac1M\bigr) \frac{D}{b^2 + D}, \quad \partial_D \mathrm{EIR} > 0, \quad"
        f" M = {members}",
        equal(member, _bias**2 + diversity)
        and equal(ensemble, _bias**2 + diversity / members)
        and sp.cancel((member - ensemble) / member - closed.subs(value, diversity)) == 0
        and bool(sp.cancel(sp.diff(closed, value)).is_positive),
    )


def _hyperbola() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """``|a|^2``, ``|We|^2`` and ``a'We`` at the angle tau."""
    cosh, sinh = sp.cosh(_tau), sp.sinh(_tau)
    return (
        _first * cosh**2 + _second * sinh**2,
        _second * cosh**2 + _first * sinh**2,
        (_first + _second) * sp.sinh(2 * _tau) / 2,
    )


def two_layer_hyperbola() -> Proof:
    """Without SAM a wide network's weights turn hyperbolically until they fit.

    Returns:
        The proof: ``A' = U' = 2c`` and ``c' = A + U`` in the time tau, and c is the target at the end.

    Examples:
        >>> from sharpdiv.theory.symbolic import two_layer_hyperbola
        >>> two_layer_hyperbola().holds
        True
    """
    first, second, overlap = _hyperbola()
    end = sp.asinh(2 * _target / (_first + _second)) / 2
    equations = (
        sp.diff(first, _tau) - 2 * overlap,
        sp.diff(second, _tau) - 2 * overlap,
        sp.diff(overlap, _tau) - first - second,
    )
    starts = [value.subs(_tau, 0) for value in (first, second, overlap)]
    return Proof(
        "two-layer-hyperbola",
        "Gradient flow turns the two layers of a wide linear network by a hyperbolic angle",
        r"|a|^2 = A_0 \cosh^2 \tau + U_0 \sinh^2 \tau, \quad \tau = \tfrac12 \mathrm{asinh} \frac{2 t}{A_0 + U_0}",
        all(_vanishes(equation) for equation in equations)
        and starts == [_first, _second, 0]
        and sp.simplify(overlap.subs(_tau, end) - _target) == 0,
    )


def _friction(plain: sp.Expr, even: sp.Expr, odd: sp.Expr) -> sp.Matrix:
    """First order of the friction from the integrals of sigma times 1, cosh 2tau and sinh 2tau."""
    mean, half = (_on_output + _on_hidden) / 2, (_on_output - _on_hidden) / 2
    return sp.Matrix([[mean * plain + half * even, half * odd], [-half * odd, mean * plain - half * even]])


def _integrals() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """The integrals up to tau, as the code has them at its end with ``t = (A_0 + U_0) sinh(2 tau)/2``."""
    both, cosh, sinh = _first + _second, sp.cosh(2 * _tau), sp.sinh(2 * _tau)
    return (
        _curvature * (_target * _tau - both * (cosh - 1) / 4),
        _curvature * (_target * sinh / 2 - both * sinh**2 / 8),
        _curvature * (_target * (cosh - 1) / 2 - both * (sinh * cosh / 8 - _tau / 4)),
    )


def two_layer_friction() -> Proof:
    """To first order SAM is a friction on the two layers, n/m times as strong on the second as on the first.

    Returns:
        The proof: the closed form N solves ``N' = sigma e^{-tau s} diag(K, J) e^{tau s}``, ``s`` the exchange of the layers, so
        that ``e^{tau s} (1 - N)`` solves the equations of motion to first order.

    Examples:
        >>> from sharpdiv.theory.symbolic import two_layer_friction
        >>> two_layer_friction().holds
        True
    """
    sigma = _curvature * (_target - _hyperbola()[2])
    integrals = _integrals()
    turn = sp.Matrix([[sp.cosh(_tau), sp.sinh(_tau)], [sp.sinh(_tau), sp.cosh(_tau)]])
    motion = sigma * turn.subs(_tau, -_tau) * sp.diag(_on_output, _on_hidden) * turn
    at_end = integrals[1].subs(_target, (_first + _second) * sp.sinh(2 * _tau) / 2)
    return Proof(
        "two-layer-friction",
        "To first order in rho SAM is friction on the two layers",
        r"N = \int \sigma e^{-\tau s} \mathrm{diag}(K, J) e^{\tau s} d\tau, \quad K = \rho n/m, \quad J = \rho",
        all(_vanishes(entry) for entry in sp.diff(_friction(*integrals), _tau) - motion)
        and all(value.subs(_tau, 0) == 0 for value in integrals)
        and _vanishes(at_end - _curvature * (_first + _second) * sp.sinh(2 * _tau) ** 2 / 8),
    )


def _at_origin(groups: sp.Matrix) -> tuple[sp.Matrix, sp.Matrix, sp.Expr]:
    """v, V and N of two groups' gradients, the rows."""
    second = groups.T * groups / 2
    return (groups[0, :] + groups[1, :]).T / 2, second, second.trace()


def origin_attracts() -> Proof:
    """Weights of 0 attract from ``rho^2 mean |v_B|^2 = 1`` on, for two groups in two dimensions.

    Returns:
        The proof: ``v'V^{-1}v = 1``, so that the linear motion's matrix is singular there, and definite beyond.

    Examples:
        >>> from sharpdiv.theory.symbolic import origin_attracts
        >>> origin_attracts().holds
        True
    """
    groups = sp.Matrix(2, 2, sp.symbols("v_11 v_12 v_21 v_22", real=True))
    rho = sp.Symbol("rho", positive=True)
    mean, second, strength = _at_origin(groups)
    motion = sp.Matrix(sp.BlockMatrix([[sp.Matrix([[rho * strength]]), mean.T], [mean, rho * second]]))
    return Proof(
        "origin-attracts",
        "Un-normalized SAM makes the origin of a two-layer linear network attractive at the groups' gradient there",
        r"\det = \rho \det(V) (\rho^2 N - 1), \quad N = \mathrm{mean}_B |v_B|^2",
        sp.expand(motion.det() - rho * second.det() * (rho**2 * strength - 1)) == 0,
    )


def _vanishes(expression: sp.Expr) -> bool:
    """Whether an expression in hyperbolic functions of tau and powers of it is 0."""
    power = sp.Symbol("z", positive=True)
    return bool(sp.simplify(sp.expand(expression.rewrite(sp.exp).expand().subs(sp.exp(_tau), power))) == 0)
