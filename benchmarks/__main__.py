"""Run the benchmarks, print them, keep them in ``benchmarks/measured.json`` and renew the table of the README.

Each compares a way of ours with a baseline in this process on this machine, and with other people's where the extra ``oracle`` is
installed: ratios are what carries over, seconds are for orientation.
"""

import torch

from benchmarks import curvature, startup, theory, training
from benchmarks.measured import save
from sharpdiv.empirical.provenance import provenance


def main() -> None:
    """All rows; files are written when all are there."""
    where = provenance(torch.device("cpu"))
    print(
        f"{where['processor']}, {where['instructions']}, torch {where['torch']}; ratios are of processor time on one thread"
    )
    found = []
    for part in (startup, theory, curvature, training):
        for row in part.rows():
            print(row, flush=True)
            found.append(row)
    save(where, found)


if __name__ == "__main__":
    main()
