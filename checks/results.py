"""Evidence from files: whatever was measured that a folder holds."""

from collections.abc import Sequence
from pathlib import Path

from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.empirical.connectivity.run_planes import RunPlane, planes_from_json
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.runs.weight_norms import WeightNorms, weight_norms_from_json
from sharpdiv.empirical.store import load_json

__all__ = ["load_evidence"]


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
