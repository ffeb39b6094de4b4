"""``sharpdiv theory``: closed forms."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, Model
from sharpdiv.cli.options import Flat, Json
from sharpdiv.cli.points import point, show_points, tradeoff, with_reason
from sharpdiv.theory.setting import Setting

__all__ = ["theory"]


def theory(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[Setting, Flat] = Setting(),
    model: Annotated[Model, Flat] = Model(),
    *,
    finite: bool = False,
    json: Json = None,
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
        json: where to write the points; there also the sharpness at the mean of the members and at one member.
    """
    ensemble = ensemble.resolved(blocks=10)
    curve = tradeoff(setting, ensemble, model, finite=finite)
    show_points([with_reason(point(curve, i, finite=finite), curve) for i in range(len(curve.rho))], json)
    return 0
