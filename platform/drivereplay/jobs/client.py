"""Reaching a cluster's Jobs API: address, token and version, each with its own message when it is wrong."""

from __future__ import annotations

import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay.errors import DriveReplayError, SpecError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""Where Ray's dashboard, which serves the Jobs API, listens unless told otherwise."""
OLDEST_RAY = (2, 60)
"""The oldest Ray that runs this package; the same bound stands in pyproject.toml."""

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_AGENT_S = 90.0
_MOST_NODES = 10_000  # as many as Ray lists


def connect(address: str | None = None) -> JobSubmissionClient:
    """A client of the Jobs API.

    Args:
        address: `http(s)://host:port` of the head's dashboard, or `host:port` of it or of the cluster itself. None
            takes `RAY_API_SERVER_ADDRESS`, then `RAY_ADDRESS`, then the dashboard's usual place on this machine.

    Raises:
        SpecError: Nothing answers there in time, the token is missing or wrong, or the cluster's Ray is too old.
    """
    import requests
    from ray.exceptions import AuthenticationError

    from drivereplay.jobs.bounded import BoundedClient

    for name in ("modules.dashboard_sdk", "modules.job.sdk"):
        # Ray tells of each upload and each closed connection; here a job's log is what one wants to read
        logging.getLogger(f"ray.dashboard.{name}").setLevel(logging.WARNING)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.WARNING)
    url = _url(address or os.environ.get(_ADDRESS) or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS)
    token = find_token()
    headers = {"Authorization": f"Bearer {token}"} if token else None
    try:
        # Ray lets the environment overrule the address that it is called with
        with _environment(_ADDRESS, url):
            client = BoundedClient(url, headers=headers)
    except AuthenticationError as error:
        raise SpecError(_refused(url, bool(token)), _TOKEN_FIX) from error
    except (ConnectionError, requests.RequestException) as error:
        raise SpecError(f"No Ray cluster answers at {url}.", _ADDRESS_FIX) from error
    except (RuntimeError, ValueError, KeyError) as error:
        raise SpecError(f"What answers at {url} is no Ray Jobs API ({error}).", _ADDRESS_FIX) from error
    _check_version(url, str(client._server_ray_version))
    return client


def require_same_python(client: JobSubmissionClient) -> None:
    """Refuse a cluster with another Python than the one that packed the job and will read what it leaves.

    Raises:
        SpecError: Their minor versions differ.
        DriveReplayError: The cluster does not answer.
    """
    theirs = str(_asked(client, "/api/v0/cluster_metadata")["pythonVersion"])
    ours = platform.python_version()
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        raise SpecError(
            f"The cluster at {client._address} runs Python {theirs}; here it is Python {ours}.",
            "Call drivereplay from the cluster's Python, or start the cluster with this one.",
        )


def nodes_of(client: JobSubmissionClient) -> list[dict[str, float]]:
    """Resources of each living node, by Ray's names: `{"CPU": 8.0, "GPU": 1.0, ...}`.

    Raises:
        DriveReplayError: The cluster does not answer.
    """
    rows = _asked(client, f"/api/v0/nodes?limit={_MOST_NODES}")["result"]["result"]
    return [row["resources_total"] for row in rows if row["state"] == "ALIVE"]


def _asked(client: JobSubmissionClient, endpoint: str) -> dict[str, Any]:
    """The data of an answer of the dashboard's own API."""
    try:
        answer = client._do_request("GET", endpoint)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
    except (OSError, ValueError, KeyError) as error:
        raise raised(f"The cluster at {client._address} does not tell its {endpoint}", error) from error
    return data


def hand_over(client: JobSubmissionClient, **job: Any) -> str:
    """Submit a job, also to a cluster that has only just started.

    Args:
        client: From `connect`.
        job: As `JobSubmissionClient.submit_job` takes them.

    Returns:
        The submission id.

    Raises:
        RuntimeError: The cluster did not take it.
    """
    deadline = time.monotonic() + _AGENT_S
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            # the agent that starts drivers comes up some seconds after the dashboard
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
        threading.Event().wait(1.0)


