"""Shape checks on, one thread, and hypothesis without hidden state: a failing test fails again."""

import os

# One thread for each test process; two processes with two each fight for two cores. For libraries that load later and for
# processes that tests start; a plugin of pytest has loaded NumPy before.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from jaxtyping import install_import_hook  # noqa: E402

import tests.shapes  # noqa: E402, F401 - looked up by its name
from tests import laws  # noqa: E402

# Before any of our modules is imported: every annotated shape and type of the rooms is checked at run time.
_HOOK = install_import_hook(["sharpdiv.theory", "sharpdiv.empirical", "sharpdiv.checks"], "tests.shapes.checked")

import pytest  # noqa: E402
import threadpoolctl  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")
torch.set_num_threads(1)
threadpoolctl.threadpool_limits(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long is slow, too, also where nobody said so."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker("slow")


def pytest_configure(config: pytest.Config) -> None:
    laws.everything = not config.option.markexpr
