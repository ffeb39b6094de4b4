"""Gates of the lazy limit on made-up networks, whose verdicts are known."""

import numpy as np

from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.dials import Network
from sharpdiv.checks.registry import CLAIMS
from tests.checks.fake_dial import fake_network

HEAD, GELU, GROUP, BATCH = (
    Network(head_only=True),
    Network(activation="gelu"),
    Network(norm="group"),
    Network(norm="batch"),
)
BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name: str, *networks: DialNetwork) -> Verdict:
    return BY_ID[name].check(Evidence(networks=networks)).verdict


def test_the_gates_open_within_their_limits_and_shut_beyond() -> None:
    for claim, network, alpha, limit in (
        ("lazy-exact", HEAD, 100.0, 1e-10),
        ("lazy-gelu", GELU, 100.0, 0.01),
        ("lazy-normed", GROUP, 10.0, 0.03),
    ):
        others = [fake_network({alpha: (0.2, 0.0)}, network=BATCH)]
        assert verdict(claim, fake_network({alpha: (0.2, 0.9 * limit)}, network=network), *others) is Verdict.HOLDS
        assert verdict(claim, fake_network({alpha: (0.2, 1.1 * limit)}, network=network), *others) is Verdict.FAILS
        assert verdict(claim) is Verdict.NOT_RUN


def test_what_is_not_there_is_not_said_to_hold() -> None:
    group = fake_network({10.0: (0.2, 0.0)}, network=GROUP)
    finding = BY_ID["lazy-normed"].check(Evidence(networks=(group,)))
    assert finding.verdict is Verdict.NOT_RUN
    assert "relu-batch-8" in finding.remark
    head = fake_network({100.0: (0.2, 0.0)}, network=HEAD)
    del head.measured[100.0]["normalized"]
    finding = BY_ID["lazy-exact"].check(Evidence(networks=(head,)))
    assert finding.verdict is Verdict.NOT_RUN
    assert "normalized" in finding.remark


def test_what_diverged_shuts_a_gate() -> None:
    for claim, kind in (("lazy-exact", HEAD), ("lazy-gelu", GELU)):
        network = fake_network({100.0: (0.2, 0.0)}, network=kind)
        network.measured[100.0]["sam"].relative_error["diversity"][1, 1] = np.nan
        finding = BY_ID[claim].check(Evidence(networks=(network,)))
        assert finding.verdict is Verdict.FAILS


def test_binned_spectra_may_be_off_by_their_limits_only() -> None:
    network = fake_network({1.0: (0.2, 0.0)})
    assert verdict("lazy-spectrum", network) is Verdict.HOLDS
    network.spectrum["loss"] *= 1.02
    assert verdict("lazy-spectrum", network) is Verdict.FAILS
