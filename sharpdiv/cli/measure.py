"""``sharpdiv measure`` and ``sharpdiv metrics``: trained runs, and predictions of any framework."""

from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Device, Flat, Json
from sharpdiv.cli.show import columns, show
from sharpdiv.empirical.predictions.files import load_predictions
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.runs import measuring
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["measure", "metrics"]


def measure(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional],
    how: Annotated[MeasureConfig, Flat],
    *,
    device: Device = "cpu",
    json: Json = None,
) -> int:
    """Measure trained runs: sharpness, diversity, accuracy, calibration, corruptions.

    Args:
        run: folders of runs, as sharpdiv train prints them.
        how: settings of the measurement.
        device: where to measure.
        json: where to write the results.
    """
    if not run:
        raise UsageError("measure needs the folder of at least one run")
    records = {str(folder): measuring.measure(folder, how=how, device=device) for folder in run}
    numbers = {name: record.numbers() for name, record in records.items()}
    show({"runs": {name: record.to_json() for name, record in records.items()}}, json, columns(numbers))
    return 0


def metrics(predictions: Annotated[Path, tyro.conf.Positional], *, json: Json = None) -> int:
    """Diversity, accuracy and calibration of predictions of any framework.

    Args:
        predictions: .npz file with probs (members, samples, classes) and labels (samples,).
        json: where to write the metrics.
    """
    values = diversity(*load_predictions(predictions))
    show(values, json, columns({str(predictions): values}))
    return 0
