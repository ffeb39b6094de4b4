"""Records of designs with all that figures read of them, no network behind."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sharpdiv.checks.ensembles.protocol import made_up_study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.corruptions import SEVERITIES
from sharpdiv.empirical.runs.profiles import DESIGNS, MEASURED_IN_FULL, Design
from sharpdiv.empirical.runs.record import RunRecord

__all__ = ["made_up_evidence", "made_up_records"]

_KINDS = 2  # of corruptions


def made_up_evidence(names: Sequence[str] = tuple(DESIGNS), blocks: int = 3) -> Evidence:
    """Evidence of some designs.

    Args:
        names: theirs.
        blocks: whole ones of each.

    Returns:
        Evidence with a study for each design, if there are two blocks.
    """
    return Evidence(tuple(record for name in names for record in made_up_records(DESIGNS[name], blocks)))


def made_up_records(design: Design, blocks: int) -> list[RunRecord]:
    """Records of the first blocks of a design, which its rho makes flatter, less diverse and more robust."""
    study = made_up_study(design.conditions, blocks, images=400, seed=sum(design.name.encode()))
    generator = np.random.default_rng(list(design.name.encode()))
    return [
        _completed(_measured(study.conditions[name].blocks[place], name), config.to_json(), generator)
        for place, seeds in enumerate(design.blocks[:blocks])
        for name, config in design.runs(seeds).items()
    ]


def _measured(record: RunRecord, name: str) -> RunRecord:
    """On fewer corrupted images, as the conditions are that no claim compares on these."""
    images = record.corrupted_nll.shape[1] // (1 if name in MEASURED_IN_FULL else 5)
    return replace(
        record,
        corrupted_nll=record.corrupted_nll[:, :images],
        corrupted_wrong=record.corrupted_wrong[:, :, :images],
    )


def _completed(record: RunRecord, config: dict[str, Any], generator: np.random.Generator) -> RunRecord:
    """With calibration by size, all severities, and the configuration of its block."""
    images = record.corrupted_nll.shape[1]
    severity = np.tile(SEVERITIES, _KINDS)[None, :, None]
    wrong = generator.random((4, len(severity[0]), images)) < 0.1 * severity + 0.2 - config["rho"]
    calibration = {
        images: {
            "size": [1, 2, 3],
            **{
                metric: (scale / np.sqrt([1, 2, 3]) - config["rho"] + 0.01 * generator.random(3)).tolist()
                for metric, scale in (("ece", 0.3), ("nll", 1.0))
            },
        }
        for images in ("by_size", "corrupted_by_size")
    }
    return replace(record, summary=record.summary | {"config": config} | calibration, corrupted_wrong=wrong)
