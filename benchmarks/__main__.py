"""Run the benchmarks, print them, and keep them in ``benchmarks/measured.json``.

Each compares a way of ours with a baseline in this process on this machine, and with other people's where the extra ``oracle`` is
installed: ratios are what carries over, seconds are for orientation.
"""

import json
from pathlib import Path

import torch

from benchmarks import curvature, startup, theory, training
from sharpdiv.empirical.provenance import provenance

MEASURED = Path(__file__).with_name("measured.json")


def main() -> None:
    """All rows; the file is written when all are there."""
    where = provenance(torch.device("cpu"))
    print(
        f"{where['processor']}, {where['instructions']}, torch {where['torch']}; ratios are of processor time on one thread"
    )
    found = []
    for part in (startup, theory, curvature, training):
        for row in part.rows():
            print(row, flush=True)
            found.append(row.to_json())
    kept = {
        name: where[name] for name in ("processor", "instructions", "platform", "python", "torch", "numpy", "commit")
    }
    MEASURED.write_text(json.dumps({"environment": kept, "rows": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
