"""A study: several conditions trained with the same seeds on one data set, as tables of leave-out means.

A condition is one way to train. Its seeds are grouped in blocks that were run as one ensemble; where members were coupled
(SharpBalance exchanges scores within a block) only pairs and triples within a block are ensembles of that method, and the block is
the unit. Members of SGD and SAM know nothing of each other: all their pairs and triples are ensembles, and each seed is a unit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpdiv.checks.ensembles.crossed import GROUPS, Table, leave_out_means
from sharpdiv.empirical.optim.methods import METHODS, Treated
from sharpdiv.empirical.runs.record import RunRecord

__all__ = ["Condition", "Study"]

_CLIP = 1e-12  # floor of a probability inside a logarithm, as in the metrics


@dataclass(frozen=True, eq=False)
class Condition:
    """Measured runs of one condition: one record for each block of seeds, in one order of the blocks for all conditions."""

    blocks: tuple[RunRecord, ...]
    """a record for each block"""

    @property
    def coupled(self) -> bool:
        """Whether members of a block know of each other."""
        config = self.blocks[0].config
        return METHODS[config.method].treated == Treated.SETS and config.rule != "all"

    @cached_property
    def block_of(self) -> Int[np.ndarray, " seeds"]:
        """Block of every seed."""
        sizes = [len(record.predicted) for record in self.blocks]
        return np.repeat(np.arange(len(sizes)), sizes)

    def of_members(self, get: Callable[[RunRecord], Sequence[float]]) -> Float[np.ndarray, " seeds"]:
        """A number of every member.

        Args:
            get: it of a block's members.

        Returns:
            In the order of the seeds.
        """
        return np.concatenate([np.asarray(get(record), dtype=float) for record in self.blocks])

    @cached_property
    def labels(self) -> Int[np.ndarray, " samples"]:
        """Classes of the test images."""
        return self.blocks[0].labels

    @cached_property
    def predicted(self) -> Int[np.ndarray, "seeds samples"]:
        """Each member's class for every test image."""
        return np.concatenate([record.predicted for record in self.blocks])

    @cached_property
    def probs(self) -> Float[np.ndarray, "seeds first classes"]:
        """Probabilities for the first test images."""
        return np.concatenate([record.probs for record in self.blocks])


def _grouped(values: Float[np.ndarray, "tuples samples"]) -> Float[np.ndarray, "groups tuples"]:
    """Means over groups of consecutive samples; what does not fill the last group is left out."""
    size = values.shape[1] // GROUPS
    return values[:, : GROUPS * size].reshape(len(values), GROUPS, size).mean(axis=2).T


# --------------------------------------------------------------- quantities, by groups of test points and tuples of seeds


def _member_error(condition: Condition, _: np.ndarray) -> np.ndarray:
    return _grouped((condition.predicted != condition.labels).astype(float))


def _first_error(condition: Condition, _: np.ndarray) -> np.ndarray:
    first = condition.probs.shape[1]
    return _grouped((condition.predicted[:, :first] != condition.labels[:first]).astype(float))


