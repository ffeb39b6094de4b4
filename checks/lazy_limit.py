"""Claims about the lazy limit and the way out of it, checked on the dial of small networks (``checks/dial.py``)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr

from checks.claim import Claim, Finding, Verdict, number
from checks.evidence import REPLICATES, SEED, Evidence, Interval, interval

__all__ = ["CLAIMS", "COMPARED_AT", "Curves", "at_matched_loss", "change", "curves", "finite_interval"]

_COMMAND = "sharpdiv reproduce --profile cpu"
COMPARED_AT = 20
"""k at which curves over rho are compared, half of the longest training"""
_QUANTITIES = ("diversity", "member_error", "ensemble_error", "loss", "sharpness")
_SYMBOLS = {"diversity": "D", "sharpness": "kappa", "eir": "EIR", "loss": "training loss"}


@dataclass(frozen=True)
class Curves:
    """One ensemble over SAM's radius and steps, resampled over its members; the first replicate is the ensemble itself."""

    fractions: Float[np.ndarray, " fractions"]
    """``rho x_max``"""
    steps: Float[np.ndarray, " snapshots"]
    """k"""
    values: dict[str, Float[np.ndarray, "replicates fractions snapshots"]]
    """diversity, member_error, ensemble_error, eir, loss, sharpness"""

    def at(self, steps: int) -> dict[str, Float[np.ndarray, "replicates fractions"]]:
        """Everything at one number of steps.

        Returns:
            By name.
        """
        column = int(np.flatnonzero(self.steps == steps)[0])
        return {name: values[:, :, column] for name, values in self.values.items()}


def curves(network: dict[str, Any], optimizer: str, alpha: str | None = None, members: int | None = None) -> Curves:
    """An ensemble of the dial as arrays.

    Members are drawn with replacement, the same ones for every optimizer, alpha and radius, so that differences are paired. A
    member drawn twice differs from itself by nothing, which makes the mean over replicates of D too small by the factor
    ``1 - 1/M``: undone.

    Args:
        network: of the results.
        optimizer: sam, blocks or normalised.
        alpha: as a key of the results; the prediction if not given.
        members: the first so many; all unless given.

    Returns:
        The curves; NaN where a member diverged.
    """
    stored = network["predicted"][optimizer] if alpha is None else network["measured"][alpha][optimizer]
    loss, sharpness = (_array(stored[name]) for name in ("loss", "sharpness"))
    count = members or len(loss)
    products = _square(_array(stored["products"]), len(loss))[..., :count, :count]
    draw = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=2 * REPLICATES) / count
    draw = draw[draw.max(axis=1) < 1][:REPLICATES]  # an ensemble of one member, time and again, has no diversity
    weights = np.vstack([np.full(count, 1 / count), draw])
    member = np.einsum("bm,xkmm->bxk", weights, products)
    ensemble = np.einsum("bm,xkmn,bn->bxk", weights, products, weights, optimize=True)
    spread = (member - ensemble) * count / (count - 1)
    spread[1:] *= count / (count - 1)
    values = {
        "diversity": spread,
        "member_error": member,
        "ensemble_error": member - (1 - 1 / count) * spread,
        "eir": (1 - 1 / count) * spread / member,
        "loss": np.einsum("bm,mxk->bxk", weights, loss[:count]),
        "sharpness": np.einsum("bm,mxk->bxk", weights, sharpness[:count]),
    }
    fractions = np.array(network["dial"]["fractions"])
    return Curves(fractions, np.array(network["dial"]["snapshots"], dtype=float), values)


def _array(values: Any) -> Float[np.ndarray, "..."]:
    return np.array(values, dtype=float)  # None, which JSON has for what diverged, becomes NaN


def _square(triangle: Float[np.ndarray, "... pairs"], members: int) -> Float[np.ndarray, "... members members"]:
    full = np.empty((*triangle.shape[:-1], members, members))
    rows, columns = np.tril_indices(members)
    full[..., rows, columns] = full[..., columns, rows] = triangle
    return full


