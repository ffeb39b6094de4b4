"""A job's program ends by itself, or when nobody is there any more who would get its work."""

import signal
import socket
import sys

from sharpdiv.empirical.parsl_job import run

FOREVER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_program_ends_when_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert run(FOREVER, ["127.0.0.1", "nowhere.invalid"], port, every=0.05, silence=0.1) == -signal.SIGKILL


def test_a_program_goes_on_while_somebody_answers() -> None:
    """On one of the machine's addresses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = "import time; time.sleep(0.5); raise SystemExit(3)"
        assert run([sys.executable, "-c", code], ["127.0.0.2", "127.0.0.1"], port, every=0.05, silence=0.1) == 3
