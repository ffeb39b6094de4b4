"""``sharpdiv metrics``: predictions of any framework."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Json
from sharpdiv.cli.show import number, show, table, titles
from sharpdiv.empirical.errors import InputError

if TYPE_CHECKING:
    from sharpdiv.empirical.predictions.files import StoredEnsemble

__all__ = ["metrics"]


def metrics(
    predictions: Annotated[tuple[Path, ...], tyro.conf.Positional],
    *,
    logits: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    replicates: int = 2000,
    json: Json = None,
) -> int:
    """Diversity, accuracy and calibration of predictions of any framework.

    Files are .npz (arrays probs or logits, and labels), .npy, .csv or .parquet (a row for each sample, a column for each class,
    optionally a column label), .pt (a tensor, or a dict with the names of .npz). Brackets hold 95% bootstrap intervals over
    samples; those of calibration errors tell their spread only.

    Args:
        predictions: files of (members, samples, classes), an ensemble each, or files of (samples, classes), a member each.
        logits: numbers are logits, not probabilities.
        labels: the labels (samples,), in one of these formats or in .txt with one in each line.
        replicates: bootstrap replicates; 0 for no intervals.
        json: where to write the metrics.
    """
    if not predictions:
        raise UsageError("metrics needs at least one file of predictions")
    if replicates < 0:
        raise UsageError(f"--replicates must be at least 0, got {replicates}")
    from sharpdiv.empirical.predictions.files import load_ensembles  # brings PyTorch, which --help should not wait for

    ensembles = load_ensembles(predictions, logits=logits, labels=labels)
    measured = [_measured(ensemble, replicates) for ensemble in ensembles]
    if len(ensembles) == 1:
        heading = ensembles[0].paths[0].name if len(predictions) == 1 else f"{len(predictions)} members"
        show(measured[0], json, _table([heading], measured))
        return 0
    by_path = {str(ensemble.paths[0]): values for ensemble, values in zip(ensembles, measured, strict=True)}
    show({"predictions": by_path}, json, _table(titles([each.paths[0] for each in ensembles]), measured))
    return 0


def _measured(ensemble: "StoredEnsemble", replicates: int) -> dict[str, Any]:
    """Metrics of an ensemble as JSON values, with their intervals as a run's result has them."""
    from sharpdiv.empirical.predictions.bootstrap import bootstrap
    from sharpdiv.empirical.predictions.metrics import diversity

    try:
        values: dict[str, Any] = dict(diversity(ensemble.probs, ensemble.labels))
        if replicates:
            intervals = bootstrap(ensemble.probs, ensemble.labels, replicates)
            values["intervals"] = {name: [each.low, each.high] for name, each in intervals.items()}
    except InputError as error:
        others = f" and {len(ensemble.paths) - 1} more" if len(ensemble.paths) > 1 else ""
        raise InputError(f"{ensemble.paths[0]}{others}: {error}") from error
    return values


def _table(headings: Sequence[str], measured: Sequence[Mapping[str, Any]]) -> str:
    """A column for each ensemble."""
    names = [name for name in measured[0] if name != "intervals"]
    return table(["", *headings], [[name, *(_cell(name, values) for values in measured)] for name in names], left={""})


def _cell(name: str, values: Mapping[str, Any]) -> str:
    value = values[name]
    if isinstance(value, list):
        return ", ".join(map(number, value))
    low, high = values.get("intervals", {}).get(name, (None, None))
    return number(value) if low is None else f"{number(value)} [{number(low)}, {number(high)}]"
