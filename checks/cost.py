"""C8: what SharpBalance costs beside SAM, counted in passes over images."""

from typing import Any

from checks.claim import Claim, Finding, Verdict
from checks.designs import PLANS
from checks.evidence import Evidence

__all__ = ["CLAIMS", "cost"]

_SMALL = 1.1
"""what counts as a small overhead; the paper gives no number"""


def cost(evidence: Evidence) -> Finding:
    """C8: passes over images by SharpBalance in units of SAM's.

    Returns:
        Verdict on the ensembles given.
    """
    runs = evidence.runs
    # SAM treats every image in every epoch, so its count is the images of all epochs; data and network do not change that.
    visits = {_group(run): _treated(run) for run in runs if run["config"]["method"] == "sam"}
    ratios: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        config = run["config"]
        if config["method"] == "sharpbalance" and (images := visits.get(_group(run))):
            label = f"{config['data']}, rule {config['rule']}, top fraction {config['top_fraction']:g}"
            second = images * (1 - config["switch_epoch"] / config["epochs"])
            extra = _treated(run) + images / config["epochs"]
            ratios.setdefault(label, []).append(((images + extra) / (2 * images), (second + extra) / (2 * second)))
    if not ratios:
        return Finding(
            Verdict.NOT_RUN, remark="No whole measured ensembles of SAM and SharpBalance; run make reproduce."
        )
    worst = max(whole for found in ratios.values() for whole, _ in found)
    numbers = []
    for label, found in sorted(ratios.items()):
        for part, values in zip(("whole training", "second phase alone"), zip(*found, strict=True), strict=True):
            numbers.append((f"{label}: {part}", f"{min(values):.4f} to {max(values):.4f}"))
    return Finding(
        Verdict.HOLDS if worst <= _SMALL else Verdict.FAILS,
        tuple(numbers),
        "SharpBalance trains its first phase without SAM, hence fewer passes. Wall time is not compared: these runs were trained "
        "side by side; make bench times a step of each method.",
    )


def _everywhere(evidence: Evidence) -> Finding:
    return cost(Evidence(tuple(run for plan in PLANS.values() for run in evidence.whole(plan).runs)))


def _group(run: dict[str, Any]) -> tuple[str, int, int | None]:
    config = run["config"]
    return config["data"], config["epochs"], config["train_samples"]


def _treated(run: dict[str, Any]) -> float:
    """Images that a member treated with SAM in all epochs, mean over members."""
    treated = run["members"]["sam_samples"]
    return sum(treated) / len(treated)


CLAIMS = (
    Claim(
        "c8-cost",
        "paper",
        "C8: SharpBalance costs little more than SAM",
        f"SharpBalance takes at most {_SMALL:g} times the forward and backward passes of SAM.",
        "C8; here on digits, fashion-mnist and cifar10-jpeg",
        "counted in the measured ensembles: one pass for every image and epoch, a second for every image treated with SAM, and for "
        "SharpBalance one over all images for its scores, charged as an ordinary pass though each image's own gradient takes "
        "longer; ratio to SAM, lowest to highest ensemble; the verdict is on the whole training",
        f"none, passes are counted; {_SMALL:g} is our reading of a small overhead",
        None,
        _everywhere,
        "make reproduce, and sharpdiv reproduce --profile cpu",
    ),
)
