"""What the paper claims, row by row, where it is checked, column by column, and why SAM costs diversity."""

__all__ = ["BESIDE", "COLUMNS", "TOPICS", "WHY"]

TOPICS = {
    "C1": "raising rho lowers sharpness, and with it diversity and EIR",
    "C2": "it raises the members' accuracy on corrupted images",
    "C3": "the trade-off shows on every data set, by every metric of diversity and sharpness",
    "C4": "it is steeper in smaller and in sparser models",
    "C5": "at matched sharpness SharpBalance is more diverse",
    "C6": "SharpBalance's ensembles are the most accurate, on clean and on corrupted images",
    "C7": "their ECE and NLL are the lowest at every size",
    "C8": "SharpBalance costs little more than SAM",
    "Theorem 1": "closed forms of SAM's diversity, and bounds of its sharpness",
    "Theorem 2": "the same of SharpBalance",
    "Theorems": "networks do what the model of the theorems predicts",
    "Reasons": "what explains it: the sets, applying SAM late, the authors' code",
    "Appendix": "what the appendix has beyond that",
}
"""What the paper claims, in its order, and at the end what it leaves unsaid; names are those that ``Claim.about`` has."""

BESIDE = ("Reasons", "Appendix")
"""Of these a summary counts the verdicts; each by itself is in the index."""

COLUMNS = ("closed forms", "kernels beside networks", "digits", "fashion-mnist", "cifar10-jpeg", "paper's size")
"""Where a claim can be checked, as ``Claim.where`` has it."""

WHY = (
    (
        "In the quadratic model of the theorems, where nothing multiplies a weight, SAM lowers sharpness and diversity and does "
        "not move EIR",
        ("eir-falls-in-theory",),
    ),
    (
        "Where members differ by features that are never trained, SAM makes them flatter *and* more diverse",
        ("random-features-tradeoff",),
    ),
    (
        "Side by side, without label noise, all three fall together only in models in which one weight multiplies another",
        ("models", "ascent-models"),
    ),
    (
        "In two-layer linear networks D, EIR and the trace of the Hessian are functions of one number, the norm of the last layer, "
        "and closed forms predict it",
        ("two-layer",),
    ),
    ("Ascents shrink that norm like weight decay, and all three fall with it", ("two-layer-tradeoff",)),
    ("They shrink it by one over the number of samples that share an ascent", ("two-layer-groups",)),
    (
        "In diagonal linear networks SAM does what smaller first weights do, which lowers all three, too",
        ("diagonal", "diagonal-tradeoff"),
    ),
    (
        "There full-batch ascents raise D, so that an experiment with full-batch ascents can miss the trade-off",
        ("diagonal-groups",),
    ),
    (
        "Sets of samples that ascend change little but how far weights shrink; what SharpBalance gains at equal sharpness is from "
        "disjoint blocks, on which members fit other data",
        ("feature-learning-sharpbalance",),
    ),
    (
        "Whether small networks on digits do the same at equal training loss, and more so with ascents of few samples, is "
        "checked apart",
        ("ascent-together", "ascent-full-batch", "ascent-size"),
    ),
)
"""Why SAM costs diversity, in sentences, each with the claims that it rests on."""
