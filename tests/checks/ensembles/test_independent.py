"""A second analysis of the records, in NumPy and from the files alone: no code of ``checks`` or ``empirical``.

It shares with the first one what the protocol defines, not how it is computed: which runs are compared, and that test points
count in 40 groups of consecutive ones, so that images beyond a multiple of 40 are left out. Its own are how files are read, what
is computed of each image, units deleted before anything is computed, and the part of the test points by the delta method for
single units and in closed form for all.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.laws import Mutation, law

RESULTS = Path(__file__).parents[3] / "results"
HERE = __name__
GROUPS = 40
Runs = dict[str, list[dict[str, Any]]]
"""Of every condition what the files hold, block after block."""

# ---------------------------------------------------------------------------------------------------------------- files


def read(path: Path) -> dict[str, Any]:
    """One record; the text and the arrays that are needed."""
    with np.load(path, allow_pickle=False) as stored:
        codes = stored["log_probs_low"].astype(int) + 256 * stored["log_probs_high"].astype(int)
        probs = np.exp(-codes / 64.0)
        return {
            "summary": json.loads(str(stored["summary"])),
            "labels": stored["labels"].astype(int),
            "predicted": stored["predicted"].astype(int),
            "predicted_ensemble": stored["predicted_ensemble"].astype(int),
            "probs": probs / probs.sum(axis=2, keepdims=True),
        }


def design_of(paths: Sequence[Path]) -> Runs:
    """Conditions by name, with the blocks of seeds that all of them have."""
    records = [read(path) for path in paths]
    if not records:
        return {}
    by_run: dict[str, dict[tuple[int, ...], dict[str, Any]]] = {}
    for record in records:
        config = dict(record["summary"]["config"])
        seeds = tuple(config.pop("seeds"))
        by_run.setdefault(json.dumps(config, sort_keys=True), {})[seeds] = record
    blocks = sorted(set.intersection(*(set(found) for found in by_run.values())))
    names = _names([json.loads(run) for run in by_run])
    return {name: [found[seeds] for seeds in blocks] for name, found in zip(names, by_run.values(), strict=True)}


def _names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each configuration is: the widest dense networks of the longest training are the main ones."""
    width, epochs = (max(config[field] for config in configs) for field in ("width", "epochs"))
    radii = sorted({c["rho"] for c in configs if c["method"] == "sam" and c["width"] == width})
    return [_name(config, width, epochs, radii) for config in configs]


def _name(config: Mapping[str, Any], width: int, epochs: int, radii: Sequence[float]) -> str:
    if (config["width"], config["epochs"], config["sparsity"]) != (width, epochs, 0):
        return json.dumps(config, sort_keys=True)
    if config["method"] == "sgd":
        return "sgd"
    level = ("low", "mid", "high")[radii.index(config["rho"])]
    if config["method"] == "sam":
        return f"sam-{level}"
    return f"{config['rule']}-{config['first_phase']}-{level}"


BALANCE = tuple(f"paper-sgd-{level}" for level in ("low", "mid", "high"))
CURVE = ("sgd", "sam-low", "sam-mid", "sam-high")

# ------------------------------------------------------------------------------------------------------------- estimates


@dataclass(frozen=True)
class Found:
    """A logarithm of a ratio with its 95% interval."""

    value: float
    units: float
    """variance over units"""
    points: float
    """variance over test points that units share"""
    rest: float
    """variance of what test points do to single units, which is in both and counted once"""
    low: float
    high: float


def _grouped(values: np.ndarray) -> np.ndarray:
    """Means over groups of images, in the last axis."""
    size = values.shape[-1] // GROUPS
    return np.stack([values[..., g * size : (g + 1) * size].mean(axis=-1) for g in range(GROUPS)], axis=-1)


def _without_groups(values: np.ndarray) -> np.ndarray:
    """Pseudo-values of the logarithm of a mean without each group, in closed form: the delta method's second order counts here."""
    by_group = values.mean(axis=0)
    return GROUPS * np.log(by_group.mean()) - (GROUPS - 1) * np.log((by_group.sum() - by_group) / (GROUPS - 1))


