"""The graph of the main job: what waits for what, and what is done once."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sharpdiv.job
from sharpdiv import reproduce as job
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.connectivity import run_planes
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig
from sharpdiv.empirical.engines.graph import Graph
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.profiles import DESIGNS, Design
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.store import digest, write_atomically
from sharpdiv.job import Job
from tests.cli.small_design import DESIGN, HOW, RECORDS, SMALL_RUN, measure_blocks


def test_nothing_waits_for_more_than_it_needs(tmp_path: Path) -> None:
    """No barrier between blocks, ensembles, or training and measuring; earlier blocks rank first all the same."""
    with Job(tmp_path, tmp_path / "reproduce", "cpu", lambda _: None) as whole:
        whole.add(DESIGN)
        graph = Graph(whole.pieces)
    sgd, sam, balance = DESIGN.runs((1, 2)).values()
    assert graph.after(f"member 1 of {sgd.run_id}") == {
        f"measurement 1 of {sgd.run_id}",
        f"result of {sgd.run_id}",
        "block 1, 2 of tiny",
    }
    after = graph.after(f"first phase 1 of {sam.run_id}")
    assert {f"member 1 of {sam.run_id}", f"sets of {balance.run_id}", f"member 2 of {balance.run_id}"} <= after
    assert f"member 2 of {sam.run_id}" not in after
    assert not any(name.endswith(sgd.run_id) for name in after)
    ranks = [graph.pieces[name].priority for name in graph.pieces]
    assert ranks == sorted(ranks) == [1] * 22 + [2] * 22
    assert not graph.after("block 1, 2 of tiny")


@pytest.mark.long
@pytest.mark.slow
def test_a_shorter_measurement_does_not_pass_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of the quick profile are taken again for the whole design, of the same networks."""
    target, whole = tmp_path / "reproduce", replace(DESIGN, blocks=((1, 2),))
    short = replace(whole, how=replace(HOW, corrupted_samples=2))
    monkeypatch.setitem(DESIGNS, "tiny", whole)
    corrupted: dict[str, int] = {}
    networks: list[dict[Path, int]] = []
    for name, design in (("short", short), ("whole", whole)):
        measure_blocks(design, tmp_path)
        corrupted[name] = load_record(target / RECORDS[0]).corrupted_nll.shape[1]
        networks.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("member-?.safetensors")})
    assert networks[0] == networks[1]
    assert len(networks[0]) == 6
    assert corrupted == {"short": 2, "whole": 3}
    # All of it being there, the short one takes it as it is; of a mixture, nothing.
    assert job._as_measured(short, [target]).how == HOW
    longer = replace(short, blocks=((1, 2), (3, 4)))
    assert job._as_measured(longer, [target]).how == short.how


@pytest.mark.long
def test_planes_of_the_first_block_are_measured_once_where_its_networks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or will be; not where records alone were taken from elsewhere, with which planes come then."""
    measured: list[str] = []
    measure = run_planes._measure

    def tell(root: Path, config: RunConfig, *rest: Any) -> None:
        measured.append(config.method)
        measure(root, config, *rest)

    monkeypatch.setattr(run_planes, "_measure", tell)
    conditions = {
        "sgd": SMALL_RUN,
        "sam-mid": replace(SMALL_RUN, method="sam", rho=0.1),
        "sharpbalance-mid": replace(SMALL_RUN, method="sharpbalance", rho=0.1),
    }
    design = Design("digits", conditions, ((1, 2, 3),), HOW, HOW)
    how = PlaneConfig(2, 2, 40, 20)
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"

    def look(runs_folder: Path, target: Path) -> None:
        with Job(runs_folder, target, "cpu", lambda _: None) as whole:
            whole.add(design, planes=how)
            work(Graph(whole.pieces), Pool(workers=1))

    for _ in range(2):
        look(tmp_path, theirs)
    assert sorted(measured) == ["sam", "sgd", "sharpbalance"]
    assert [plane.config for plane in load_evidence(theirs).planes] == list(design.runs((1, 2, 3)).values())
    job._take(theirs, mine, [design])
    assert (mine / "planes.json").read_bytes() == (theirs / "planes.json").read_bytes()
    (mine / "planes.json").unlink()
    look(tmp_path / "none", mine)  # all records are there
    assert not (mine / "planes.json").exists()
    look(tmp_path, mine)
    assert (mine / "planes.json").read_bytes() == (theirs / "planes.json").read_bytes()
    job._take(theirs, tmp_path / "others", [replace(design, name="tiny")])
    assert not (tmp_path / "others" / "planes.json").exists()
    assert len(measured) == 6  # asked for again, and there already
    (mine / "planes.json").write_bytes(b"my own")
    job._take(theirs, mine, [design])
    assert (mine / "planes.json").read_bytes() == b"my own"


@pytest.mark.slow
def test_a_job_that_is_killed_while_it_publishes_lacks_nothing_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block is there when its records are, and with them all else of it."""
    whole, target = replace(DESIGN, blocks=((1, 2),)), tmp_path / "reproduce"
    write = write_atomically

    def die(path: Path, content: bytes) -> None:
        write(path, content)
        for folder in (target, target / "tiny"):
            (folder / f".leftover.{socket.gethostname()}.{2**30}.tmp").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(sharpdiv.job, "write_atomically", die)
        with pytest.raises(KeyboardInterrupt):
            measure_blocks(whole, tmp_path)
    assert len(list(target.glob("tiny/*.npz"))) == 1
    measure_blocks(whole, tmp_path)
    assert {norms.key for norms in load_evidence(target).weight_norms} == {digest(c.to_json()) for c in whole.all_runs}
    assert not list(target.rglob(".*.tmp"))


def test_of_two_jobs_in_one_folder_the_second_is_refused_at_once(tmp_path: Path) -> None:
    """It takes no block that the first would come to."""
    with (
        Job(tmp_path, tmp_path / "reproduce", "cpu", lambda _: None),
        pytest.raises(StoreError, match=r"reproduce is being trained by another process; wait for it or stop it"),
    ):
        measure_blocks(DESIGN, tmp_path)
