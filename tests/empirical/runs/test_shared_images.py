"""Images in one file that processes share: the same bits, made once, made again where damaged, held once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sharpdiv.empirical.runs import measured_images
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measured_images import corrupted_images
from sharpdiv.empirical.runs.shared_images import shared_images

PARTS = [torch.randint(256, (2, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(n)) for n in range(2)]


def parts(asked: list[int]) -> Iterator[Tensor]:
    for number, part in enumerate(PARTS):
        asked.append(number)
        yield part


def test_parts_are_asked_for_once(tmp_path: Path) -> None:
    asked: list[int] = []
    for _ in range(2):
        assert torch.equal(shared_images(tmp_path / "some", (4, 3), parts(asked)), torch.cat(PARTS))
    assert asked == [0, 1]


@pytest.mark.parametrize("what", ["some", "some.json"])
def test_what_is_damaged_or_gone_is_made_again(what: str, tmp_path: Path) -> None:
    asked: list[int] = []
    shared_images(tmp_path / "some", (4, 3), parts(asked))
    if what == "some":
        (tmp_path / what).write_bytes(bytes(12))
    else:
        (tmp_path / what).unlink()
    assert torch.equal(shared_images(tmp_path / "some", (4, 3), parts(asked)), torch.cat(PARTS))
    assert asked == [0, 1, 0, 1]


def test_an_interrupted_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    def broken() -> Iterator[Tensor]:
        yield PARTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared_images(tmp_path / "some", (4, 3), broken())
    assert not list(tmp_path.glob(".*.tmp"))
    for leftover in (".some.images.tmp", ".some.json.host.123.tmp"):  # of who was killed
        (tmp_path / leftover).touch()
    assert torch.equal(shared_images(tmp_path / "some", (4, 3), iter(PARTS)), torch.cat(PARTS))
    assert not list(tmp_path.glob(".*.tmp"))


def test_what_a_process_writes_stays_there(tmp_path: Path) -> None:
    shared_images(tmp_path / "some", (4, 3), PARTS).zero_()
    assert torch.equal(shared_images(tmp_path / "some", (4, 3), ()), torch.cat(PARTS))


def test_corrupted_images_are_the_same_from_the_file(tmp_path: Path) -> None:
    config, how = RunConfig("sgd", train_samples=200), MeasureConfig(corrupted_samples=3)
    measured_images._corrupted.cache_clear()
    names, images, labels = corrupted_images(config, how)
    again = corrupted_images(config, how, tmp_path)
    assert (names, labels.tolist()) == (again[0], again[2].tolist())
    assert torch.equal(images, again[1])
    others = [corrupted_images(config, MeasureConfig(corrupted_samples=n), tmp_path)[1].shape[2] for n in (2, 3)]
    assert others == [2, 3]
    assert len(list((tmp_path / "corrupted").glob("*.json"))) == 2


_HOLDING = """
import sys, torch
from pathlib import Path
from sharpdiv.empirical.runs.shared_images import shared_images
def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
def parts():
    for _ in range(32):
        yield torch.ones(2**22, dtype=torch.uint8)
before = private()
images = shared_images(Path(sys.argv[1]), (32, 2**22), parts())
assert images[:, ::512].min() == 1  # every page is read
print((private() - before) / 2**10)
"""


@pytest.mark.long
@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell what a process holds"
)
def test_a_process_holds_little_of_128_mebibytes(tmp_path: Path) -> None:
    """Neither who writes the file, in parts of 4 MiB, nor who finds it; libraries that load meanwhile take some 40."""
    for _ in range(2):
        command = [sys.executable, "-c", _HOLDING, str(tmp_path / "some")]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        assert float(found.stdout) < 64
