"""The description of the experiment file is that of the experiment file."""

from __future__ import annotations

from drivereplay.api.keys import describe_keys
from drivereplay.spec import Spec, TrainingSpec


def test_every_key_is_described_under_its_dotted_name() -> None:
    rows = {row["key"]: row for row in describe_keys()}
    assert set(Spec.model_fields) <= set(rows)
    assert {f"training.{name}" for name in TrainingSpec.model_fields} <= set(rows)
    assert "training.retention.ewc" in rows and "replay.domains.N.weight" in rows
    assert all(row["meaning"] for key, row in rows.items() if key.startswith("training."))
    assert rows["training.batch_size"]["default"] == "16"
