"""Claims about trained ensembles: the protocol's questions, asked of every design."""

from collections.abc import Callable
from functools import lru_cache, partial

from sharpdiv.checks.claim import Claim, Effect, Finding, Row, Value, Verdict
from sharpdiv.checks.ensembles.conditions import chosen, rival
from sharpdiv.checks.ensembles.cost import SMALL, cost
from sharpdiv.checks.ensembles.crossed import LEVEL, Decision, Estimate, Table, decide, estimated, holm
from sharpdiv.checks.ensembles.missing import command, judged, missing, waiting
from sharpdiv.checks.ensembles.protocol import asked, committed, obstacle, protocol_commit
from sharpdiv.checks.ensembles.quantities import LEVELS, every_metric, metric_estimates
from sharpdiv.checks.ensembles.questions import Question
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import PValue, Quantity, count, number, several
from sharpdiv.empirical.errors import NotMeasuredError
from sharpdiv.empirical.runs.profiles import DESIGNS, LABELS, MEASURED_IN_FULL, PROFILES, Design

__all__ = ["CLAIMS", "decided"]

_VERDICTS = {
    Decision.HOLDS: Verdict.HOLDS,
    Decision.FAILS: Verdict.FAILS,
    Decision.NO_EFFECT: Verdict.NO_EFFECT,
    Decision.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}
_TOLERANCE = (
    "one comparison decides, fixed with its smallest effect of interest delta before the seeds were trained ({reason}): no effect "
    "if it is within +-delta by two one-sided tests, else holds or fails if it is on the claimed or the other side, each at "
    f"{LEVEL:g} after Holm's adjustment over the questions of its family on this data set, else inconclusive"
)

_OF_ALL = (
    "all metrics and measures decide together: it holds if each falls, by the largest of their p-values at "
    f"{LEVEL:g} (an intersection-union test), fails if one rises by its p-value adjusted over them; each then adjusted by Holm "
    "over the questions of its family on this data set, else inconclusive"
)

Family = tuple[tuple[Decision, float, float], ...]
"""Of every question of a family: decision, adjusted p of no effect, adjusted p of an effect of interest."""


@lru_cache(maxsize=64)
def decided(study: Study, questions: tuple[Question, ...]) -> Family:
    """Decisions on a family of questions.

    Args:
        study: whole blocks of a design.
        questions: the family.

    Returns:
        One row for each question.
    """
    primaries = [question.primary(study) for question in questions]
    adjusted = holm([each.p for each in primaries]), holm([each.p_within for each in primaries])
    return tuple(zip(decide(primaries), *adjusted, strict=True))


def _check(question: Question, design: Design, evidence: Evidence) -> Finding:
    study = evidence.study(design)
    published = _published(question, design)
    if study is None:
        return Finding(Verdict.NOT_RUN, published, missing(design, len(evidence.blocks(design))))
    questions = tuple(asked(design, question.family))
    decision, p, p_within = decided(study, questions)[questions.index(question)]
    if not (judge := judged(design, study.blocks)):
        decision = Decision.INCONCLUSIVE
    rows = [
        *_deciding(question, study, decision, p, p_within, judge=judge),
        *_levels(question, study),
        *_samples(study),
    ]
    confirmed, status = _status(design, study)
    return Finding(
        _VERDICTS[decision],
        (*published, *rows),
        status,
        _effects(question, study),
        confirmed,
        reasons={} if judge else waiting(design, study.blocks),
        decisive=question.tells,
    )


_HEADLINE = {
    "c6-paper-cifar10": ((95.58, 94.74), (96.06, 95.66), (96.18, 95.73)),
    "c6-paper-cifar10-corrupted": ((75.83, 74.19), (76.32, 75.45), (77.32, 76.12)),
    "c6-paper-cifar100": ((79.28, 76.77), (79.50, 77.81), (79.84, 78.06)),
    "c6-paper-cifar100-corrupted": ((50.67, 47.66), (51.29, 49.41), (52.46, 50.43)),
    "c6-paper-tiny-imagenet": ((69.60, 65.75), (70.69, 68.26), (70.83, 68.36)),
    "c6-paper-tiny-imagenet-corrupted": ((29.64, 26.30), (30.82, 28.37), (31.98, 29.27)),
}
"""Accuracy in percent, ensemble / member mean, of SGD, SAM and SharpBalance (Fig. 7)."""


def _published(question: Question, design: Design) -> tuple[Row, ...]:
    """The paper's own numbers, where it gives some."""
    values = _HEADLINE.get(question.id.format(design.name), ())
    names = ("deep ensemble", "SAM", "SharpBalance")
    return tuple(
        (f"paper: {name}, ensemble / member mean", several([number(each, form=".2f") for each in pair], " / "))
        for name, pair in zip(names, values, strict=False)
    )


