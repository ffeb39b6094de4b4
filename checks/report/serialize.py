"""Claims and findings as JSON: numbers as numbers, with their errors, intervals and units."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from sharpdiv.checks.claim import Claim, Finding
from sharpdiv.checks.quantity import Quantity, Several, Value

__all__ = ["claim_json", "finding_json"]


def claim_json(claim: Claim) -> dict[str, Any]:
    """What is stated and how it is checked.

    Args:
        claim: any.

    Returns:
        JSON values, as ``findings.schema.json`` beside this module has them.
    """
    names = (
        "id",
        "subject",
        "title",
        "statement",
        "formula",
        "source",
        "method",
        "tolerance",
        "seed",
        "where",
        "design",
    )
    told = {name: getattr(claim, name) for name in names}
    return told | {"about": list(claim.about), "figures": list(claim.figures), "command": claim.run_with}


def finding_json(finding: Finding) -> dict[str, Any]:
    """What came out.

    Args:
        finding: of any claim.

    Returns:
        JSON values; None for what is not finite.
    """
    return {
        "verdict": str(finding.verdict),
        "confirmed": finding.confirmed,
        "remark": finding.remark,
        "reason": finding.reason,
        "decisive": finding.decisive,
        "numbers": [{"label": label} | _value(value) for label, value in finding.numbers],
        "effects": [plain(asdict(effect)) for effect in finding.effects],
    }


def _value(value: Value) -> dict[str, Any]:
    """The text of a line, and the numbers in it."""
    told: dict[str, Any] = {"text": str(value)}
    if isinstance(value, Several):
        return told | {"values": [_value(part) for part in value.parts]}
    if isinstance(value, Quantity):
        fields = {name: field for name, field in vars(value).items() if name not in {"form", "name", "unit"}}
        told |= plain({name: field for name, field in fields.items() if name == "value" or field is not None})
        told |= {name: text for name in ("name", "unit") if (text := getattr(value, name).strip(" :("))}
    return told


def plain(value: Any) -> Any:
    """Values that JSON has.

    Args:
        value: nested mappings, sequences, numbers (NumPy's, too), text.

    Returns:
        The same of Python's types, with None for what is not finite.
    """
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, int):
        return int(value)
    return float(value) if isfinite(value) else None
