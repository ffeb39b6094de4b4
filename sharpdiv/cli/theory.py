"""``sharpdiv theory``: closed forms."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, Model
from sharpdiv.cli.options import Flat
from sharpdiv.cli.output import Output, show_points
from sharpdiv.cli.points import point, tradeoff, with_reason
from sharpdiv.cli.titles import of_problem
from sharpdiv.theory.setting import Setting

__all__ = ["theory"]


def theory(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[Setting, Flat] = Setting(),
    model: Annotated[Model, Flat] = Model(),
    *,
    finite: bool = False,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """Closed forms: diversity, sharpness, errors and EIR, one point for each rho.

    The limit of many samples and dimensions, or exact values at the given n and d. sharpdiv theory random-features --help:
    the same for networks with random features; sharpdiv theory two-layer --help and sharpdiv theory diagonal --help: for
    networks that learn features. What has no closed form is null, with the reason.

    Args:
        ensemble: which ensembles.
        setting: the quadratic problem.
        model: covariance and optimizer.
        finite: exact at (n, d) instead of the limit: diversity, errors, and rigorous bounds of the sharpness.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=10)
    curve = tradeoff(setting, ensemble, model, finite=finite)
    titles = of_problem(ensemble, setting, model, finite=finite)
    points = [with_reason(point(curve, i, finite=finite), curve) for i in range(len(curve.rho))]
    show_points(points, output, titles, curve)
    return 0
