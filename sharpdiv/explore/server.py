"""The explorer's server: in this process, for this machine."""

import socket
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import marimo
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

__all__ = ["serve"]

_HOST = "127.0.0.1"
_NOTEBOOK = Path(__file__).with_name("app.py")
_PATIENCE = 1
"""Seconds that open pages are waited for at the end."""


def listen(port: int) -> socket.socket:
    """A socket of this machine only.

    Args:
        port: Where to listen; 0 takes a free one.

    Returns:
        What ``serve`` takes.

    Raises:
        OSError: if the port is taken.
    """
    return socket.create_server((_HOST, port))


def serve(listening: socket.socket, *, browser: bool) -> None:
    """Serve the explorer until it is interrupted; the notebook runs in this process.

    There is no token, so that the page just opens: it shows theory, and runs no code of its visitors. Under another name, which
    a page from elsewhere could give to this address, it is not served.

    Args:
        listening: Where to listen, of ``listen``; closed at the end.
        browser: Whether to open the page.
    """
    config = uvicorn.Config(_guarded(), log_level="warning", timeout_graceful_shutdown=_PATIENCE)
    with listening:
        address = f"http://{_HOST}:{listening.getsockname()[1]}/"
        print(f"The explorer is at {address} until Ctrl-C.", flush=True)
        if browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):  # how it is meant to end
            uvicorn.Server(config).run(sockets=[listening])


def _guarded() -> Starlette:
    """The notebook as an application that takes the sessions of its pages with it when it ends."""
    notebook = marimo.create_asgi_app(quiet=True).with_app(path="", root=str(_NOTEBOOK)).build()

    @asynccontextmanager
    async def sessions(_: Starlette) -> AsyncIterator[None]:
        yield
        for mounted in notebook.routes:
            await mounted.app.state.session_manager.shutdown()

    host = Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST])
    return Starlette(routes=[Mount("/", notebook)], middleware=[host], lifespan=sessions)