def at_matched_loss(found: Curves, name: str) -> Float[np.ndarray, "replicates fractions"]:
    """A quantity where every radius has reached the training loss that the slowest reaches, interpolated in the loss.

    Args:
        found: the curves.
        name: of the quantity.

    Returns:
        One value for each radius; NaN where the loss does not fall to that level between two snapshots.
    """
    loss, values = found.values["loss"], found.values[name]
    level = np.nanmax(loss.min(axis=2), axis=1)
    result = np.full(loss.shape[:2], np.nan)
    for later in range(loss.shape[2] - 1, 0, -1):
        high, low = loss[:, :, later - 1], loss[:, :, later]
        inside = (high >= level[:, None]) & (low <= level[:, None]) & (high > low)
        share = np.divide(high - level[:, None], high - low, out=np.zeros_like(high), where=inside)
        crossing = values[:, :, later - 1] + share * (values[:, :, later] - values[:, :, later - 1])
        result = np.where(inside, crossing, result)  # the first crossing is written last
    return result


def change(values: Float[np.ndarray, "replicates fractions"]) -> Float[np.ndarray, " replicates"]:
    """Relative change from gradient descent to the largest radius.

    Args:
        values: over the radii.

    Returns:
        One for each replicate.
    """
    return values[:, -1] / values[:, 0] - 1


def _network(evidence: Evidence, name: str) -> dict[str, Any] | None:
    return next((n for n in evidence.networks if n["network"]["name"] == name), None)


def _missing(*names: str) -> Finding:
    return Finding(Verdict.NOT_RUN, remark=f"No results of {' and '.join(names)}; run {_COMMAND}.")


def _percent(value: float) -> str:
    return f"{100 * value:.2g}%" if np.isfinite(value) else "diverged"


# ----------------------------------------------------------------------------------------------------------------- gates


def _exact(evidence: Evidence) -> Finding:
    name = "relu-none-8-head"
    network = _network(evidence, name)
    if network is None:
        return _missing(name)
    numbers, worst = [], {"D, errors and loss": 0.0, "kappa": 0.0}
    for alpha, optimizers in network["measured"].items():
        for optimizer, found in optimizers.items():
            # Where normalised SAM is outside the domain of its formula there is no prediction; what else is missing diverged.
            predicted = np.isfinite(_array(network["predicted"][optimizer]["loss"])).all(axis=0)
            for quantity in _QUANTITIES:
                largest = float(np.max(np.abs(_array(found["relative_error"][quantity])[predicted])))
                group = "kappa" if quantity == "sharpness" else "D, errors and loss"
                worst[group] = float(np.maximum(worst[group], largest))
                label = f"alpha = {alpha}, {optimizer}: {_SYMBOLS.get(quantity, quantity.replace('_', ' '))}"
                numbers.append((f"{label}, largest relative difference", f"{largest:.1e}"))
    met = worst["D, errors and loss"] <= 1e-10 and worst["kappa"] <= 1e-7
    return Finding(Verdict.HOLDS if met else Verdict.FAILS, tuple(numbers))


_GATES = {"diversity": "D", "sharpness": "kappa", "member_error": "member error", "ensemble_error": "ensemble error"}


def _gate(names: tuple[str, ...], alpha: str, limits: dict[str, float], evidence: Evidence) -> Finding:
    """Largest relative difference over radii at the steps of comparison, and over all steps without a gate."""
    networks = [n for n in (_network(evidence, name) for name in names) if n and alpha in n["measured"]]
    if not networks:
        return _missing(*names)
    numbers, met = [], []
    for network in networks:
        steps = network["dial"]["snapshots"]
        column = steps.index(COMPARED_AT)
        for optimizer, found in network["measured"][alpha].items():
            for quantity, label in _GATES.items():
                errors = np.abs(_array(found["relative_error"][quantity]))
                if quantity in limits and optimizer == "sam":
                    met.append(bool(errors[:, column].max() <= limits[quantity]))
                by_step = ", ".join(
                    f"{k}: {_percent(e)}" for k, e in zip(steps, np.nanmax(errors, axis=0), strict=True)
                )
                numbers.append((f"{network['network']['name']}, {optimizer}: {label}, largest over rho by k", by_step))
            distance = _array(found["distance"])[:, column]
            values = f"{_percent(np.nanmin(distance))} to {_percent(np.nanmax(distance))}"
            numbers.append(
                (f"{network['network']['name']}, {optimizer}: distance of the functions at k = {COMPARED_AT}", values)
            )
    return Finding(Verdict.HOLDS if all(met) else Verdict.FAILS, tuple(numbers))