def crossed(value: float, without: Sequence[float], influence: np.ndarray, by_group: np.ndarray) -> Found:
    """Interval for units crossed with test points.

    Args:
        value: of everything.
        without: of everything but one unit, for each unit.
        influence: first-order pseudo-values of the statistic, ``(units, groups)``.
        by_group: pseudo-values without each group, to every order.

    Returns:
        Variance of the jackknife over units, and that of groups less what groups do to single units.
    """
    units, groups = influence.shape
    jackknife = (units - 1) / units * np.square(np.array(without) - np.mean(without)).sum()
    left = influence - influence.mean(axis=0) - influence.mean(axis=1)[:, None] + influence.mean()
    rest = np.square(left).sum() / ((units - 1) * (groups - 1)) / (units * groups)
    shared = max(by_group.var(ddof=1) / groups - rest, 0.0)
    variance = jackknife + shared
    freedom = variance**2 / (jackknife**2 / (units - 1) + shared**2 / (groups - 1))
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    return Found(value, float(jackknife), float(shared), float(rest), float(value - reach), float(value + reach))


def _of_pairs(values: np.ndarray, pairs: np.ndarray, seeds: int) -> np.ndarray:
    """Pseudo-values of means over pairs, of each seed and group: Hoeffding's projection, exactly that of a jackknife."""
    mean = values.mean(axis=0)
    touching = np.array([values[(pairs == seed).any(axis=1)].mean(axis=0) for seed in range(seeds)])
    return mean + 2 * (seeds - 1) / (seeds - 2) * (touching - mean)


@dataclass(frozen=True)
class _Pairs:
    """A quantity of all pairs of members of a condition."""

    values: np.ndarray
    pairs: np.ndarray
    seeds: int

    @classmethod
    def of(
        cls, runs: Sequence[Mapping[str, Any]], quantity: Callable[[np.ndarray, np.ndarray], np.ndarray], field: str
    ) -> "_Pairs":
        members = [member for run in runs for member in run[field]]
        pairs = np.array(list(combinations(range(len(members)), 2)))
        return cls(
            _grouped(np.array([quantity(members[i], members[j]) for i, j in pairs], dtype=float)), pairs, len(members)
        )

    def mean(self, without: int | None = None) -> float:
        return float(self.values[(self.pairs != without).all(axis=1)].mean())

    @property
    def influence(self) -> np.ndarray:
        """On the logarithm of the mean."""
        return _of_pairs(self.values, self.pairs, self.seeds) / self.mean()


def _distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Unbiased variance of two, summed over classes."""
    return np.square(p - q).sum(axis=1) / 2


def diversity(runs: Runs) -> Found:
    """C1: log ratio of D, SAM to SGD, over all pairs of seeds."""
    sam, sgd = (_Pairs.of(runs[name], _distance, "probs") for name in ("sam-mid", "sgd"))
    value, *without = (np.log(sam.mean(seed) / sgd.mean(seed)) for seed in (None, *range(sgd.seeds)))
    by_group = _without_groups(sam.values) - _without_groups(sgd.values)
    return crossed(float(value), without, sam.influence - sgd.influence, by_group)


def error_ratio(runs: Runs) -> Found:
    """C1: log ratio of DER, disagreement over member error, SAM to SGD, on all test images."""
    pairs = [_Pairs.of(runs[name], np.not_equal, "predicted") for name in ("sam-mid", "sgd")]
    wrong = [
        _grouped(np.array([member != run["labels"] for run in runs[name] for member in run["predicted"]], dtype=float))
        for name in ("sam-mid", "sgd")
    ]

    def log_der(place: int, seed: int | None) -> float:
        errors = wrong[place] if seed is None else np.delete(wrong[place], seed, axis=0)
        return float(np.log(pairs[place].mean(seed) / errors.mean()))

    value, *without = (log_der(0, seed) - log_der(1, seed) for seed in (None, *range(pairs[0].seeds)))
    influence = [p.influence - errors / errors.mean() for p, errors in zip(pairs, wrong, strict=True)]
    by_group = [_without_groups(p.values) - _without_groups(errors) for p, errors in zip(pairs, wrong, strict=True)]
    return crossed(value, without, influence[0] - influence[1], by_group[0] - by_group[1])


def ensemble_error(runs: Runs) -> Found:
    """C6: log ratio of ensembles' errors, SharpBalance to the better of SAM and SGD, each the best by validation."""
    names = [max(among, key=lambda name: _validated(runs[name])) for among in (BALANCE, CURVE)]
    return _error_of_blocks(runs, names[0], names[1])


