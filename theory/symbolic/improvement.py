"""The ensemble improvement rate of SAM: constant in rho without label noise, falling with it."""

import sympy as sp

from sharpdiv.theory.symbolic.moments import moment
from sharpdiv.theory.symbolic.phi import phi_polynomial, psi_polynomial
from sharpdiv.theory.symbolic.proof import Proof
from sharpdiv.theory.symbolic.symbols import d, eta, members, noise, omega, rho, sigma

__all__ = ["eir_with_noise", "eir_without_noise"]


def _errors(steps: int, label_noise: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Member and ensemble error of SAM, m members with independent initializations on the same data."""
    q0 = phi_polynomial(2 * steps, 0)
    shared = omega**2 / d * q0 + label_noise**2 * psi_polynomial(steps)
    return sigma**2 * q0 + shared, sigma**2 / members * q0 + shared


def eir_without_noise(steps: int = 3) -> Proof:
    """Without label noise SAM's improvement rate does not depend on rho, although its errors do.

    Args:
        steps: k.

    Returns:
        The proof for this k.

    Examples:
        >>> from sharpdiv.theory.symbolic import eir_without_noise
        >>> eir_without_noise(steps=1).holds
        True
    """
    member, ensemble = _errors(steps, sp.Integer(0))
    eir = sp.cancel((member - ensemble) / member)
    closed = (1 - 1 / members) * sigma**2 / (sigma**2 + omega**2 / d)
    return Proof(
        "eir-without-noise",
        f"Without label noise SAM's improvement rate does not depend on rho (k = {steps})",
        r"\mathrm{EIR} = \bigl(1 - \tfrac{1}{m}\bigr) \frac{\sigma^2}{\sigma^2 + \omega^2/d},\quad"
        rf" \partial_\rho \mathrm{{EIR}} = 0 \ne \partial_\rho \mathrm{{member}},\quad k = {steps}",
        bool(sp.cancel(eir - closed) == 0 and sp.diff(eir, rho) == 0 and sp.diff(member, rho) != 0),
    )


def eir_with_noise(steps: int = 3) -> Proof:
    """With label noise SAM's improvement rate falls with rho at small eta.

    The noise has variance ``s_e^2`` and adds ``s_e^2 psi`` to the error of every member and of the ensemble.
    ``d EIR / d rho`` is ``(gain' member - gain member') / member^2`` with ``gain = member - ensemble``. To order ``eta^2``
    the numerator needs the errors to order ``eta^2`` only, and the denominator is taken at ``eta = 0``.

    Args:
        steps: k.

    Returns:
        The proof for this k: the coefficients of 1 and eta vanish, that of ``eta^2`` is the closed form and negative
        for two members or more.

    Examples:
        >>> from sharpdiv.theory.symbolic import eir_with_noise
        >>> eir_with_noise(steps=1).holds
        True
    """
    member, ensemble = (_to_second_order(error) for error in _errors(steps, noise))
    gain = member - ensemble
    slope = sp.expand(sp.diff(gain, rho) * member - gain * sp.diff(member, rho))
    leading = slope.coeff(eta, 2) / member.subs(eta, 0) ** 2
    scale = 2 * steps**2 * sigma**2 * noise**2 / (sigma**2 + omega**2 / d) ** 2
    drop = scale * (moment(2) + rho * moment(3))
    return Proof(
        "eir-with-noise",
        f"With label noise SAM's improvement rate falls with rho at small eta (k = {steps})",
        r"\partial_\rho \mathrm{EIR} = -\bigl(1 - \tfrac{1}{m}\bigr)"
        r" \frac{2 k^2 \sigma^2 s_e^2 [\tau(W^2) + \rho \tau(W^3)]}{(\sigma^2 + \omega^2/d)^2} \eta^2 + O(\eta^3)"
        rf",\quad m \ge 2,\quad k = {steps}",
        bool(
            slope.coeff(eta, 0) == slope.coeff(eta, 1) == 0
            and sp.cancel(leading + (1 - 1 / members) * drop) == 0
            and drop.is_positive
        ),
    )


def _to_second_order(expression: sp.Expr) -> sp.Expr:
    """The polynomial without terms of higher order than ``eta^2``."""
    expanded = sp.expand(expression)
    return sum(expanded.coeff(eta, power) * eta**power for power in range(3))
