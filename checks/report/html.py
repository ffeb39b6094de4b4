"""report.html: one file that opens without a server or a network, with every claim, its plots, figures and numbers."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from sharpdiv import __version__
from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.ensembles.verdicts import Beside
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.report.formulas import mathml, prose
from sharpdiv.checks.report.plots import forest, numbers, of_one_quantity, scatter
from sharpdiv.checks.report.points import points
from sharpdiv.checks.report.serialize import plain
from sharpdiv.checks.report.summary import HOW_TO_READ, by_topic, why
from sharpdiv.checks.report.topics import COLUMNS, TOPICS
from sharpdiv.checks.report.words import SIGNS, WHOSE, counts, decisive, firmness
from sharpdiv.empirical.provenance import commit

__all__ = ["Picture", "Report", "figures_shown", "html"]

Findings = Sequence[tuple[Claim, Finding]]


@dataclass(frozen=True)
class Picture:
    """A drawn figure and what is said about it."""

    path: Path
    """of a PNG file"""
    finding: str
    """what it shows, in one sentence"""
    caption: str
    """what is drawn"""
    alt: str
    """the picture in words"""
    dark: Path | None = None
    """the same for dark pages"""


@dataclass(frozen=True)
class Report:
    """Everything that the HTML report shows."""

    findings: Findings
    """claims with what their checks found, in order"""
    evidence: Evidence = field(default_factory=Evidence)
    """what they were checked on"""
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """by name of the figure; those that are missing are not shown"""
    beside: Sequence[Beside] = ()
    """verdicts beside the committed ones, where the results are other ones"""


def figures_shown(findings: Findings) -> list[str]:
    """Names of the figures that show some claims.

    Args:
        findings: claims with what their checks found.

    Returns:
        Each once, in their order.
    """
    judged = (claim for claim, finding in findings if finding.verdict != Verdict.NOT_RUN)
    return list(dict.fromkeys(name for claim in judged for name in claim.figures))


def html(report: Report) -> str:
    """The report as one HTML file.

    Args:
        report: what it shows.

    Returns:
        Its text.
    """
    found = points(report.evidence)
    plots = {f"plot-{claim.id}": forest(f.effects) for claim, f in report.findings if f.effects}
    plots |= {f"points-{name}": scatter(of) for name, of in found.items()}
    shown = set(figures_shown(report.findings))
    pictures = {name: picture for name, picture in report.pictures.items() if name in shown}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            findings=_in_order(report.findings),
            papers=[pair for pair in report.findings if pair[0].subject == "paper"],
            matrix=_matrix(report.findings),
            beside=report.beside,
            why=why(report.findings),
            points={name: len(of) for name, of in found.items()},
            plots=plain(plots),
            pictures=pictures,
            images={name: _images(picture) for name, picture in pictures.items()},
            machines=_machines(report.evidence),
            how_to_read=HOW_TO_READ[1:],
            style=_text("report.css"),
            script=_text("report.js"),
            plotly=Markup(get_plotlyjs()),  # noqa: S704
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sharpdiv.checks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        mathml=mathml, prose=prose, counts=counts, decisive=decisive, drawn=of_one_quantity, numbers=numbers
    )
    environment.globals.update(
        version=__version__,
        commit=commit() or "not known, an installed package",
        topics=TOPICS,
        columns=COLUMNS,
        signs=SIGNS,
        verdicts=list(Verdict),
        whose=WHOSE,
        firmness=firmness,
    )
    return environment


def _in_order(findings: Findings) -> Findings:
    """The paper's statements first, as in the index of the summary."""
    order = list(WHOSE)
    return sorted(findings, key=lambda pair: order.index(pair[0].subject))


def _matrix(findings: Findings) -> dict[str, dict[str, dict[Verdict, int]]]:
    """How many of each verdict there are, of every topic in every column; empty cells and topics are left out."""
    return {
        name: {column: _verdicts(of, column) for column in COLUMNS} for name, of in by_topic(findings).items() if of
    }


def _verdicts(findings: Findings, column: str) -> dict[Verdict, int]:
    here = [finding.verdict for claim, finding in findings if claim.where == column]
    return {verdict: here.count(verdict) for verdict in Verdict if verdict in here}


def _machines(evidence: Evidence) -> list[str]:
    """Processors that networks were trained and measured on, and the commits of this code."""
    origins = [record.origin for record in evidence.records]
    processors = sorted({f"{origin.processor}, {origin.instructions}" for origin in origins})
    commits = sorted({(code or "not known")[:12] for origin in origins for _, code in origin.code})
    return [*processors, f"commit {', '.join(commits)}"] if origins else []


def _images(picture: Picture) -> dict[str, str]:
    """For each page that there is a picture for."""
    return {page: _data_url(path) for page, path in (("light", picture.path), ("dark", picture.dark)) if path}


def _data_url(path: Path) -> str:
    """With 256 colours: a third of the size, and no pixel differs visibly."""
    content = BytesIO()
    image = Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(content, format="png", optimize=True)
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


def _text(name: str) -> Markup:
    """A style sheet or script of ours, put into the page as it is."""
    return Markup(files("sharpdiv.checks.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704
