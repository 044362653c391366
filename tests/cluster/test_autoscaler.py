"""The cluster launcher's files, by Ray's own schema and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CLOUDS = ("aws", "gcp")


def _load(root: Path, cloud: str) -> Any:
    return yaml.safe_load((root / "cluster" / "autoscaler" / f"{cloud}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rays_own_checks_accept_the_file(cloud: str, project_root: Path) -> None:
    import ray
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = _load(project_root, cloud)
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "max_wrokers": 1}, schema)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_node_has_the_token_and_asks_for_it(cloud: str, project_root: Path) -> None:
    config = _load(project_root, cloud)
    (path,) = config["file_mounts"]
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        start = next(command for command in commands if "ray start" in command)
        assert f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={path}" in start


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_dashboard_is_only_reached_through_a_tunnel(cloud: str, project_root: Path) -> None:
    start = " ".join(_load(project_root, cloud)["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_head_runs_no_trials_and_the_sums_agree(cloud: str, project_root: Path) -> None:
    config = _load(project_root, cloud)
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert config["max_workers"] == sum(t.get("max_workers", 0) for t in types.values())
    assert sum("GPU" in t["resources"] for t in types.values()) == 1


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_key_stands_in_the_file(cloud: str, project_root: Path) -> None:
    text = (project_root / "cluster" / "autoscaler" / f"{cloud}.yaml").read_text(encoding="utf-8").lower()
    assert not [word for word in ("aws_access_key", "aws_secret", "private_key", "password", "akia") if word in text]
