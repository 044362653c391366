"""An end to waiting for the Jobs API."""

from __future__ import annotations

from typing import Any

import pytest

from drivereplay.jobs.bounded import BoundedClient, limits_s


def test_an_upload_has_time_for_its_size() -> None:
    assert limits_s(0) == (10.0, 60.0)
    assert limits_s(512 * 1024**2)[0] > 3600


def test_every_request_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def request(self: Any, method: str, endpoint: str, **options: Any) -> None:
        given.append((endpoint, options["timeout"]))

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient._do_request", request)
    client = BoundedClient.__new__(BoundedClient)
    client._do_request("GET", "/api/version")
    client._do_request("PUT", "/api/packages/gcs/x.zip", data=bytes(100_000))
    client._do_request("POST", "/api/jobs/", json_data={})
    assert [limit for _, limit in given] == [(5.0, 10.0), (11.0, 60.0), (10.0, 60.0)]
