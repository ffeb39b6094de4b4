"""What was measured: records of trained ensembles, the lazy-to-rich dial, runs beside their lazy predictions, planes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.empirical.connectivity.run_planes import RunPlane, planes_from_json
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.profiles import Design
from sharpdiv.empirical.runs.record import RunRecord, load_record
from sharpdiv.empirical.runs.weight_norms import WeightNorms, weight_norms_from_json
from sharpdiv.empirical.store import digest, load_json

__all__ = ["Evidence", "load_evidence"]

_Whole = tuple[tuple[tuple[int, ...], ...], Study | None]
"""Seeds of whole blocks, and their study."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that claims and figures are made of; empty if there is nothing."""

    records: tuple[RunRecord, ...] = ()
    """one for each measured ensemble"""
    networks: tuple[DialNetwork, ...] = ()
    """networks of the lazy-to-rich dial"""
    comparisons: tuple[KernelComparison, ...] = ()
    """runs beside their lazy predictions, as ``sharpdiv compare`` writes them"""
    planes: tuple[RunPlane, ...] = ()
    """planes through members of trained runs, as ``sharpdiv between`` writes them"""
    ascents: tuple[FittedRegime, ...] = ()
    """networks of the sweep over ascents, each in a regime"""
    weight_norms: tuple[WeightNorms, ...] = ()
    """norms of the weights of trained runs"""

    @property
    def trained_in_all_layers(self) -> list[DialNetwork]:
        """Networks of the lazy-to-rich dial but those of which only the head is trained."""
        return [network for network in self.networks if not network.network.head_only]

    @cached_property
    def _by_config(self) -> Mapping[str, RunRecord]:
        return {record.key: record for record in self.records}

    @cached_property
    def _studies(self) -> dict[Design, "_Whole"]:
        return {}

    def blocks(self, design: Design) -> tuple[tuple[int, ...], ...]:
        """Blocks of a design that are whole: with a record of every condition.

        Args:
            design: Any design.

        Returns:
            Their seeds, in the order of the design.
        """
        return self._of(design)[0]

    def study(self, design: Design) -> Study | None:
        """The whole blocks of a design.

        Comparisons are paired by seed, so a block of which a condition is missing does not enter.

        Args:
            design: Any design.

        Returns:
            None if no two blocks are whole: one cannot show how much blocks vary.
        """
        return self._of(design)[1]

    def _of(self, design: Design) -> "_Whole":
        """Whole blocks and their study, made once: every claim about a design asks for them."""
        if design not in self._studies:
            self._studies[design] = self._gathered(design)
        return self._studies[design]

    def _gathered(self, design: Design) -> "_Whole":
        if not self.records:
            return (), None
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
def _key(run: RunConfig) -> str:
    """What tells a run from all others."""
    return digest(run.to_json())


def load_evidence(path: Path) -> Evidence:
    """Evidence from a file, or from everything that a folder holds: records (``.npz``, at any depth) and results (``.json``).

    Args:
        path: path of the folder or file; it need not exist.

    Returns:
        Empty evidence if there is nothing.

    Raises:
        StoreError: if a file is damaged or holds something else, or a run is there twice.
    """
    records: dict[str, Path] = {}
    loaded = []
    for file in _files(path, "**/*.npz"):
        record = load_record(file)
        if (earlier := records.setdefault(record.key, file)) != file:
            raise StoreError(f"{file} and {earlier} are of one run; remove one of them")
        loaded.append(record)
    networks: dict[str, DialNetwork] = {}
    ascents: dict[str, FittedRegime] = {}
    comparisons: list[KernelComparison] = []
    planes: list[RunPlane] = []
    norms: list[WeightNorms] = []
    for file in _files(path, "*.json"):
        for found in _results(file):
            # dial.json sorts behind dial-quick.json, and has more of the networks that are in both; ascents likewise.
            if isinstance(found, DialNetwork):
                networks[found.name] = found
            elif isinstance(found, FittedRegime):
                ascents[found.name] = found
            elif isinstance(found, RunPlane):
                planes.append(found)
            elif isinstance(found, WeightNorms):
                norms.append(found)
            else:
                comparisons.append(found)
    return Evidence(
        records=tuple(loaded),
        networks=tuple(networks.values()),
        comparisons=tuple(comparisons),
        planes=tuple(planes),
        ascents=tuple(ascents.values()),
        weight_norms=tuple(norms),
    )


def _results(file: Path) -> Sequence[DialNetwork | FittedRegime | KernelComparison | RunPlane | WeightNorms]:
    """What a file of results holds; nothing of a protocol."""
    found = load_json(file)
    try:
        if "networks" in found:
            return [DialNetwork.from_json(network, found["dial"]) for network in found["networks"]]
        if "ascents" in found:
            return [FittedRegime.from_json(regime) for regime in found["ascents"]]
        if "points" in found:
            return [KernelComparison.from_json(found)]
        if "weight_norms" in found:
            return weight_norms_from_json(found)
        if "planes" in found:
            return planes_from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{file} is not of a layout that this version reads ({error!r}); make reproduce writes such files"
        ) from error
    if "protocol" not in found:
        raise StoreError(f"{file} holds nothing that was measured; make reproduce writes such files")
    return []


def _files(path: Path, pattern: str) -> list[Path]:
    """The file itself if it has the pattern's ending, or a folder's files."""
    if not path.is_file():
        return sorted(path.glob(pattern))
    if path.suffix not in {".npz", ".json"}:
        raise StoreError(f"{path} is neither a record (.npz) nor results (.json); make reproduce writes both")
    return [path] if pattern.endswith(path.suffix) else []
