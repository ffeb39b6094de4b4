"""``sharpdiv data``: data sets, listed, fetched and verified."""

from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.cli.progress import progress
from sharpdiv.cli.show import table
from sharpdiv.empirical.data.installed import installed

__all__ = ["fetch_data", "list_data", "verify_data"]


def list_data() -> int:
    """What data sets there are, and which of them are here."""
    rows = []
    for row in installed():
        here = str(row.where or "yes") if row.here else "no"
        rows.append([row.name, row.images, str(row.classes), f"{row.size / 1e6:.0f}", row.licence, here])
    print(
        table(("name", "images", "classes", "MB", "licence", "here"), rows, left={"name", "images", "licence", "here"})
    )
    return 0


def fetch_data(name: Annotated[str, tyro.conf.Positional], *, source: Path | None = None) -> int:
    """Download a data set and verify its checksums, or copy it from a local file or folder.

    Args:
        name: as in sharpdiv data list.
        source: file or folder to copy from instead; cifar10-jpeg can only be had so.
    """
    from sharpdiv.empirical.data.fetching import fetch
    from sharpdiv.empirical.data.loading import load_images  # brings PyTorch, which a list should not wait for

    with progress(f"fetching {name}") as report:
        place = fetch(name, source, progress=report)
        load_images(name, progress=report)  # decodes it now, so that no training has to wait for that
    print(place)
    return 0


def verify_data(name: Annotated[str, tyro.conf.Positional]) -> int:
    """Compare the files of a data set with their checksums; exits 1 if one is missing or damaged.

    Args:
        name: as in sharpdiv data list.
    """
    from sharpdiv.empirical.data.verifying import verify  # as above

    checks = verify(name)
    for file, ok, detail in checks:
        print(f"{'ok' if ok else 'BAD':<4} {file}: {detail}")
    return 0 if all(check.ok for check in checks) else 1