def find_token() -> str | None:
    """The cluster's token, from where Ray itself looks for it; None if there is none or authentication is switched off.

    Raises:
        SpecError: `RAY_AUTH_TOKEN_PATH` names a file that cannot be read.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if mode == "disabled":
        return None
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    if not named and not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"The token file {path} cannot be read: {error}.", _TOKEN_FIX) from error


_ADDRESS_FIX = (
    "Give the address of the head's dashboard, such as --address http://head:8265 "
    "(on Kubernetes: kubectl port-forward service/<cluster>-head-svc 8265)."
)
_TOKEN_FIX = (
    "Set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with it; "
    "on the head `ray get-auth-token` prints the right one."
)


def _refused(url: str, had_token: bool) -> str:
    if had_token:
        return f"The cluster at {url} refused the token that was sent."
    return f"The cluster at {url} asks for a token and none was found."


def _url(address: str) -> str:
    """The dashboard's URL for any of the forms of an address.

    Raises:
        SpecError: The form is not known, or nothing listens there.
    """
    scheme, separator, _ = address.partition("://")
    if separator and scheme in {"http", "https"}:
        return address.rstrip("/")
    if separator:
        raise SpecError(f"--address {address}: the Jobs API speaks http, not '{scheme}'.", _ADDRESS_FIX)
    host, colon, port = address.rstrip("/").rpartition(":")
    if not colon or not port.isdigit():
        raise SpecError(f"--address {address} is neither a URL nor host:port.", _ADDRESS_FIX)
    try:
        # Ray's own look-up of a cluster address waits for minutes, then ends the process, where nothing listens
        with socket.create_connection((host, int(port)), timeout=5.0):
            pass
    except (OSError, OverflowError) as error:
        raise SpecError(f"No Ray cluster answers at {address}: {error}.", _ADDRESS_FIX) from error
    return f"http://{host}:{port}" if _speaks_http(host, int(port)) else _dashboard_of(address)


def _speaks_http(host: str, port: int) -> bool:
    """Whether a web server listens; the cluster's own port closes the connection at once.

    Raises:
        SpecError: What listens there does not answer at all.
    """
    import requests

    from drivereplay.jobs.bounded import GREETING_S

    try:
        requests.get(f"http://{host}:{port}/api/version", timeout=GREETING_S)
    except requests.Timeout as error:
        raise SpecError(f"No Ray cluster answers at {host}:{port}: {error}.", _ADDRESS_FIX) from error
    except requests.RequestException:
        return False
    return True


def _dashboard_of(address: str) -> str:
    """Ask the cluster itself (its GCS) where its dashboard is."""
    from ray.dashboard.utils import ray_address_to_api_server_url
    from ray.exceptions import AuthenticationError

    token = find_token()
    try:
        with _environment("RAY_AUTH_MODE", "token" if token else None):
            url: str = ray_address_to_api_server_url(address)
    except AuthenticationError as error:
        raise SpecError(_refused(address, bool(token)), _TOKEN_FIX) from error
    except (RuntimeError, ConnectionError, ValueError) as error:
        raise SpecError(f"The cluster at {address} does not name its dashboard: {error}.", _ADDRESS_FIX) from error
    return url


def _check_version(url: str, theirs: str) -> None:
    import ray

    numbers = tuple(int(part) for part in theirs.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_RAY:
        raise SpecError(
            f"The cluster at {url} runs Ray {theirs}; here it is Ray {ray.__version__}, and drivereplay needs "
            f"{'.'.join(map(str, OLDEST_RAY))} or newer.",
            f"Start the cluster with Ray {ray.__version__}.",
        )


def raised(what: str, error: Exception) -> DriveReplayError:
    """The error of a request to the Jobs API as one of ours."""
    last = (str(error).strip() or type(error).__name__).splitlines()[-1]
    return DriveReplayError(f"{what}: {last}.", "`drivereplay jobs` lists what the cluster knows.")


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """One environment variable set for a moment, because Ray reads its settings from there alone."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
