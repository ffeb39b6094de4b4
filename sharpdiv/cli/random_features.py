"""``sharpdiv theory random-features`` and ``sharpdiv simulate random-features``."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, require_seed
from sharpdiv.cli.options import Flat
from sharpdiv.cli.output import Output, show_points
from sharpdiv.cli.points import MEASURED, feature_point, measured
from sharpdiv.cli.titles import of_ensembles
from sharpdiv.theory.random_features import simulation
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting

__all__ = ["simulate_random_features", "theory_random_features"]

_MODEL = "random-feature networks"


def theory_random_features(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[RandomFeatureSetting, Flat] = RandomFeatureSetting(),
    *,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """Closed forms for ensembles of random-feature networks, whose members each draw their own features.

    JSON {"points": [{...}]} with, for each rho: diversity, sharpness (of one member on the data it trains on), member_error,
    ensemble_error, eir, stable, critical_rho. A limit in the Gaussian-equivalent model, averaged over the data.

    Args:
        ensemble: which ensembles.
        setting: data, network and training.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=3)
    members = None if ensemble.blocks else ensemble.size
    curve = random_feature_tradeoff(setting, ensemble.radii, members=members, blocks=ensemble.blocks or 1)
    show_points(
        [feature_point(curve, i) for i in range(len(curve.rho))], output, of_ensembles(_MODEL, ensemble, setting), curve
    )
    return 0


def simulate_random_features(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[RandomFeatureSetting, Flat] = RandomFeatureSetting(),
    *,
    draws: int = 10,
    networks: int = 8,
    test_samples: int = 2000,
    seed: int = 0,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """The Monte Carlo referee of random-feature ensembles: trains networks with the activation itself.

    Args:
        ensemble: which ensembles.
        setting: data, network and training.
        draws: data sets.
        networks: on each block of each of them.
        test_samples: test inputs in each.
        seed: of the random generator.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=3)
    require_seed(seed)
    members, blocks = None if ensemble.blocks else ensemble.size, ensemble.blocks or 1
    curve = random_feature_tradeoff(setting, ensemble.radii, members=members, blocks=blocks)
    drawn = simulation.simulate_random_features(
        setting,
        ensemble.radii,
        members=members,
        blocks=blocks,
        draws=draws,
        networks=networks,
        test_samples=test_samples,
        seed=seed,
    )
    points = [feature_point(curve, i) | measured(drawn, MEASURED, i) for i in range(len(curve.rho))]
    show_points(points, output, of_ensembles(_MODEL, ensemble, setting), curve, drawn)
    return 0
