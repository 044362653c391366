"""Addresses of storage that people write into experiment files and commands."""

from __future__ import annotations

import re
import urllib.parse

from drivereplay.errors import SpecError

_SECRET_KEYS = re.compile(r"secret|token|password|credential$|access_key|account_key|signature|^sig$", re.IGNORECASE)


def refuse_secrets(uri: str) -> None:
    """Refuse a URI that holds a password, a key or a token; other texts pass.

    Raises:
        SpecError: Without the secret in its message.
    """
    try:
        parts = urllib.parse.urlsplit(uri)
        keys = [key for key, _ in urllib.parse.parse_qsl(parts.query)]
    except ValueError as error:
        raise SpecError(
            f"The address of a storage is not a URI: {error}.", "Give a directory or a pyarrow filesystem URI."
        ) from error
    user, at, _ = parts.netloc.rpartition("@")
    found = next((key for key in keys if _SECRET_KEYS.search(key)), None)
    if found or (at and (":" in user or parts.scheme == "s3")):
        raise SpecError(
            f"{parts.scheme}://...: the URI holds a secret ({found or 'before the @'}) that specs and logs would show.",
            "Give it as the provider's environment variables (AWS_ACCESS_KEY_ID, ...) or as the machine's role.",
        )
