"""A design of two small blocks, which takes seconds."""

from dataclasses import replace
from pathlib import Path

from sharpdiv.empirical.engines.graph import Graph
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.profiles import Design
from sharpdiv.job import Job, Say

SMALL_RUN = RunConfig(
    "sgd",
    seeds=(1, 2),
    train_samples=40,
    validation_samples=20,
    width=2,
    blocks=(1,),
    epochs=4,
    switch_epoch=2,
    batch_size=20,
)


HOW = MeasureConfig(
    sharpness=("one_step",),
    sharpness_samples=10,
    corrupted_samples=3,
    stored_samples=20,
    feature_samples=10,
    replicates=5,
)


DESIGN = Design(
    "tiny",
    {
        "sgd": SMALL_RUN,
        "sam-mid": replace(SMALL_RUN, method="sam", rho=0.1),
        "code": replace(SMALL_RUN, method="sharpbalance", rho=0.1, first_phase="sam", rule="code"),
    },
    ((1, 2), (3, 4)),
    HOW,
    replace(HOW, corrupted_samples=2),
)


RECORDS = [f"tiny/{config.run_id}.npz" for config in DESIGN.all_runs]


def measure_blocks(design: Design, folder: Path, say: Say = lambda _: None) -> None:
    """What a design lacks, in this process."""
    with Job(folder, folder / "reproduce", "cpu", say) as whole:
        whole.add(design)
        work(Graph(whole.pieces), Pool(workers=1))
