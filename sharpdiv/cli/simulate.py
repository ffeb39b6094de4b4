"""``sharpdiv simulate``: the Monte Carlo referee."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, Model, require_seed
from sharpdiv.cli.options import Flat
from sharpdiv.cli.output import Output, show_points
from sharpdiv.cli.points import MEASURED, PLACES, measured, point, tradeoff, with_reason
from sharpdiv.cli.titles import of_problem
from sharpdiv.theory import simulation
from sharpdiv.theory.setting import Setting

__all__ = ["simulate"]


def simulate(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[Setting, Flat] = Setting(),
    model: Annotated[Model, Flat] = Model(),
    *,
    finite: bool = False,
    draws: int = 10,
    inits: int = 100,
    seed: int = 0,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """The Monte Carlo referee: the same numbers from drawn data, with standard errors.

    sharpdiv simulate random-features --help: the same for networks with random features; sharpdiv simulate two-layer --help and
    sharpdiv simulate diagonal --help: for networks that learn features.

    Args:
        ensemble: which ensembles.
        setting: the quadratic problem.
        model: covariance (as many eigenvalues as divide d) and optimizer.
        finite: print the rigorous bounds at (n, d) beside the published ones; what is drawn always has this size.
        draws: data sets.
        inits: initialisations for each of them.
        seed: of the random generator.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=10)
    require_seed(seed)
    curve = tradeoff(setting, ensemble, model, finite=finite)
    drawn = simulation.simulate(
        setting,
        ensemble.radii,
        blocks=ensemble.blocks or 1,
        members=ensemble.size,
        covariance=model.covariance(),
        optimizer=model.steps,
        draws=draws,
        inits=inits,
        seed=seed,
    )
    points = []
    for i in range(len(curve.rho)):
        found = point(curve, i, finite=finite) | measured(drawn, (*MEASURED, *PLACES), i)
        points.append(with_reason(found, curve))
    show_points(points, output, of_problem(ensemble, setting, model, finite=finite), curve, drawn)
    return 0
