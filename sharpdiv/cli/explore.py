"""``sharpdiv explore``: theory behind sliders, in the browser."""

from sharpdiv.cli.errors import UsageError

__all__ = ["explore"]


def explore(*, port: int = 0, browser: bool = True) -> int:
    """Theory behind sliders in your browser: curves of SAM and SharpBalance.

    Also the values at rho as the command line prints them, and the curves as Python, CSV and PNG. Listens on 127.0.0.1 only,
    until Ctrl-C. For the screen of another machine: --no-browser --port 8000 here, ssh -L 8000:127.0.0.1:8000 there.

    Args:
        port: where to listen; 0 takes a free one.
        browser: open the page.
    """
    if not 0 <= port < 2**16:
        raise UsageError(f"--port must lie between 0 and 65535, got {port}")
    from sharpdiv.explore.server import listen, serve  # brings marimo, which --help should not wait for

    try:
        listening = listen(port)
    except OSError as error:
        raise UsageError(f"--port {port} cannot be listened on ({error.strerror}); 0 takes a free one") from error
    serve(listening, browser=browser)
    return 0