# -------------------------------------------------------------------------------------------------------- out of the limit


def _rich(evidence: Evidence) -> Finding:
    """How far the lazy prediction carries, by alpha and network, and how its error falls."""
    networks = [n for n in evidence.networks if not n["network"]["head_only"]]
    if not networks:
        return _missing("the dial")
    numbers = []
    for network in networks:
        column = network["dial"]["snapshots"].index(COMPARED_AT)
        for quantity in ("diversity", "sharpness", "member_error", "ensemble_error", "loss"):
            by_alpha = {
                float(alpha): float(np.nanmax(np.abs(_array(found["sam"]["relative_error"][quantity])[:, column])))
                for alpha, found in network["measured"].items()
            }
            label = _SYMBOLS.get(quantity, quantity.replace("_", " "))
            text = ", ".join(f"{alpha:g}: {_percent(error)}" for alpha, error in sorted(by_alpha.items()))
            numbers.append((f"{network['network']['name']}: {label}, largest relative error over rho by alpha", text))
        distances = {
            float(alpha): float(np.nanmean(_array(found["sam"]["distance"])[:, column]))
            for alpha, found in network["measured"].items()
        }
        text = ", ".join(f"{alpha:g}: {_percent(d)}" for alpha, d in sorted(distances.items()))
        if len(distances) > 1:
            slope = np.polyfit(np.log(list(distances)), np.log(list(distances.values())), 1)[0]
            text += f"; like alpha to the {slope:.2f}"
        numbers.append((f"{network['network']['name']}: distance of the functions by alpha", text))
    at_one = [
        bool(np.max(np.abs(_array(n["measured"]["1"]["sam"]["relative_error"]["diversity"])[:, _column(n)])) <= 0.05)
        for n in networks
        if "1" in n["measured"]
    ]
    if not at_one:
        return Finding(Verdict.NOT_RUN, tuple(numbers), f"No network at alpha = 1; run {_COMMAND}.")
    verdict = Verdict.HOLDS if all(at_one) else Verdict.CONDITIONAL if any(at_one) else Verdict.FAILS
    remark = f"D is predicted within 5% in {sum(at_one)} of {len(at_one)} networks at alpha = 1; where alpha is large it is in all."
    return Finding(verdict, tuple(numbers), remark)


def _column(network: dict[str, Any]) -> int:
    """Index of the snapshot at which curves over rho are compared."""
    return int(network["dial"]["snapshots"].index(COMPARED_AT))


def _sign_flip(evidence: Evidence) -> Finding:
    """Change of D from gradient descent to the largest rho, at equal steps and at equal loss, predicted and measured."""
    networks = [n for n in evidence.networks if "1" in n["measured"] and not n["network"]["head_only"]]
    if not networks:
        return _missing("the dial")
    numbers, rises = [], []
    groups: dict[int, list[str]] = {-1: [], 0: [], 1: []}
    for network in networks:
        name = network["network"]["name"]
        for alpha in (None, *network["measured"]):
            members = len(network["measured"][alpha or "1"]["sam"]["loss"])
            found = curves(network, "sam", alpha, members)
            equal_steps = finite_interval(change(found.at(COMPARED_AT)["diversity"]))
            equal_loss = finite_interval(change(at_matched_loss(found, "diversity")))
            label = f"{name}, {f'alpha = {alpha}' if alpha else 'theory'}, {members} members: change of D"
            numbers.append((label, f"{_signed(equal_steps)} at k = {COMPARED_AT}, {_signed(equal_loss)} at equal loss"))
            if alpha is None:
                rises.append(_sign(equal_loss) > 0)
            elif alpha == "1":
                groups[_sign(equal_loss)].append(name)
    falls, unclear, against = groups[-1], groups[0], groups[1]
    # Without correction for several networks: the one clear case against it would decide with a correction, too.
    verdict = Verdict.HOLDS if falls and not unclear else Verdict.INCONCLUSIVE
    if against:
        verdict = Verdict.FAILS
    parts = {"falls": falls, "rises": against, "has no sign": unclear}
    remark = "; ".join(
        f"D {what} at alpha = 1 and equal loss in {', '.join(names)}" for what, names in parts.items() if names
    )
    return Finding(verdict if all(rises) else Verdict.FAILS, tuple(numbers), f"{remark}.")


