"""The command around the explorer; what it serves is in tests/browser."""

import socket
import sys

import pytest

from tests.cli.calling import run


@pytest.mark.parametrize("module", ["marimo", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "sharpdiv.explore.server", raising=False)
    if module != "marimo":
        monkeypatch.setitem(sys.modules, "marimo", sys)  # any module: none of it is used before the other is missed
    monkeypatch.setitem(sys.modules, module, None)
    status, out, err = run(capsys, "explore", "--no-browser")
    assert (status, out) == (2, "")
    assert (
        err
        == f"sharpdiv: error: explore needs {module}, which is not installed: pip install '.[explore]' in the folder of sharpdiv\n"
    )


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "explore", "--no-browser", "--port", port)
    assert (status, err) == (2, f"sharpdiv: error: --port must lie between 0 and 65535, got {port}\n")


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("marimo", reason="the extra explore is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = run(capsys, "explore", "--no-browser", "--port", str(port))
    assert status == 2
    assert f"--port {port} cannot be listened on" in err
    assert err.count("\n") == 1
