"""``sharpdiv theory diagonal`` and ``sharpdiv simulate diagonal``."""

from typing import Annotated

from sharpdiv.cli.ensembles import Ensemble, require_seed
from sharpdiv.cli.options import Flat
from sharpdiv.cli.output import Output, show_points
from sharpdiv.cli.points import learned_point, simulated_point
from sharpdiv.cli.titles import of_ensembles
from sharpdiv.theory.feature_learning.diagonal import simulation
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff

__all__ = ["simulate_diagonal", "theory_diagonal"]

_MODEL = "diagonal linear networks"


def theory_diagonal(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[DiagonalSetting, Flat] = DiagonalSetting(),
    *,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """Closed forms for ensembles of diagonal linear networks, which learn features: beta = w_+^2 - w_-^2, trained to zero loss.

    JSON {"points": [{...}]} with, for each rho: diversity, member_error, ensemble_error, eir, training_loss, trace (of one
    member's Hessian), sharpness, stable, critical_rho, and reason, where something has no closed form and is null. The limit of
    many samples and dimensions.

    Args:
        ensemble: which ensembles.
        setting: data, initialization and training.
        output: where the points go.
    """
    ensemble, curve = _predicted(ensemble, setting)
    show_points(
        [learned_point(curve, i) for i in range(len(curve.rho))], output, of_ensembles(_MODEL, ensemble, setting), curve
    )
    return 0


def simulate_diagonal(
    ensemble: Annotated[Ensemble, Flat],
    setting: Annotated[DiagonalSetting, Flat] = DiagonalSetting(),
    *,
    share: float = 1.0,
    draws: int = 10,
    networks: int = 12,
    stop: float = 1e-6,
    seed: int = 0,
    output: Annotated[Output, Flat] = Output(),
) -> int:
    """The Monte Carlo referee of diagonal linear networks: trains them by discrete steps of SAM.

    Args:
        ensemble: which ensembles.
        setting: data, initialization and training.
        share: of the groups of m samples that ascend, drawn for each member; the others descend plainly.
        draws: data sets.
        networks: on each block of each of them.
        stop: training loss at which training ends.
        seed: of the random generator.
        output: where the points go.
    """
    require_seed(seed)
    ensemble, curve = _predicted(ensemble, setting)
    drawn = simulation.simulate_diagonal(
        setting,
        ensemble.radii,
        members=None if ensemble.blocks else ensemble.size,
        blocks=ensemble.blocks or 1,
        share=share,
        draws=draws,
        networks=networks,
        stop=stop,
        seed=seed,
    )
    show_points(
        [simulated_point(curve, drawn, i) for i in range(len(curve.rho))],
        output,
        of_ensembles(_MODEL, ensemble, setting),
        curve,
        drawn,
    )
    return 0


def _predicted(ensemble: Ensemble, setting: DiagonalSetting) -> tuple[Ensemble, LearnedTradeoff]:
    ensemble = ensemble.resolved(blocks=4)
    members = None if ensemble.blocks else ensemble.size
    return ensemble, diagonal_tradeoff(setting, ensemble.radii, members=members, blocks=ensemble.blocks or 1)
