"""Secrets in addresses."""

from __future__ import annotations

import pytest

from drivereplay.addresses import refuse_secrets
from drivereplay.errors import SpecError


@pytest.mark.parametrize("text", ["runs", "s3://bucket/runs?region=eu-central-1", "hdfs://ann@head/runs", "org/name"])
def test_addresses_without_a_secret_pass(text: str) -> None:
    refuse_secrets(text)


@pytest.mark.parametrize("text", ["s3://KEY@bucket/x", "s3://b/x?session_token=sesame", "https://ann:sesame@host/x"])
def test_a_secret_is_named_by_its_place_only(text: str) -> None:
    with pytest.raises(SpecError, match=r"session_token|before the @") as caught:
        refuse_secrets(text)
    assert "sesame" not in str(caught.value)
