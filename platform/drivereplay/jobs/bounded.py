"""Ray's client of the Jobs API, with an end to its waiting."""

from __future__ import annotations

from typing import Any

from ray.job_submission import JobSubmissionClient

GREETING_S = (5.0, 10.0)
"""For the connection, and for the answer to the question who is there."""

_CONNECT_S = 10.0
_ANSWER_S = 60.0
_SLOWEST_BYTES_PER_S = 100_000.0


class BoundedClient(JobSubmissionClient):
    """Ray sets no limit of its own: a server that takes a connection and never answers would be waited for for ever.

    A request that takes too long ends as `requests.Timeout`, which is an `OSError`.
    """

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        limits = GREETING_S if endpoint == "/api/version" else limits_s(len(options.get("data") or b""))
        return super()._do_request(method, endpoint, timeout=limits, **options)


def limits_s(body_bytes: int) -> tuple[float, float]:
    """Seconds until a request has been sent, and until it is answered; `requests` counts sending with connecting."""
    return _CONNECT_S + body_bytes / _SLOWEST_BYTES_PER_S, _ANSWER_S