def _effects(question: Question, study: Study) -> tuple[Effect, ...]:
    """The primary comparison, or every metric of one that is about all; behind it the logs of ratios that are described beside."""
    if question.statistic is None:
        metrics = zip(*metric_estimates(study), strict=True)
        return tuple(
            _effect(label, found, question, study, "log ratio, SAM to SGD")
            for label, found in metrics
            if not found.obstacle
        )
    shown = []
    for label, table in (("primary comparison", question.statistic), *question.beside):
        try:
            found = estimated(table(study))
        except NotMeasuredError:
            continue
        if not found.obstacle:
            decides = table is question.statistic
            unit = question.tells if decides else "log ratio"
            shown.append(_effect(label, found, question, study, unit, decides=decides))
    return tuple(shown)


def _effect(
    label: str, found: Estimate, question: Question, study: Study, unit: str, *, decides: bool = True
) -> Effect:
    low, high = found.interval()
    return Effect(
        label=label,
        estimate=found.value,
        low=low,
        high=high,
        unit=unit,
        delta=(question.delta or None) if decides else None,
        direction=question.direction if decides else 0,
        n=found.units,
        of="seeds" if found.units == study.seeds else "triples of seeds",
        decides=decides,
    )


def _deciding(
    question: Question, study: Study, decision: Decision, p: float, p_within: float, *, judge: bool
) -> list[Row]:
    """The comparison that decides, with what would decide it if it is judged and does not."""
    if question.statistic is None:
        each = [
            PValue(one.p, name=f"{label} {'falls' if one.side < 0 else 'rises'}, p")
            for label, one in zip(*every_metric(study), strict=True)
        ]
        return [(question.tells, PValue(p, name="adjusted p")), ("each", several(each, "; "))]
    found = estimated(question.statistic(study))
    if found.obstacle:
        return [(question.tells, found.obstacle)]
    rows: list[Row] = [(question.tells, found.quantity(p))]
    rows.append((f"as large as delta = {question.delta:g} ({question.reason})", PValue(p_within, name="adjusted p")))
    unit = "seeds" if found.units == study.seeds else f"triples of seeds, {study.seeds // found.units} each"
    rows.append(("units", count(found.units, f" {unit}")))
    if decision == Decision.INCONCLUSIVE and judge:
        needed = found.units_to_decide(question.delta)
        text: Value = "no number: the test images are too few for an effect of this size"
        if needed:
            text = Quantity(needed, name="about ", form="d")
        what = f"units that would decide by itself, before Holm's adjustment, with 80% power if the effect is as measured ({unit})"
        rows.append((what, text))
    return rows


def _levels(question: Question, study: Study) -> list[Row]:
    """Means of what the question is about, in every condition."""
    rows: list[Row] = []
    for name in question.shows:
        values = [
            number(LEVELS[name](study, condition, study.units(condition))[0, 0], name=f"{LABELS[condition]} ")
            for condition in study.conditions
            if "corrupted" not in name or condition in MEASURED_IN_FULL
        ]
        rows.append((name, several(values)))
    if question.by_validation:
        best = chosen(study, ("sharpbalance-low", "sharpbalance-mid", "sharpbalance-high"), "ensembles")
        rows.append(("chosen by validation", f"{LABELS[best]} against {LABELS[rival(study)]}"))
    return rows + [(label, _beside(table, study)) for label, table in question.beside]


def _beside(table: Callable[[Study], Table], study: Study) -> Value:
    """An estimate that decides nothing, or why there is none."""
    try:
        found = estimated(table(study))
    except NotMeasuredError as error:
        return str(error)
    return found.obstacle or found.quantity()


def _samples(study: Study) -> list[Row]:
    record = study.conditions["sgd"].blocks[0]
    text = (
        f"test {record.predicted.shape[1]:,}, with probabilities {record.probs.shape[1]:,}, corrupted "
        f"{record.corrupted_nll.shape[1]:,} (x {record.corrupted_wrong.shape[1]} corruptions and severities), sharpness "
        f"{record.images['sharpness']:,} of training, CKA {record.images['CKA']:,}; classes in equal shares"
    )
    return [("images", text)]


def _status(design: Design, study: Study) -> tuple[bool, str]:
    """Whether it is confirmed, and in words, with how much of the design is there."""
    there = f"{study.seeds} seeds in {study.blocks} of {len(design.blocks)} blocks."
    if study.blocks < len(design.blocks):
        left = "as make reproduce trains" if judged(design, study.blocks) else "no verdict before all blocks are there"
        return False, f"Exploratory: {left}. {there}"
    if reason := obstacle(study):
        return False, f"Exploratory: {reason}. {there}"
    return True, f"Confirmed: protocol of commit {_short_commit()}. {there}"


