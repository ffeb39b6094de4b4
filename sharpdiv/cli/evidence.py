"""Results that claims are checked and figures drawn from."""

from pathlib import Path

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.results import load_evidence
from sharpdiv.cli.errors import UsageError
from sharpdiv.paths import RESULTS

__all__ = ["evidence"]


def evidence(results: Path | None) -> Evidence:
    """What a file or folder holds; the committed results unless given."""
    if results is not None and not results.exists():
        raise UsageError(f"{results} does not exist; make reproduce writes such a file")
    return load_evidence(results or RESULTS)
