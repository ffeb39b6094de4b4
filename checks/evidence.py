"""What was measured: records of trained ensembles, the lazy-to-rich dial, runs beside their lazy predictions, planes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

# Closed forms are checked without PyTorch, which most of what is measured brings.
if TYPE_CHECKING:
    from sharpdiv.checks.ascents.results import FittedRegime
    from sharpdiv.checks.ensembles.study import Study
    from sharpdiv.checks.kernels.alpha_network import DialNetwork
    from sharpdiv.checks.kernels.compared import KernelComparison
    from sharpdiv.empirical.connectivity.run_planes import RunPlane
    from sharpdiv.empirical.runs.config import RunConfig
    from sharpdiv.empirical.runs.profiles import Design
    from sharpdiv.empirical.runs.record import RunRecord
    from sharpdiv.empirical.runs.weight_norms import WeightNorms

__all__ = ["Evidence"]

_Whole = tuple[tuple[tuple[int, ...], ...], "Study | None"]
"""Seeds of whole blocks, and their study."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that claims and figures are made of; empty if there is nothing."""

    records: "tuple[RunRecord, ...]" = ()
    """one for each measured ensemble"""
    networks: "tuple[DialNetwork, ...]" = ()
    """networks of the lazy-to-rich dial"""
    comparisons: "tuple[KernelComparison, ...]" = ()
    """runs beside their lazy predictions, as ``sharpdiv compare`` writes them"""
    planes: "tuple[RunPlane, ...]" = ()
    """planes through members of trained runs, as ``sharpdiv between`` writes them"""
    ascents: "tuple[FittedRegime, ...]" = ()
    """networks of the sweep over ascents, each in a regime"""
    weight_norms: "tuple[WeightNorms, ...]" = ()
    """norms of the weights of trained runs"""

    @property
    def trained_in_all_layers(self) -> "list[DialNetwork]":
        """Networks of the lazy-to-rich dial but those of which only the head is trained."""
        return [network for network in self.networks if not network.network.head_only]

    @cached_property
    def _by_config(self) -> "Mapping[str, RunRecord]":
        return {record.key: record for record in self.records}

    @cached_property
    def _studies(self) -> "dict[Design, _Whole]":
        return {}

    def blocks(self, design: "Design") -> tuple[tuple[int, ...], ...]:
        """Blocks of a design that are whole: with a record of every condition.

        Args:
            design: Any design.

        Returns:
            Their seeds, in the order of the design.
        """
        return self._of(design)[0]

    def study(self, design: "Design") -> "Study | None":
        """The whole blocks of a design.

        Comparisons are paired by seed, so a block of which a condition is missing does not enter.

        Args:
            design: Any design.

        Returns:
            None if no two blocks are whole: one cannot show how much blocks vary.
        """
        return self._of(design)[1]

    def _of(self, design: "Design") -> "_Whole":
        """Whole blocks and their study, made once: every claim about a design asks for them."""
        if design not in self._studies:
            self._studies[design] = self._gathered(design)
        return self._studies[design]

    def _gathered(self, design: "Design") -> "_Whole":
        if not self.records:
            return (), None
        from sharpdiv.checks.ensembles.study import Condition, Study

        keys = {b: {n: _key(run) for n, run in runs.items()} for b, runs in design.runs_of_blocks.items()}
        whole = tuple(block for block, of in keys.items() if self._by_config.keys() >= set(of.values()))
        # Measured in two ways, blocks have other test points; those that differ from the first do not enter.
        how = {b: [self._by_config[key].settings for key in keys[b].values()] for b in whole}
        whole = tuple(block for block in whole if how[block] == how[whole[0]])
        if len(whole) < 2:
            return whole, None
        of_each = {n: tuple(self._by_config[keys[block][n]] for block in whole) for n in design.conditions}
        return whole, Study({name: Condition(records) for name, records in of_each.items()})


@cache
def _key(run: "RunConfig") -> str:
    """What tells a run from all others."""
    from sharpdiv.empirical.store import digest

    return digest(run.to_json())