def late(runs: Runs) -> Found:
    """Log ratio of ensembles' errors, SharpBalance to SAM that is applied late."""
    return _error_of_blocks(runs, "paper-sgd-mid", "all-sgd-mid")


def _validated(runs: Sequence[Mapping[str, Any]]) -> float:
    return float(np.mean([run["summary"]["validation"]["accuracy_ensemble"] for run in runs]))


def _error_of_blocks(runs: Runs, ours: str, theirs: str) -> Found:
    wrong = [
        _grouped(np.array([run["predicted_ensemble"] != run["labels"] for run in runs[name]], dtype=float))
        for name in (ours, theirs)
    ]
    kept = [np.arange(len(wrong[0])) != left for left in range(-1, len(wrong[0]))]
    value, *without = (np.log(wrong[0][blocks].mean() / wrong[1][blocks].mean()) for blocks in kept)
    influence = wrong[0] / wrong[0].mean() - wrong[1] / wrong[1].mean()
    return crossed(float(value), without, influence, _without_groups(wrong[0]) - _without_groups(wrong[1]))


def _estimates() -> dict[str, Callable[[Runs], Found]]:
    return {"c1-{}": diversity, "c1-{}-der": error_ratio, "c6-{}": ensemble_error, "late-{}": late}


# ------------------------------------------------------------------------------------------------------------ comparison


def compare(folder: Path, name: str) -> None:
    """Both analyses of the records of a design, which must agree."""
    from sharpdiv.checks.ensembles.crossed import estimated
    from sharpdiv.checks.ensembles.questions import QUESTIONS
    from sharpdiv.checks.results import load_evidence
    from sharpdiv.empirical.runs.profiles import DESIGNS

    study = load_evidence(folder).study(DESIGNS[name])
    assert study is not None
    runs = design_of(sorted(folder.rglob("*.npz")))
    assert {len(found) for found in runs.values()} == {study.blocks}
    for question in QUESTIONS:
        if question.id not in _estimates() or question.statistic is None:
            continue
        theirs, ours = estimated(question.statistic(study)), _estimates()[question.id](runs)
        text = f"{question.id.format(name)}, first and second analysis:\n{theirs}\n{ours}"
        # The same numbers in another order of addition.
        assert theirs.value == pytest.approx(ours.value, rel=1e-8, abs=1e-10), text
        # Jackknife and delta method differ in second order: what leaving out one of 4 blocks does to a ratio.
        slack = 0.02 * ours.rest
        assert theirs.units_variance == pytest.approx(ours.units, rel=0.05, abs=slack), text
        assert theirs.points_variance == pytest.approx(ours.points, rel=0.05, abs=slack), text
        assert theirs.interval() == pytest.approx((ours.low, ours.high), abs=0.04 * (ours.high - ours.value)), text


FOLDER = Path()


