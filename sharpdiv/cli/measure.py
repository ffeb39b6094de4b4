"""``sharpdiv measure``: trained runs, and networks that are not ours."""

from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.options import Device, Flat, Json
from sharpdiv.cli.own import Own, given, measure_own
from sharpdiv.cli.show import columns, show
from sharpdiv.empirical.runs import measuring
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["measure"]


def measure(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional],
    own: Annotated[Own, Flat],
    how: Annotated[MeasureConfig, Flat],
    *,
    device: Device = "cpu",
    json: Json = None,
) -> int:
    """Measure trained runs, or networks that are not ours: sharpness, diversity, accuracy, calibration, corruptions.

    Runs of ours are named by their folders; networks of your own by --model, --checkpoints and --data.

    Args:
        run: folders of runs, as sharpdiv train prints them.
        own: networks that are not ours.
        how: settings of the measurement.
        device: where to measure.
        json: where to write the results.
    """
    options = given(own)
    if run and options:
        raise UsageError(f"{options[0]} is about networks that are not ours; it does not go with folders of runs")
    if options:
        return measure_own(own, how, device, json)
    if not run:
        raise UsageError("measure needs the folder of at least one run, or --model, --checkpoints and --data")
    records = {str(folder): measuring.measure(folder, how=how, device=device) for folder in run}
    numbers = {name: record.numbers() for name, record in records.items()}
    show({"runs": {name: record.to_json() for name, record in records.items()}}, json, columns(numbers))
    return 0
