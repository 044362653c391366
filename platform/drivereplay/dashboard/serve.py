"""Starting TensorBoard on a run, opened at the front."""

from __future__ import annotations

import ipaddress
import os
import sys
import threading
import urllib.parse
import webbrowser
from pathlib import Path
from typing import Any, TextIO

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.storage import Storage

PYARROW_SCHEMES = ("s3", "gs", "gcs")
"""Where a run's `tensorboard/` is looked for; other URIs are taken as log directories."""
TAB = "#pareto"
RELOAD_S = 2.0
"""Seconds between two looks into the log directory; TensorBoard's own default of 5 feels slow on a running sweep."""


def log_directory(directory: str | Path) -> str:
    """The log directory of a run's directory: its `tensorboard/`. Any other directory is one itself.

    Of a URI as in `storage`, pyarrow's options are taken off; an endpoint among them goes into `AWS_ENDPOINT_URL_S3`,
    which is where TensorBoard's S3 client looks for it.

    Raises:
        SpecError: There is no such directory, or the URI names no place that can be reached.
    """
    if "://" in str(directory):
        return _remote_log_directory(str(directory))
    path = Path(directory).expanduser().absolute()
    if not path.is_dir():
        raise SpecError(f"There is no directory {path}.", "Give a run's directory, such as runs/quickstart.")
    inside = path / "tensorboard"
    return str(inside if inside.is_dir() else path)


def _remote_log_directory(uri: str) -> str:
    address, _, query = uri.partition("?")
    address = address.rstrip("/")
    if urllib.parse.urlsplit(address).scheme not in PYARROW_SCHEMES:
        return address  # TensorBoard asks fsspec for it
    try:
        inside = bool(Storage.of(uri).names("tensorboard"))
    except OSError as error:
        what = f"{address} cannot be read: {error}."
        raise SpecError(what, "Set the provider's variables (AWS_ACCESS_KEY_ID, ...).") from error
    options = dict(urllib.parse.parse_qsl(query))
    if "endpoint_override" in options:
        os.environ["AWS_ENDPOINT_URL_S3"] = f"{options.get('scheme', 'https')}://{options['endpoint_override']}"
    return f"{address}/tensorboard" if inside else address


def start(directory: str | Path, *, port: int = 6006, host: str = "127.0.0.1") -> str:
    """Start TensorBoard in a thread of this process.

    Args:
        directory: A run's directory, a folder of runs, or any log directory; local or a URI that TensorBoard can read.
        port: Port; 0 takes a free one.
        host: Address to listen on; the default is reachable from this machine only.

    Returns:
        The URL of the Pareto tab.

    Raises:
        SpecError: There is no such directory.
        DriveReplayError: The port is taken, or the address is not this machine's.
    """
    from tensorboard import default, program
    from tensorboard.util import tb_logging

    from tensorboard_pareto.plugin import ParetoLoader

    # a checkout that was not installed has no entry points; loading twice does no harm
    plugins = [*default.get_plugins(), ParetoLoader]
    tb_logging.get_logger().setLevel("ERROR")
    server = _loopback_server if _is_loopback(host) else program.WerkzeugServer
    board = program.TensorBoard(plugins=plugins, server_class=server)
    board.configure(
        logdir=log_directory(directory),
        host=host,
        port=port,
        reload_interval=RELOAD_S,
        window_title="DriveReplay",
    )
    try:
        url = _quietly(board.launch)
    except program.TensorBoardServerException as error:
        what = f"TensorBoard did not start: {error.msg}"
        raise DriveReplayError(what, "Give another --port, or 0 for any.") from error
    return f"{url.rstrip('/')}/{TAB}"


def open_dashboard(
    directory: str | Path,
    *,
    port: int = 6006,
    host: str = "127.0.0.1",
    browser: bool = True,
    stop: threading.Event | None = None,
    out: TextIO | None = None,
) -> None:
    """Start TensorBoard, print the tab's URL, open a browser where there is one, and stay until Ctrl-C.

    Args:
        directory, port, host: As in `start`.
        browser: Open the page in the user's browser.
        stop: Ends the stay when set, besides Ctrl-C.
        out: Where the URL is printed; None means standard output.
    """
    url = start(directory, port=port, host=host)
    print(f"{url}  (Ctrl-C stops it)", file=out or sys.stdout, flush=True)
    if browser and _has_browser():
        webbrowser.open(url)
    try:
        (stop or threading.Event()).wait()
    except KeyboardInterrupt:
        return


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_foreign_hosts(application: Any) -> Any:
    """A WSGI application that answers only requests addressed to this machine by a loopback name.

    A page from elsewhere can let its own name point to 127.0.0.1 (DNS rebinding) and would then read the dashboard in
    the visitor's browser; its requests still carry that name in their `Host` header.
    """

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        host = urllib.parse.urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or ""
        if _is_loopback(host):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This dashboard answers on localhost only; start it with --host to open it to other names.\n"]

    return guarded


def _loopback_server(application: Any, flags: Any) -> Any:
    from tensorboard import program

    return program.WerkzeugServer(refuse_foreign_hosts(application), flags)


def _has_browser() -> bool:
    """Whether a graphical browser can open; text browsers would take the terminal over."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return not isinstance(webbrowser.get(), webbrowser.GenericBrowser)
    except webbrowser.Error:
        return False


def _quietly(launch: Any) -> str:
    """Run `launch` without the advertisement of its fast loader on standard error."""
    stream, sys.stderr = sys.stderr, _Sink(sys.stderr)
    try:
        return str(launch())
    finally:
        sys.stderr = stream


class _Sink:
    """A standard error that drops TensorBoard's multi-line note about `--load_fast` and passes everything else on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if "load_fast" in text or "Serving TensorBoard on localhost" in text:
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
