"""``sharpdiv measure``: trained runs."""

from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Device, Flat, Json
from sharpdiv.cli.show import columns, show
from sharpdiv.empirical.runs import measuring
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["measure"]


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
