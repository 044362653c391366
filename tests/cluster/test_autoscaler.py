"""The cluster launcher's files, by Ray's own schema, checks and providers."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CLOUDS = ("aws", "gcp")
INSTALLS = ("setup_commands", "head_setup_commands", "worker_setup_commands")


def _text(root: Path, cloud: str) -> str:
    return (root / "cluster" / "autoscaler" / f"{cloud}.yaml").read_text(encoding="utf-8")


def _load(root: Path, cloud: str) -> Any:
    return yaml.safe_load(_text(root, cloud))


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
    text = _text(project_root, cloud).lower()
    assert not [word for word in ("aws_access_key", "aws_secret", "private_key", "password", "akia") if word in text]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_nothing_is_installed_on_a_node(cloud: str, project_root: Path) -> None:
    from ray.autoscaler._private.util import prepare_config

    config = _load(project_root, cloud)
    prepared = prepare_config(config)
    # the head prepares once more what it was given
    for found in (prepared, prepare_config(prepared)):
        assert [found[key] for key in INSTALLS] == [[], [], []]
    # otherwise Ray adds its own
    defaults = prepare_config({key: value for key, value in config.items() if key not in INSTALLS})
    assert any("pip install" in command for command in defaults["head_setup_commands"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_machine_is_named_and_has_what_torch_needs(cloud: str, project_root: Path) -> None:
    """What Ray takes where nothing is named is too old for the pinned torch."""
    for node in _load(project_root, cloud)["available_node_types"].values():
        config = node["node_config"]
        image = config["ImageId"] if cloud == "aws" else config["disks"][0]["initializeParams"]["sourceImage"]
        assert "nvidia" in image


@contextmanager
def mocked_aws() -> Iterator[None]:
    """moto's mock, without its resets: they would empty the object store that other tests keep in this process."""
    from moto import mock_aws

    mock = mock_aws()
    mock.start(reset=False)
    try:
        yield
    finally:
        mock.stop(remove_data=False)


def test_ray_adds_nodes_on_aws_with_the_rights_that_the_file_names(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own provider with a mock of EC2: as `ray up` first, then as the head."""
    import boto3
    from botocore.client import BaseClient
    from ray.autoscaler._private.aws import utils
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.util import prepare_config

    calls: set[str] = set()
    call = BaseClient._make_api_call

    def record(self: Any, operation: str, arguments: Any) -> Any:
        calls.add(f"{self.meta.service_model.service_name}:{operation}")
        return call(self, operation, arguments)

    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps the key pair that it makes
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # no other test meets the mock's
    config = prepare_config(_load(project_root, "aws"))
    types = config["available_node_types"]
    profiles = {name: node["node_config"]["IamInstanceProfile"] for name, node in types.items()}
    try:
        with mocked_aws():
            for profile in {profile["Name"] for profile in profiles.values()}:
                boto3.client("iam").create_instance_profile(InstanceProfileName=profile)
            monkeypatch.setattr(BaseClient, "_make_api_call", record)
            config = AWSNodeProvider.bootstrap_config(config)
            assert not [name for name in calls if name.startswith("iam:")], "Ray makes a role after all"
            calls.clear()
            provider = AWSNodeProvider(config["provider"], config["cluster_name"])
            tags = {"ray-node-kind": "worker", "ray-launch-config": "hash", "ray-node-name": "worker"}
            for name in ("gpu", "decode"):
                node = config["available_node_types"][name]["node_config"]
                provider.create_node(node, {**tags, "ray-user-node-type": name}, 1)
            nodes = provider.non_terminated_nodes({})
            assert len(nodes) == 2 and all(provider.is_running(node) for node in nodes)
            provider.set_node_tags(nodes[0], {"ray-node-status": "up-to-date"})
            provider.terminate_nodes(nodes)
    finally:
        utils.resource_cache.cache_clear()
        utils.client_cache.cache_clear()

    comment = "".join(line for line in _text(project_root, "aws").splitlines() if line.startswith("#"))
    start, end = comment.index("drivereplay-head  on the head"), comment.index("Who calls `ray up`")
    named = set(re.findall(r"(?:ec2|ssm|iam):\w+", comment[start:end]))
    # asked of Amazon on the way: for the image's address, and for the role that a worker is given
    assert named == calls | {"ssm:GetParameters", "iam:PassRole"}
    assert all(node["node_config"]["ImageId"].startswith("resolve:ssm:") for node in types.values())
    head = profiles.pop("head")
    assert head["Name"] == "drivereplay-head" and head not in profiles.values()


def test_the_head_on_google_cloud_keeps_the_account_that_ray_makes(project_root: Path) -> None:
    import ray

    source = (Path(ray.__file__).parent / "autoscaler" / "_private" / "gcp" / "config.py").read_text(encoding="utf-8")
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, (ast.Constant, ast.List))
    }
    comment = "".join(line for line in _text(project_root, "gcp").splitlines() if line.startswith("#"))
    assert f"{constants['RAY']}-sa-{constants['VERSION']}" in comment
    assert not [role for role in constants["DEFAULT_SERVICE_ACCOUNT_ROLES"] if role not in comment]
    types = _load(project_root, "gcp")["available_node_types"]
    # one that is named here would stand in its place, without its roles
    assert [name for name, node in types.items() if "serviceAccounts" not in node["node_config"]] == ["head"]


def test_the_container_on_google_cloud_can_read_the_token(project_root: Path, tmp_path: Path) -> None:
    from ray.autoscaler.sdk import get_docker_host_mount_location

    config = _load(project_root, "gcp")
    (inside,) = config["file_mounts"]
    outside = get_docker_host_mount_location(config["cluster_name"]) + inside
    (command,) = config["initialization_commands"]
    where = command.split()[1]
    assert outside.startswith(f"{where}/")
    # a node type's own commands take the place of the common ones
    own = [node.get("initialization_commands", [command]) for node in config["available_node_types"].values()]
    assert all(command in commands for commands in own)

    token = tmp_path / outside[len(where) + 1 :]
    key = tmp_path / config["cluster_name"] / "~" / "ray_bootstrap_key.pem"
    for file in (token, key):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o600)
    subprocess.run(["bash", "-c", command.replace(where, str(tmp_path))], check=True)
    assert token.stat().st_mode & 0o777 == 0o644
    assert key.stat().st_mode & 0o777 == 0o600, "ssh takes no key that others can read"
