from __future__ import annotations

import pytest

from drivereplay.errors import ProtocolError
from drivereplay.evaluation.protocol import Protocol

FIELDS = {"clips": {"count": 4, "digest": "ab"}, "fps": 8.0, "metrics": {"fidelity.psnr": {"range": 255}}}


def test_the_hash_is_of_the_content_and_not_of_the_order() -> None:
    turned = dict(reversed(list(FIELDS.items())))
    assert Protocol(FIELDS).hash == Protocol(turned).hash
    assert len(Protocol(FIELDS).hash) == 16
    assert Protocol(FIELDS).hash != Protocol({**FIELDS, "fps": 10.0}).hash


def test_a_refusal_names_the_fields_that_differ() -> None:
    other = Protocol({**FIELDS, "fps": 10.0, "metrics": {"fidelity.psnr": {"range": 1}}})
    assert Protocol(FIELDS).differences(other) == {"fps": (8.0, 10.0), "metrics.fidelity.psnr.range": (255, 1)}
    with pytest.raises(ProtocolError, match=r"fps: 8\.0 against 10\.0; metrics\.fidelity\.psnr\.range") as caught:
        Protocol(FIELDS).require_same(other)
    assert caught.value.exit_code == 2
    Protocol(FIELDS).require_same(Protocol(dict(FIELDS)))


def test_a_field_that_one_side_lacks_is_a_difference() -> None:
    assert Protocol({"a": 1}).differences(Protocol({})) == {"a": (1, None)}
