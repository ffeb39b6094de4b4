"""Files of predictions and numbers, good and bad."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from sharpdiv.cli import progress


@pytest.fixture(autouse=True)
def _no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long anything takes, and so how many lines of progress there are, is the machine's."""
    monkeypatch.setattr(progress, "SECONDS", 3600.0)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file and the bad ones, beside each other."""
    folder = tmp_path_factory.mktemp("npz")
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), size=(3, 20)), rng.integers(4, size=20)
    (folder / "other").mkdir()
    for path in (folder / "good.npz", folder / "other" / "good.npz"):
        np.savez(path, probs=probs.astype(np.float32), labels=labels)
    for name, text in (("negative", "1\n-1"), ("wide", "1 2"), ("nan", "1\nnan"), ("empty", "# nothing")):
        (folder / f"{name}.txt").write_text(text)
    np.savez(folder / "no-labels.npz", probs=probs)
    np.savez(folder / "sums.npz", probs=2 * probs, labels=labels)
    np.savez(folder / "one.npz", probs=probs[:1], labels=labels)
    np.savez(folder / "range.npz", probs=probs, labels=labels + 1)
    np.savez(folder / "objects.npz", probs=np.array([None]), labels=labels)
    with zipfile.ZipFile(folder / "garbage.npz", "w") as archive:
        archive.writestr("probs.npy", b"garbage")
        archive.writestr("labels.npy", b"")
    (folder / "truncated.npz").write_bytes((folder / "good.npz").read_bytes()[:300])
    return folder