def finite_interval(replicates: Float[np.ndarray, " replicates"]) -> Interval | None:
    """Interval over the replicates that have a value.

    Args:
        replicates: the first is the data's own.

    Returns:
        None if that has no value, or more than 5% of the others have none.
    """
    there = np.isfinite(replicates)
    return interval(replicates[there]) if there[0] and there.mean() >= 0.95 else None


def _signed(found: Interval | None) -> str:
    if found is None:
        return "no value"
    return f"{found.value:+.1%} [{found.low:+.1%}, {found.high:+.1%}]"


def _sign(found: Interval | None) -> int:
    return 0 if found is None else int(found.low > 0) - int(found.high < 0)


def _signs(evidence: Evidence) -> Finding:
    """Signs of dD/drho, dkappa/drho and dEIR/drho, and rank correlation of prediction and measurement."""
    networks = [n for n in evidence.networks if not n["network"]["head_only"]]
    if not networks:
        return _missing("the dial")
    numbers, agree = [], []
    opposite: dict[str, set[str]] = {}
    for network in networks:
        for alpha in network["measured"]:
            members = len(network["measured"][alpha]["sam"]["loss"])
            theory, measured = curves(network, "sam", members=members), curves(network, "sam", alpha)
            label = f"{network['network']['name']}, alpha = {alpha}"
            for quantity in ("diversity", "sharpness", "eir"):
                expected = finite_interval(change(theory.at(COMPARED_AT)[quantity]))
                found = finite_interval(change(measured.at(COMPARED_AT)[quantity]))
                rank = _rank(theory.at(COMPARED_AT)[quantity][0], measured.at(COMPARED_AT)[quantity][0])
                text = f"{_signed(expected)}, {_signed(found)}; rank correlation {number(rank)}"
                numbers.append((f"{label}: change of {_SYMBOLS[quantity]} over rho, theory and measured", text))
                agree.append((float(alpha), _sign(expected) * _sign(found)))
                if agree[-1][1] < 0:
                    opposite.setdefault(_SYMBOLS[quantity], set()).add(alpha)
    lazy = [s for alpha, s in agree if alpha == max(a for a, _ in agree)]
    against = sum(s < 0 for _, s in agree)
    where = "; ".join(f"{name} at alpha = {', '.join(sorted(alphas))}" for name, alphas in opposite.items())
    remark = f"{sum(s > 0 for _, s in agree)} of {len(agree)} signs agree beyond both intervals, {against} are opposite"
    remark += f": {where}." if where else "."
    verdict = Verdict.HOLDS if min(s for _, s in agree) > 0 else Verdict.INCONCLUSIVE
    if against:
        verdict = Verdict.CONDITIONAL if min(lazy) >= 0 else Verdict.FAILS
    return Finding(verdict, tuple(numbers), remark)


def _rank(theory: np.ndarray, measured: np.ndarray) -> float:
    """Spearman's correlation over the radii."""
    there = np.isfinite(theory) & np.isfinite(measured)
    return float(spearmanr(theory[there], measured[there]).statistic)