def _short_commit() -> str:
    return protocol_commit()[:12] or f"(no checkout; hash {(committed() or '')[:12]})"


def _not_run(reason: str, _: Evidence) -> Finding:
    return Finding(Verdict.NOT_RUN, remark=reason)


def _setting(design: Design) -> str:
    config = design.conditions["sgd"]
    images = f"{config.train_samples:,}" if config.train_samples else "all"
    half = design.conditions.get("narrow-sam")
    narrow = f", {half.rho:g} at half the width" if half else ""
    return (
        f"{design.data}: {len(design.blocks)} triples of seeds, residual networks of width {config.width} and {len(config.blocks)} "
        f"stages, {images} training images, {config.epochs} epochs, rho {design.conditions['sam-low'].rho:g}, "
        f"{design.conditions['sam-mid'].rho:g} (unless another is named) and {design.conditions['sam-high'].rho:g}{narrow}"
    )


_FIGURES = {
    "c1": ("{trade-off}",),
    "c1-{}-der": ("diversity_metrics",),
    "c1-{}-eir": ("tradeoff_datasets",),
    "c2": ("severity",),
    "c3": ("diversity_metrics", "sharpness_measures"),
    "c4": ("tradeoff_shapes",),
    "c5": ("{trade-off}",),
    "c6": ("headline_bars",),
    "c7": ("calibration_size",),
    "sets": ("variants",),
    "late": ("variants",),
    "code": ("variants",),
}
"""Figures by a question's id, or by what it begins with; none draws training loss, or pairs within and across ensembles."""
_TRADE_OFF = {
    "digits": "tradeoff_measured",
    "fashion-mnist": "tradeoff_fashion_mnist",
    "cifar10-jpeg": "tradeoff_cifar10_jpeg",
    "paper-cifar10": "tradeoff_cifar10",
}


def _figures(question: Question, design: Design) -> tuple[str, ...]:
    """Figures of one claim; the trade-off has one for each data set, or is beside the others."""
    trade_off = _TRADE_OFF.get(design.name, "tradeoff_datasets")
    names = _FIGURES.get(question.id, _FIGURES.get(question.id.partition("-")[0], ()))
    return tuple(name.replace("{trade-off}", trade_off) for name in names)


def _where(design: Design) -> str:
    return "paper's size" if design in PROFILES["paper"] else design.name


def _claim(question: Question, design: Design) -> Claim:
    tolerance = _TOLERANCE.format(reason=f"{question.delta:g}: {question.reason}") if question.statistic else _OF_ALL
    return Claim(
        id=question.id.format(design.name),
        subject="paper" if question.family == "paper" else "networks",
        title=question.title,
        statement=question.statement,
        source=f"{question.source}; here on {design.name}",
        about=question.about,
        where=_where(design),
        design=design.name,
        method=f"{_setting(design)}; {question.tells}",
        tolerance=tolerance,
        seed=None,
        check=partial(_check, question, design),
        command=command(design),
        figures=_figures(question, design),
    )


_ELSEWHERE = (
    (
        "appendix-transformers",
        "Appendix: ViT-T/16 and ALBERT",
        "The trade-off and SharpBalance's advantage show on fine-tuned transformers.",
        "This toolkit trains residual networks only.",
    ),
    (
        "appendix-rivals",
        "Appendix: comparison with EoA and SAM+",
        "SharpBalance ensembles beat ensembles of averages and SAM+.",
        "Neither rival is part of this toolkit.",
    ),
)

CLAIMS = (
    *(
        _claim(question, design)
        for design in DESIGNS.values()
        for question in asked(design)
        if question.family == "paper" or not design.name.startswith("paper-")
    ),
    *(
        Claim(
            id=f"c8-{design.name}",
            subject="paper",
            title="C8: SharpBalance costs little more than SAM",
            statement=f"SharpBalance takes at most {SMALL:g} times the forward and backward passes of SAM, started from "
            "SGD and as the "
            "authors' code runs it.",
            source=f"C8; here on {design.name}",
            about=("C8",),
            where=_where(design),
            design=design.name,
            method="counted: one pass for every image and epoch, a second for every image treated with SAM, and for "
            "SharpBalance one over "
            "all images for its scores, charged as an ordinary pass though each image's own gradient takes longer",
            tolerance=f"none, passes are counted; {SMALL:g} is our reading of a small overhead",
            seed=None,
            check=partial(cost, design),
            command=command(design),
        )
        for design in DESIGNS.values()
    ),
    *(
        Claim(
            id=id_,
            subject="paper",
            title=title,
            statement=statement,
            source="appendix",
            about=("Appendix",),
            where="paper's size",
            method="Not checked by this version.",
            tolerance="none",
            seed=None,
            check=partial(_not_run, why),
            command="none yet",
        )
        for id_, title, statement, why in _ELSEWHERE
    ),
)