def _distances(left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Half of ``sum_c (a_i - a_j)_c (b_i - b_j)_c``, mean over samples, of pairs of seeds; by products of matrices."""
    size = left.shape[1] // GROUPS
    a, b = (x[:, : GROUPS * size].reshape(len(x), GROUPS, -1).transpose(1, 0, 2) for x in (left, right))
    products = a @ b.transpose(0, 2, 1)
    own = np.einsum("gii->gi", products)
    i, j = pairs.T
    return (own[:, i] + own[:, j] - products[:, i, j] - products[:, j, i]) / (2 * size)


def _variance(condition: Condition, pairs: np.ndarray) -> np.ndarray:
    """D: variance of the probabilities, unbiased, summed over classes."""
    return _distances(condition.probs, condition.probs, pairs)


def _divergence(condition: Condition, pairs: np.ndarray) -> np.ndarray:
    """KL divergence, mean over both directions."""
    return _distances(condition.probs, np.log(np.maximum(condition.probs, _CLIP)), pairs)


def _logit_variance(condition: Condition, pairs: np.ndarray) -> np.ndarray:
    """Variance of the logits without each sample's mean logit, which the softmax ignores."""
    logs = np.log(condition.probs)
    logs -= logs.mean(axis=2, keepdims=True)
    return _distances(logs, logs, pairs)


def _disagreement(condition: Condition, pairs: np.ndarray) -> np.ndarray:
    predicted = condition.predicted
    return np.concatenate([_grouped((predicted[[i]] != predicted[[j]]).astype(float)) for i, j in pairs], axis=1)


def _ensemble_error(condition: Condition, tuples: np.ndarray) -> np.ndarray:
    labels = condition.labels[: condition.probs.shape[1]]
    means = (condition.probs[list(members)].sum(axis=0) for members in tuples)
    return np.concatenate([_grouped((mean.argmax(axis=1) != labels).astype(float)[None]) for mean in means], axis=1)


def _nll(condition: Condition, tuples: np.ndarray) -> np.ndarray:
    probs = condition.probs
    truth = probs[:, np.arange(probs.shape[1]), condition.labels[: probs.shape[1]]]
    return np.concatenate(
        [_grouped(-np.log(np.maximum(truth[list(members)].mean(axis=0), _CLIP))[None]) for members in tuples], axis=1
    )


def _of_blocks(get: Callable[[RunRecord], np.ndarray]) -> "Quantity":
    return lambda condition, _: _grouped(np.stack([get(record) for record in condition.blocks]).astype(float))


def _wrong(record: RunRecord) -> np.ndarray:
    return record.predicted_ensemble != record.labels


def _corrupted_members(condition: Condition, _: np.ndarray) -> np.ndarray:
    return _grouped(np.concatenate([record.corrupted_wrong[:-1].mean(axis=1) for record in condition.blocks]))


Quantity = Callable[[Condition, Int[np.ndarray, "tuples seeds"]], Float[np.ndarray, "groups tuples"]]
_QUANTITIES: Mapping[str, tuple[str, Quantity]] = {
    "member error": ("seeds", _member_error),
    "first member error": ("seeds", _first_error),
    "D": ("pairs", _variance),
    "KL": ("pairs", _divergence),
    "logit variance": ("pairs", _logit_variance),
    "disagreement": ("pairs", _disagreement),
    "ensemble error": ("triples", _ensemble_error),
    "NLL": ("triples", _nll),
    "error of two": ("pairs", _ensemble_error),
    "NLL of two": ("pairs", _nll),
    "block error": ("blocks", _of_blocks(_wrong)),
    "corrupted member error": ("seeds", _corrupted_members),
    "corrupted block error": ("blocks", _of_blocks(lambda record: record.corrupted_wrong[-1].mean(axis=0))),
    "corrupted NLL": ("blocks", _of_blocks(lambda record: record.corrupted_nll[-1])),
}
"""What is averaged, over which tuples of seeds. ``member error``, ``disagreement`` and ``block error`` are on all test images, the
corrupted ones on the first, the others on those whose probabilities are kept; for independent seeds over all pairs and triples."""


@dataclass(frozen=True, eq=False)
class Study:
    """Conditions with the same seeds in the same blocks."""

    conditions: Mapping[str, Condition]
    """by name"""

    @property
    def seeds(self) -> int:
        """Members of each condition."""
        return len(next(iter(self.conditions.values())).block_of)

    @property
    def blocks(self) -> int:
        """Blocks of each condition."""
        return len(next(iter(self.conditions.values())).blocks)

    def units(self, *names: str) -> str:
        """What is independent in a comparison of some conditions.

        Returns:
            ``seeds``, or ``blocks`` if any of them is coupled.
        """
        return "blocks" if any(self.conditions[name].coupled for name in names) else "seeds"

    def on_the_same(self, *names: str) -> bool:
        """Whether some conditions were measured on the same corrupted images, so that these can be compared.

        Returns:
            Whether they are equally many, the first ones.
        """
        return len({self.conditions[name].blocks[0].corrupted_nll.shape[1] for name in names}) == 1

    def mean(self, name: str, quantity: str, units: str, across: bool = False) -> Table:
        """A quantity of a condition, with units and groups of test points left out.

        Args:
            name: of the condition.
            quantity: one of the table above; its tuples lie within blocks if members are coupled.
            units: ``seeds`` or ``blocks``, which are left out.
            across: only pairs whose members are in different blocks.

        Returns:
            The table.
        """
        return _mean(self, name, quantity, units, across)

    def number(self, name: str, get: Callable[[RunRecord], Sequence[float]], units: str) -> Table:
        """A number of the members, which test points do not enter, with units left out.

        Args:
            name: of the condition.
            get: the number of a block's members.
            units: ``seeds`` or ``blocks``.

        Returns:
            The table, of one row.
        """
        condition = self.conditions[name]
        tuples = np.arange(self.seeds)[:, None]
        return leave_out_means(condition.of_members(get)[None], _touched(condition, tuples, units))

    def block_number(self, name: str, get: Callable[[RunRecord], float]) -> Table:
        """A number of each block, which test points do not enter, with blocks left out.

        Args:
            name: of the condition.
            get: the number.

        Returns:
            The table, of one row.
        """
        values = np.array([[get(record) for record in self.conditions[name].blocks]])
        return leave_out_means(values, np.eye(self.blocks, dtype=bool))


@lru_cache(maxsize=4096)
def _mean(study: Study, name: str, quantity: str, units: str, across: bool) -> Table:
    condition = study.conditions[name]
    over, _ = _QUANTITIES[quantity]
    tuples = _tuples(condition, over, across)
    values = _values(study, name, quantity, across)
    return leave_out_means(values, _touched(condition, tuples, units))


@lru_cache(maxsize=1024)
def _values(study: Study, name: str, quantity: str, across: bool) -> Float[np.ndarray, "groups tuples"]:
    condition = study.conditions[name]
    over, compute = _QUANTITIES[quantity]
    return compute(condition, _tuples(condition, over, across))


def _tuples(condition: Condition, over: str, across: bool) -> Int[np.ndarray, "tuples seeds"]:
    """Tuples of seeds that are ensembles of the condition."""
    block_of = condition.block_of
    if over == "blocks":
        return np.array([np.flatnonzero(block_of == block) for block in range(len(condition.blocks))])
    size = {"seeds": 1, "pairs": 2, "triples": 3}[over]
    tuples = np.array(list(combinations(range(len(block_of)), size)))
    together = (block_of[tuples] == block_of[tuples[:, :1]]).all(axis=1)
    if across:
        return tuples[~together]
    return tuples[together] if condition.coupled else tuples


def _touched(
    condition: Condition, tuples: Int[np.ndarray, "tuples seeds"], units: str
) -> Bool[np.ndarray, "units tuples"]:
    unit_of = condition.block_of if units == "blocks" else np.arange(len(condition.block_of))
    return (unit_of[tuples][None] == np.arange(unit_of.max() + 1)[:, None, None]).any(axis=2)
