"""``sharpdiv theory two-layer`` and ``sharpdiv simulate two-layer``."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, require_seed
from sharpdiv.cli.options import Flat
from sharpdiv.cli.output import Output, show_points
from sharpdiv.cli.points import learned_point, simulated_point
from sharpdiv.cli.titles import of_ensembles
from sharpdiv.theory.feature_learning.two_layer import simulation
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["simulate_two_layer", "theory_two_layer"]

_MODEL = "two-layer linear networks"


def theory_two_layer(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[TwoLayerSetting, Flat] = TwoLayerSetting(),
    *,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """Ensembles of two-layer linear networks, whose weights multiply each other, in the limit of large networks.

    JSON {"points": [{...}]} with, for each rho: diversity, sharpness and trace (of the Hessian of one member's training loss),
    training_loss, member_error, ensemble_error, eir, stable, critical_rho.

    Args:
        ensemble: which ensembles.
        setting: data, network and training.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=2)
    members = None if ensemble.blocks else ensemble.size
    curve = two_layer_tradeoff(setting, ensemble.radii, members=members, blocks=ensemble.blocks or 1)
    show_points(
        [learned_point(curve, i) for i in range(len(curve.rho))], output, of_ensembles(_MODEL, ensemble, setting), curve
    )
    return 0


def simulate_two_layer(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[TwoLayerSetting, Flat] = TwoLayerSetting(),
    *,
    draws: int = 10,
    networks: int = 8,
    seed: int = 0,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """The Monte Carlo referee of two-layer linear ensembles: trains all weights of drawn networks, step by step.

    Args:
        ensemble: which ensembles.
        setting: data, network and training.
        draws: data sets.
        networks: on each block of each of them.
        seed: of the random generator.
        output: where the points go.
    """
    ensemble = ensemble.resolved(blocks=2)
    require_seed(seed)
    members, blocks = None if ensemble.blocks else ensemble.size, ensemble.blocks or 1
    curve = two_layer_tradeoff(setting, ensemble.radii, members=members, blocks=blocks)
    drawn = simulation.simulate_two_layer(
        setting, ensemble.radii, members=members, blocks=blocks, draws=draws, networks=networks, seed=seed
    )
    show_points(
        [simulated_point(curve, drawn, i) for i in range(len(curve.rho))],
        output,
        of_ensembles(_MODEL, ensemble, setting),
        curve,
        drawn,
    )
    return 0
