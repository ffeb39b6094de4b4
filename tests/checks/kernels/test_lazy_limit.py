"""Gates of the lazy limit on made-up networks, whose verdicts are known."""

from typing import Any

from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.results import Evidence
from tests.checks.fake_dial import fake_network

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name: str, *networks: dict[str, Any]) -> Verdict:
    return BY_ID[name].check(Evidence(networks=networks)).verdict


def test_the_gates_open_within_their_limits_and_shut_beyond() -> None:
    for claim, name, alpha, limit in (
        ("lazy-exact", "relu-none-8-head", "100", 1e-10),
        ("lazy-gelu", "gelu-none-8", "100", 0.01),
        ("lazy-normed", "relu-group-8", "10", 0.03),
    ):
        others = [fake_network({alpha: (0.2, 0.0)}, name="relu-batch-8")]
        assert verdict(claim, fake_network({alpha: (0.2, 0.9 * limit)}, name=name), *others) is Verdict.HOLDS
        assert verdict(claim, fake_network({alpha: (0.2, 1.1 * limit)}, name=name), *others) is Verdict.FAILS
        assert verdict(claim) is Verdict.NOT_RUN


def test_what_is_not_there_is_not_said_to_hold() -> None:
    group = fake_network({"10": (0.2, 0.0)}, name="relu-group-8")
    finding = BY_ID["lazy-normed"].check(Evidence(networks=(group,)))
    assert finding.verdict is Verdict.NOT_RUN
    assert "relu-batch-8" in finding.remark
    head = fake_network({"100": (0.2, 0.0)}, name="relu-none-8-head")
    del head["measured"]["100"]["normalised"]
    finding = BY_ID["lazy-exact"].check(Evidence(networks=(head,)))
    assert finding.verdict is Verdict.NOT_RUN
    assert "normalised" in finding.remark


def test_what_diverged_shuts_a_gate() -> None:
    for claim, name, alpha in (("lazy-exact", "relu-none-8-head", "100"), ("lazy-gelu", "gelu-none-8", "100")):
        network = fake_network({alpha: (0.2, 0.0)}, name=name)
        network["measured"][alpha]["sam"]["relative_error"]["diversity"][1][1] = None
        finding = BY_ID[claim].check(Evidence(networks=(network,)))
        assert finding.verdict is Verdict.FAILS


def test_binned_spectra_may_be_off_by_their_limits_only() -> None:
    network = fake_network({"1": (0.2, 0.0)})
    assert verdict("lazy-spectrum", network) is Verdict.HOLDS
    network["spectrum"]["loss"] = [[1.02 * value for value in row] for row in network["spectrum"]["loss"]]
    assert verdict("lazy-spectrum", network) is Verdict.FAILS