def _blocks(evidence: Evidence) -> Finding:
    """SharpBalance on disjoint blocks against SAM on all data, and the part that plain descent on blocks has in it."""
    networks = [
        n for n in evidence.networks if "blocks" in n["network"]["optimizers"] and not n["network"]["head_only"]
    ]
    if not networks:
        return _missing("the dial")
    numbers, more, better = [], [], []
    for network in networks:
        for alpha in (None, *network["measured"]):
            members = len(network["measured"][alpha]["blocks"]["loss"]) if alpha else network["dial"]["members"]
            sam, blocks = (curves(network, name, alpha, members).at(COMPARED_AT) for name in ("sam", "blocks"))
            ratio = blocks["diversity"] / sam["diversity"]
            spans = [finite_interval(column) for column in ratio.T]
            label = f"{network['network']['name']}, {f'alpha = {alpha}' if alpha else 'theory'}"
            fractions = network["dial"]["fractions"]
            text = ", ".join(f"{f:g}: {s or 'no value'}" for f, s in zip(fractions, spans, strict=True))
            numbers.append((f"{label}: D on blocks over D of SAM, by rho x_max", text))
            error = [
                finite_interval(b - s) for b, s in zip(blocks["ensemble_error"].T, sam["ensemble_error"].T, strict=True)
            ]
            text = ", ".join(f"{f:g}: {s or 'no value'}" for f, s in zip(fractions, error, strict=True))
            numbers.append((f"{label}: ensemble error on blocks minus SAM's, by rho x_max", text))
            if alpha:
                more += [int(s.low > 1) - int(s.high < 1) if s else 0 for s in spans]
                better += [-_sign(e) for e in error]
    verdict = Verdict.FAILS if min(more) < 0 else Verdict.HOLDS if min(more) > 0 else Verdict.CONDITIONAL
    remark = (
        f"More diverse in {sum(m > 0 for m in more)} of {len(more)} comparisons; the fraction 0 is plain "
        "gradient descent on blocks, the control. "
        f"The ensemble's error is larger on blocks in {sum(b < 0 for b in better)} of {len(better)}, smaller in "
        f"{sum(b > 0 for b in better)}: a third of the data for each member."
    )
    return Finding(verdict, tuple(numbers), remark)


def _spectrum_only(evidence: Evidence) -> Finding:
    """The form that knows binned spectra only against the one that knows the kernels."""
    if not evidence.networks:
        return _missing("the dial")
    limits = {"diversity": 0.1, "loss": 0.01, "sharpness": 0.05}
    numbers, met = [], []
    for network in evidence.networks:
        steps = network["dial"]["snapshots"]
        exact = curves(network, "sam", members=network["dial"]["members"])
        for name, limit in limits.items():
            errors = np.abs(_array(network["spectrum"][name]) / exact.values[name][0] - 1).max(axis=0)
            met.append(bool(errors[steps.index(COMPARED_AT)] <= limit))
            text = ", ".join(f"{k}: {_percent(error)}" for k, error in zip(steps, errors, strict=True))
            numbers.append(
                (f"{network['network']['name']}: {_SYMBOLS[name]}, largest relative error over rho by k", text)
            )
    return Finding(Verdict.HOLDS if all(met) else Verdict.FAILS, tuple(numbers))


