"""The mirror flow of diagonal linear networks under SAM: what it conserves, where it ends, and how its potential decides."""

import sympy as sp

from sharpdiv.theory.symbolic.proof import Proof

__all__ = ["common_fall_flattens", "flow_pythagoras", "hypentropy_end", "sam_shrinks_alpha"]

_plus, _minus, _alpha, _t = sp.symbols("w_+ w_- alpha t", positive=True)
_g, _ahead, _mean = sp.symbols("g g~ gbar", real=True)
_rho = sp.Symbol("rho", positive=True)
_u, _h, _b, _r = sp.symbols("u h b r", real=True)


def _sam_velocity(gradient: sp.Expr, ascended: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Velocities of w_+ and w_- under SAM of one group, its loss ``g beta`` at the weights, ``g~ beta`` after the ascent."""
    plus, minus = sp.symbols("p m")

    def slope(of_beta: sp.Expr, at: tuple[sp.Expr, sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
        loss = of_beta * (plus**2 - minus**2)
        first, second = (sp.diff(loss, w).subs({plus: at[0], minus: at[1]}) for w in (plus, minus))
        return first, second

    first, second = slope(gradient, (_plus, _minus))
    end = _plus + _rho * first, _minus + _rho * second
    up, down = slope(ascended, end)
    return -up, -down


def sam_shrinks_alpha() -> Proof:
    """SAM's flow lowers ``log w_+ w_-`` by ``8 rho g g~``, exactly and at every rho; gradient flow conserves it.

    The mean over groups of this is the law of a whole network: velocities add up. ``log w_+/w_-`` moves by the mean slope at the
    ascents alone, which is a combination of samples: the end is an interpolator of hypentropy with the smaller alphas.

    Returns:
        The proof.

    Examples:
        >>> from sharpdiv.theory.symbolic.diagonal import sam_shrinks_alpha
        >>> sam_shrinks_alpha().holds
        True
    """
    up, down = _sam_velocity(_g, _ahead)
    product = sp.expand(sp.simplify(up / _plus + down / _minus))
    ratio = sp.expand(sp.simplify(up / _plus - down / _minus))
    return Proof(
        "diagonal-alpha",
        "SAM's flow is that of gradient descent from alphas that fall, exactly",
        r"\frac{d}{dt} \log w_+ w_- = -8 \rho g \tilde g,\quad \frac{d}{dt} \log \frac{w_+}{w_-} = -4 \tilde g,\quad"
        r" \rho = 0 \Rightarrow w_+ w_- = \alpha^2",
        bool(sp.expand(product + 8 * _rho * _g * _ahead) == 0 and sp.expand(ratio + 4 * _ahead) == 0),
    )


def _conjugate(dual: sp.Expr) -> sp.Expr:
    """``Q*(h) = alpha^2 (cosh 4h - 1)/2``."""
    return _alpha**2 * (sp.cosh(4 * dual) - 1) / 2


def _potential(beta: sp.Expr) -> sp.Expr:
    """``Q(b) = (b asinh(b / 2 alpha^2) - sqrt(b^2 + 4 alpha^4) + 2 alpha^2)/4``."""
    return (beta * sp.asinh(beta / (2 * _alpha**2)) - sp.sqrt(beta**2 + 4 * _alpha**4) + 2 * _alpha**2) / 4


def hypentropy_end() -> Proof:
    """The weights at a dual variable are the stationary point of the hypentropy, whose conjugate is a quarter of the curvature.

    With ``w_+ w_- = alpha^2`` and ``u = log w_+/w_- = 4h`` the weights give ``beta = 2 alpha^2 sinh u``; there ``Q'(beta) = h``,
    so that ``h = X'nu`` and ``X beta = y`` are the conditions of ``min Q`` subject to the data; and ``1/Q''`` is 4 (w_+^2 +
    w_-^2).

    Returns:
        The proof.

    Examples:
        >>> from sharpdiv.theory.symbolic.diagonal import hypentropy_end
        >>> hypentropy_end().holds
        True
    """
    plus, minus = _alpha * sp.exp(_u / 2), _alpha * sp.exp(-_u / 2)
    beta, curvature = plus**2 - minus**2, plus**2 + minus**2
    here = 2 * _alpha**2 * sp.sinh(_u)
    root = 2 * _alpha**2 * sp.cosh(_u)  # sqrt(beta^2 + 4 alpha^4), as cosh is positive
    slope = sp.diff(_potential(_b), _b)
    stationary = sp.simplify(slope - sp.asinh(_b / (2 * _alpha**2)) / 4)
    bend = sp.simplify(sp.diff(_potential(_b), _b, 2) - 1 / (4 * sp.sqrt(_b**2 + 4 * _alpha**4)))
    legendre = here * _u / 4 - _conjugate(_u / 4) - (here * _u - root + 2 * _alpha**2) / 4
    return Proof(
        "diagonal-hypentropy",
        "The end is stationary for the hypentropy, whose second derivative is the inverse curvature",
        r"\beta = 2 \alpha^2 \sinh u,\quad Q'(\beta) = \tfrac14 \operatorname{asinh} \tfrac{\beta}{2\alpha^2} = \tfrac u4,"
        r"\quad Q''(\beta)^{-1} = 4 (w_+^2 + w_-^2),\quad Q^{\ast}(h) = \tfrac{\alpha^2}{2} (\cosh 4h - 1)",
        all(
            sp.simplify(expression.rewrite(sp.exp)) == 0
            for expression in (beta - here, curvature - root, root**2 - here**2 - 4 * _alpha**4, legendre)
        )
        and stationary == 0
        and bend == 0,
    )


def flow_pythagoras() -> Proof:
    """Along the flow the distance to the interpolator falls by twice the loss, also while alpha falls.

    With ``E = V - G``, ``G = nu'y - Q*(X'nu)`` and ``nu' = -r/n``: ``dE/dt = -|r|^2/n + (dlog alpha^2/dt) (Q*(h) - Q*(h_end))``.
    One sample and one coordinate: the terms are sums over samples and coordinates.

    Returns:
        The proof.

    Examples:
        >>> from sharpdiv.theory.symbolic.diagonal import flow_pythagoras
        >>> flow_pythagoras().holds
        True
    """
    x, y = sp.symbols("x y", real=True)
    nu, alpha = sp.Function("nu")(_t), sp.Function("a", positive=True)(_t)
    dual = nu * y - _conjugate(x * nu).subs(_alpha, alpha)
    residual = x * 2 * alpha**2 * sp.sinh(4 * x * nu) - y
    rate = sp.diff(sp.log(alpha**2), _t)
    derivative = sp.diff(dual, _t).subs(sp.Derivative(nu, _t), -residual)
    expected = residual**2 - rate * _conjugate(x * nu).subs(_alpha, alpha)
    # V is the maximum of G over nu: by the envelope theorem it moves by -rate Q*(h_end), the same term at the end.
    stationary = sp.diff(nu * y - _conjugate(x * nu).subs(_alpha, alpha), nu)
    return Proof(
        "diagonal-pythagoras",
        "Pythagoras of the mirror flow, with alphas that fall",
        r"\frac{dE}{dt} = -\frac{|r|^2}{n} + \frac{d \log \alpha^2}{dt} \bigl[Q^{\ast}(h) - Q^{\ast}(h_{\mathrm{end}})\bigr],"
        r"\quad E = V - G(\nu),\quad G = \nu'y - Q^{\ast}(X'\nu),\quad \nabla G = -r",
        bool(sp.simplify(derivative - expected) == 0 and sp.simplify(stationary + residual) == 0),
    )


def common_fall_flattens() -> Proof:
    """A common fall l of ``log alpha^2`` lowers ``w_+^2 + w_-^2`` at the interpolator.

    Leave out of Q what does not depend on beta, ``2 alpha^2/4``. The rest has the l-derivative ``(w_+^2 + w_-^2)/4`` at
    fixed beta, and is concave in l. V, its minimum over interpolators, is therefore concave, and by the envelope theorem
    V' is a sixteenth of the trace.

    Returns:
        The proof for every coordinate; a minimum of concave functions is concave.

    Examples:
        >>> from sharpdiv.theory.symbolic.diagonal import common_fall_flattens
        >>> common_fall_flattens().holds
        True
    """
    fall = sp.Symbol("l", real=True)
    scale = _alpha**2 * sp.exp(-fall)
    root = sp.sqrt(_b**2 + 4 * scale**2)
    plain = (_b * sp.asinh(_b / (2 * scale)) - root) / 4
    first, second = sp.diff(plain, fall), sp.diff(plain, fall, 2)
    return Proof(
        "diagonal-flattening",
        "A common fall of the alphas lowers the trace of the Hessian at the interpolator",
        r"V(l) = \min_{X\beta = y} \textstyle\sum_j Q_l(\beta_j),\quad"
        r" \partial_l Q_l = \tfrac14 \sqrt{\beta^2 + 4 \alpha^4 e^{-2l}},"
        r"\quad \partial_l^2 Q_l = -\frac{\alpha^4 e^{-2l}}{\sqrt{\beta^2 + 4 \alpha^4 e^{-2l}}} < 0",
        bool(sp.simplify(first - root / 4) == 0 and sp.simplify(second + scale**2 / root) == 0),
    )