@pytest.fixture(scope="module", autouse=True)
def _written(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Records of four made-up blocks of the digits; of 1,217 test images, of which 1,003 have probabilities."""
    from sharpdiv.checks.ensembles.protocol import made_up_study
    from sharpdiv.empirical.runs.profiles import DESIGNS
    from sharpdiv.empirical.runs.record import save_record

    global FOLDER
    FOLDER = tmp_path_factory.mktemp("results") / "digits"
    design = DESIGNS["digits"]
    study = made_up_study(design.conditions, 4, images=1217)
    for place, seeds in enumerate(design.blocks[:4]):
        for condition, config in design.runs(seeds).items():
            record = study.conditions[condition].blocks[place]
            kept = replace(record, summary=record.summary | {"config": config.to_json()}, probs=record.probs[:, :1003])
            save_record(FOLDER / f"{condition}-{seeds[0]}.npz", kept)


def _one_in_ten_larger(f: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda *args: f(*args) * np.where(np.arange(f(*args).shape[1]) % 10, 1, 1.001)


@law(
    Mutation(
        "pairs within blocks only",
        "sharpdiv.checks.ensembles.study.Condition.coupled",
        lambda _: property(lambda self: True),
    ),
    Mutation("one pair in ten a thousandth larger", "sharpdiv.checks.ensembles.study._distances", _one_in_ten_larger),
    Mutation("the first image not read", "sharpdiv.checks.ensembles.study._grouped", lambda f: lambda v: f(v[:, 1:])),
    Mutation(
        "half of the variance",
        "sharpdiv.checks.ensembles.crossed.estimated",
        lambda f: lambda t: _with_variance(f(t), 0.5),
    ),
    Mutation(
        "twice the variance",
        "sharpdiv.checks.ensembles.crossed.estimated",
        lambda f: lambda t: _with_variance(f(t), 2.0),
    ),
    Mutation(
        "chosen otherwise", "sharpdiv.checks.ensembles.quantities.best_balance", lambda _: lambda _: "sharpbalance-low"
    ),
    Mutation("images in another order", f"{HERE}._grouped", lambda f: lambda values: f(values[..., ::-1])),
    Mutation(
        "the other sign",
        f"{HERE}.diversity",
        lambda f: lambda runs: f(_exchanged(runs)),
    ),
)
def test_both_analyses_of_made_up_records_agree() -> None:
    compare(FOLDER, "digits")


def _exchanged(runs: Runs) -> Runs:
    return runs | {"sgd": runs["sam-mid"], "sam-mid": runs["sgd"]}


def _with_variance(found: Any, factor: float) -> Any:
    return replace(found, units_variance=factor * found.units_variance, points_variance=factor * found.points_variance)


@pytest.mark.parametrize("name", ["digits", "fashion-mnist", "cifar10-jpeg"])
def test_both_analyses_of_the_results_agree(name: str) -> None:
    paths = sorted((RESULTS / name).rglob("*.npz"))
    blocks = min((len(found) for found in design_of(paths).values()), default=0)
    if blocks < 4:
        pytest.skip(f"results/{name} has {blocks} whole blocks of records, the comparison of errors needs 4")
    compare(RESULTS / name, name)


def test_an_interval_by_hand() -> None:
    """Units 1, 2, 6 and test points that do nothing: the t interval; test points alone: their own error, which units share."""
    units = np.array([1.0, 2.0, 6.0])
    without = [float(np.delete(units, i).mean()) for i in range(3)]
    found = crossed(3.0, without, np.repeat(units[:, None], GROUPS, axis=1), np.full(GROUPS, 3.0))
    expected = stats.ttest_1samp(units, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9)
    groups = np.random.default_rng(0).normal(size=GROUPS)
    alone = crossed(float(groups.mean()), [float(groups.mean())] * 3, np.repeat(groups[None], 3, axis=0), groups)
    assert (alone.units, alone.points) == pytest.approx((0, groups.var(ddof=1) / GROUPS), rel=1e-9, abs=1e-15)


def test_groups_are_left_out_of_a_logarithm_by_hand() -> None:
    values = np.random.default_rng(1).uniform(1, 3, (4, GROUPS))
    by_hand = [
        GROUPS * np.log(values.mean()) - (GROUPS - 1) * np.log(np.delete(values, g, 1).mean()) for g in range(GROUPS)
    ]
    assert _without_groups(values) == pytest.approx(np.array(by_hand), rel=1e-9)