def _claims() -> Iterator[Claim]:
    setting = (
        "Residual networks of three stages on 200 digits, tested on 400; full-batch un-normalised SAM on centred squared loss, "
        "learning rate 0.5 / x_max, rho up to 0.95 of the limit 3 / x_max, members and radii as in the results; predicted from "
        "each member's tangent kernel at its initialisation; kappa in a ball so small that it is "
        "the norm of the gradient times the radius"
    )
    over_members = (
        "nominal 95% percentile intervals of 2,000 bootstrap replicates over members, too narrow for so few of them"
    )
    rows: tuple[tuple[Any, ...], ...] = (
        (
            "lazy-exact",
            "implementation",
            "Rung 1: prediction from kernels where it is exact",
            "If only the last layer is trained, the predictions from the kernel are exact for SAM on all data, on disjoint "
            "blocks, and normalised SAM.",
            "Last layer only, float64; sharpness by 10 steps of Auto-PGD there, by the secular equation here.",
            "D, errors and loss within 1e-10 (rounding of float64 over 40 steps); kappa, which the ascent finds from below, within "
            "1e-7",
            _exact,
        ),
        (
            "lazy-gelu",
            "implementation",
            "Rung 2: GELU networks at alpha = 100",
            f"At alpha = 100 and k = {COMPARED_AT} trained GELU networks follow the prediction from their kernels: D within 2%, "
            "kappa within 3%, errors within 1%.",
            setting + ".",
            f"the limits stated, at every rho at k = {COMPARED_AT}; other steps and optimizers are shown",
            partial(
                _gate,
                ("gelu-none-8",),
                "100",
                {"diversity": 0.02, "sharpness": 0.03, "member_error": 0.01, "ensemble_error": 0.01},
            ),
        ),
        (
            "lazy-normed",
            "implementation",
            "Rung 3: ReLU networks with norms at alpha = 10",
            f"At alpha = 10 and k = {COMPARED_AT} trained ReLU networks with group norm or frozen batch norm have the predicted D "
            "within 5% and errors within 3%; their functions differ by more, as shown.",
            setting + ".",
            f"the limits stated, at every rho at k = {COMPARED_AT}; kappa and other steps are shown",
            partial(
                _gate,
                ("relu-group-8", "relu-batch-8"),
                "10",
                {"diversity": 0.05, "member_error": 0.03, "ensemble_error": 0.03},
            ),
        ),
        (
            "lazy-spectrum",
            "implementation",
            "Prediction from binned spectra alone",
            "32 bins of the spectra, y-weighted for loss and sharpness and with the two-point measure for D, replace the kernels: "
            "loss within 1%, kappa within 5%, D within 10%.",
            setting + "; no training.",
            f"the limits stated, at every rho at k = {COMPARED_AT}; they are a judgement of what binning may cost. Other steps are "
            "shown: near the limit of rho the top mode still oscillates at small k, and a bin blurs that",
            _spectrum_only,
        ),
        (
            "lazy-rich",
            "networks",
            "Rung 4: the quadratic model at alpha = 1",
            "Networks with outputs of order one (alpha = 1) have the diversity that the quadratic model of the theory predicts.",
            setting + ".",
            "fails if the largest relative error of D is above 5% for every network",
            _rich,
        ),
        (
            "lazy-sign-flip",
            "networks",
            "D against rho: the sign flips out of the lazy limit",
            "At equal training loss D rises from gradient descent to the largest rho in the lazy limit, and falls in networks at "
            "alpha = 1.",
            setting
            + "; loss matched at the highest of the lowest losses over 40 steps, D interpolated between snapshots.",
            f"{over_members}; holds if D falls at alpha = 1 in every network, beyond its interval; fails if it "
            "rises beyond its interval in any",
            _sign_flip,
        ),
        (
            "lazy-signs",
            "networks",
            "Signs of dD/drho, dkappa/drho and dEIR/drho",
            "Diversity, sharpness and improvement rate of trained networks change with rho in the direction that theory predicts.",
            setting
            + f"; from gradient descent to the largest rho at k = {COMPARED_AT}; rank correlations over rho at that k.",
            f"{over_members}; an interval that contains 0 has no sign; within conditions if signs are opposite, but "
            "none at the largest alpha",
            _signs,
        ),
        (
            "lazy-blocks",
            "networks",
            "SharpBalance on disjoint blocks, lazy to rich",
            "Ensembles on disjoint blocks are more diverse than SAM on all data at every alpha and rho.",
            setting + f"; three blocks, two members on each (four at alpha <= 3), at k = {COMPARED_AT}.",
            f"{over_members}; holds if every interval of the ratio is above 1",
            _blocks,
        ),
    )
    for id_, subject, title, statement, method, tolerance, check in rows:
        source = (
            "theory of this project (tangent kernels)" if subject == "implementation" else "C1, C5, Theorems 1 and 2"
        )
        yield Claim(id_, subject, title, statement, source, method, tolerance, SEED, check, _COMMAND)


CLAIMS = tuple(_claims())
