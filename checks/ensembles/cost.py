"""C8: what SharpBalance costs in passes over images."""

from sharpdiv.checks.claim import Effect, Finding, Row, Verdict
from sharpdiv.checks.ensembles.missing import judged, missing, waiting
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import span
from sharpdiv.empirical.runs.profiles import LABELS, Design

__all__ = ["SMALL", "cost"]

SMALL = 1.1
"""Passes over SAM's that still are few: our reading of a small overhead, as the paper gives no number."""


def cost(design: Design, evidence: Evidence) -> Finding:
    """C8: passes over images by SharpBalance in units of SAM's.

    Args:
        design: whose runs.
        evidence: what was measured.

    Returns:
        Verdict on the whole training.
    """
    study = evidence.study(design)
    if study is None:
        return Finding(Verdict.NOT_RUN, remark=missing(design, len(evidence.blocks(design))))
    config = design.conditions["sam-mid"]
    # SAM treats every image in every epoch, so its count is the images of all epochs.
    images = float(study.conditions["sam-mid"].of_members(lambda r: r.of_members("sam_samples")).mean())
    rows: list[Row] = []
    effects, ratios = [], []
    for name in ("sharpbalance-mid", "code"):
        treated = study.conditions[name].of_members(lambda r: r.of_members("sam_samples"))
        of_each = (images + treated + images / config.epochs) / (2 * images)
        ratios.append(float(of_each.max()))
        low, high = float(of_each.min()), float(of_each.max())
        rows.append((f"{LABELS[name]}: passes over SAM's", span(low, high, form=".4f")))
        effects.append(
            Effect(
                label=f"{LABELS[name]}, the costliest member",
                estimate=high,
                low=high,
                high=high,
                unit="passes over SAM's",
                reference=1.0,
                stated=(0.0, SMALL),
                decides=True,
            )
        )
    judge = judged(design, study.blocks)
    verdict = (Verdict.HOLDS if max(ratios) <= SMALL else Verdict.FAILS) if judge else Verdict.INCONCLUSIVE
    remark = (
        "SharpBalance that starts from SGD trains its first phase without SAM and cannot fail this. Wall time is another matter: "
        f"make bench times a step of each method. Counted in {study.blocks} of {len(design.blocks)} blocks, which differ by little."
    )
    reasons = {} if judge else waiting(design, study.blocks)
    return Finding(verdict, tuple(rows), remark, tuple(effects), reasons=reasons)
