"""Two pages: every claim once in the index, every topic, the verdicts, whose they are."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.report.summary import by_topic, summary
from sharpdiv.checks.report.topics import BESIDE, COLUMNS, TOPICS, WHY
from sharpdiv.checks.report.words import SIGNS, counts, decisive
from tests.checks.report.findings import MADE_UP
from tests.laws import Mutation, law

PROJECT = Path(__file__).parents[3]
BY_ID = {claim.id: claim for claim in CLAIMS}
LINK = r"\[[^]]*\]\(paper_checks/([^)]*)\.md\)"


def _index(text: str) -> str:
    return text.partition("\n## All ")[2]


@law(
    Mutation("twice", "sharpdiv.checks.report.summary._index", lambda line: lambda place, of: line(place, [*of, *of])),
    Mutation("only the paper's", "sharpdiv.checks.report.summary.WHOSE", lambda of: {"paper": of["paper"]}),
    Mutation("one sign", "sharpdiv.checks.report.summary.SIGNS", lambda signs: dict.fromkeys(signs, "✓")),
)
def test_every_claim_is_once_in_the_index_with_its_sign() -> None:
    """What was not run has no number to read on its page, and is named without a link."""
    index = _index(summary(MADE_UP))
    found = re.findall(rf"(\S) {LINK}", index)
    run = {claim.id: SIGNS[finding.verdict] for claim, finding in MADE_UP if finding.verdict != Verdict.NOT_RUN}
    assert sorted(name for _, name in found) == sorted(run)
    assert {name: sign for sign, name in found} == run
    waiting = re.findall(r"^- ([^:]*): (?:.* · )?\S not run: (.*)$", index, flags=re.M)
    names = [(place, name) for place, told in waiting for name in told.split(", ")]
    expected = [
        (place, claim.id.replace(f"-{place}", ""))
        for claim, finding in MADE_UP
        if finding.verdict == Verdict.NOT_RUN and (place := claim.design or claim.where or "this package")
    ]
    assert sorted(names) == sorted(expected)


def test_the_committed_summary_is_two_pages() -> None:
    assert len((PROJECT / "paper_checks.md").read_bytes()) <= 25_000


def test_signs_differ_and_are_never_without_a_word() -> None:
    assert len(set(SIGNS.values())) == len(Verdict)
    head = summary(MADE_UP).partition("\n## All ")[0]
    for verdict, sign in SIGNS.items():
        assert f"{sign} {verdict}" in head


def test_every_topic_tells_its_claims_by_whose_they_are() -> None:
    text = summary(MADE_UP)
    for name in TOPICS:
        section = text.partition(f"\n### {name}: ")[2].partition("\n#")[0]
        about = [(claim, finding) for claim, finding in MADE_UP if name in claim.about]
        for subject in ("paper", "transfer", "networks"):
            of = [pair for pair in about if pair[0].subject == subject]
            assert (f"{subject}: {counts(of)}" in section) is bool(of)
        run = {claim.id for claim, finding in about if finding.verdict != Verdict.NOT_RUN}
        assert set(re.findall(LINK, section)) == (set() if name in BESIDE else run)


def test_a_verdict_that_needs_words_has_them() -> None:
    """Of its own verdict, in the line of what is checked once, and at the head of the column of what waits for seeds."""
    reasons = {Verdict.FAILS: "diverges there", Verdict.INCONCLUSIVE: "2 of 8 blocks"}
    range_, measured = BY_ID["tradeoff-figure2-range"], BY_ID["c1-fashion-mnist"]
    text = summary(
        [(range_, Finding(Verdict.FAILS, reasons=reasons)), (measured, Finding(Verdict.INCONCLUSIVE, reasons=reasons))]
    )
    assert f"{range_.title} (diverges there)" in text
    assert "| fashion-mnist; 2 of 8 blocks |" in text
    assert "diverges there" not in summary([(range_, Finding(Verdict.HOLDS, reasons=reasons))])


def test_every_claim_of_the_paper_is_about_something() -> None:
    """What its source names is what it is about, and it has a column."""
    for claim in CLAIMS:
        if claim.subject == "implementation":
            continue
        assert set(re.findall(r"\bC\d\b", claim.source)) <= set(claim.about), claim.id
        assert claim.about
        assert set(claim.about) <= TOPICS.keys()
        assert claim.where in COLUMNS


def test_topics_go_from_column_to_column() -> None:
    for of in by_topic(MADE_UP).values():
        places = [COLUMNS.index(claim.where) for claim, _ in of]
        assert places == sorted(places)


def test_tables_are_narrow_enough_for_a_page() -> None:
    rows = [line for line in summary(MADE_UP).splitlines() if line.startswith("| ")]
    assert rows
    assert max(line.count("|") - 1 for line in rows) <= 5


def test_a_bound_that_fails_at_finite_size_is_told() -> None:
    text = (PROJECT / "paper_checks.md").read_text(encoding="utf-8")
    section = text.partition("\n### Theorem 1: ")[2].partition("\n#")[0]
    (line,) = [line for line in section.splitlines() if "theorem1-lower" in line and line.startswith("- ")]
    assert "violated at finite d" in line


def test_it_says_whose_its_formulas_and_statements_are() -> None:
    head = summary(()).partition("\n## ")[0]
    for words in ("authors' notebook", "training code", "the text of the paper was not consulted", "*transfers*"):
        assert words in head
    for name in (
        "eir-falls-in-theory",
        "random-features-tradeoff",
        "two-layer-tradeoff",
        "diagonal-tradeoff",
        "models",
    ):
        assert BY_ID[name].subject == "transfer"
        assert BY_ID[name].source.startswith("our transfer of C1")
    assert "range of Fig. 2" not in BY_ID["tradeoff-figure2-range"].title


def test_it_says_why_with_the_verdict_of_every_claim_it_rests_on() -> None:
    """In ten sentences without numbers of their own; nothing where a claim of them was not checked."""
    of = {claim.id: finding for claim, finding in MADE_UP}
    _, _, rest = summary(MADE_UP).partition("## Why SAM costs diversity\n\n")
    sentences = rest.partition("\n\n")[0].split("\n")
    assert len(sentences) == len(WHY) <= 10
    for sentence, (text, names) in zip(sentences, WHY, strict=True):
        assert re.findall(LINK, sentence) == list(names)
        assert all(f"[{SIGNS[of[name].verdict]} {of[name].verdict}](" in sentence for name in names)
        assert not re.search(r"\d", text)
    assert "Why SAM costs diversity" not in summary([f for f in MADE_UP if f[0].id != "models"])


@given(st.lists(st.sampled_from(list(Verdict))))
def test_counts_add_up(verdicts: list[Verdict]) -> None:
    told = counts([(CLAIMS[0], Finding(verdict)) for verdict in verdicts])
    assert sum(map(int, re.findall(r"\d+", told))) == len(verdicts)


def test_the_decisive_number_is_the_named_one_else_the_deciding_effect() -> None:
    _, finding = MADE_UP[0]
    assert decisive(finding) == ("log ratio, a comparison", "-0.25 [-0.5, -0.01]")
    named = Finding(finding.verdict, finding.numbers, decisive="log ratio|of D")
    assert decisive(named) == ("log ratio|of D", "-0.25 [-0.5, -0.01]")
    assert decisive(Finding(Verdict.HOLDS, finding.numbers[1:]))[0] == "several"
    assert decisive(Finding(Verdict.HOLDS)) == ("", "")


def test_a_decisive_line_is_one_of_the_numbers() -> None:
    from sharpdiv.empirical.errors import InputError

    with pytest.raises(InputError, match="must be one of its numbers"):
        Finding(Verdict.HOLDS, decisive="no such line")


@law(
    Mutation("the first", "sharpdiv.checks.report.words._clearness", lambda _: lambda effect: 0.0),
    Mutation("the clearest", "sharpdiv.checks.report.words._clearness", lambda f: lambda effect: -f(effect)),
)
def test_of_several_comparisons_the_one_that_speaks_most_against_the_claim_is_told() -> None:
    ((_, finding), *_) = MADE_UP
    (clear,) = finding.effects
    weak = replace(clear, estimate=-0.1, low=-0.3, high=0.1, label="weak")
    opposite = replace(clear, estimate=0.3, low=0.2, high=0.4, label="opposite")
    beside = replace(opposite, estimate=9.0, low=8.9, high=9.1, decides=False)
    for effects, label in (((clear, weak, beside), "weak"), ((clear, weak, opposite, beside), "opposite")):
        assert decisive(Finding(Verdict.FAILS, effects=effects))[0] == f"log ratio, {label}"


@law(
    Mutation(
        "no side is as clear as any", "sharpdiv.checks.report.words._clearness", lambda f: lambda e: f(e) * e.direction
    ),
)
def test_where_no_side_is_claimed_what_is_nearest_to_its_limit_or_farthest_from_the_reference_is_told() -> None:
    ((_, finding), *_) = MADE_UP
    one = replace(
        finding.effects[0], direction=0, delta=None, unit="passes", low=0.7, high=0.7, estimate=0.7, label="few"
    )
    few, most = (
        replace(one, stated=(0.0, 1.1)),
        replace(one, stated=(0.0, 1.1), low=1.0, high=1.0, estimate=1.0, label="most"),
    )
    assert decisive(Finding(Verdict.HOLDS, effects=(few, most))) == ("passes, most", "1")
    near, far = (replace(one, reference=1.0, low=x - 0.1, high=x + 0.1, estimate=x, label=str(x)) for x in (1.01, 0.9))
    assert decisive(Finding(Verdict.HOLDS, effects=(near, far)))[0] == "passes, 0.9"
