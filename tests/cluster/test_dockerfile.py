"""The image: pinned, not root, one set of files for all nodes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

# where what Ray's providers import comes from
DISTRIBUTIONS = {
    "boto3": "boto3", "botocore": "botocore", "google": "google-auth", "google_auth_httplib2": "google-auth-httplib2",
    "googleapiclient": "google-api-python-client", "httplib2": "httplib2", "packaging": "packaging",
}  # fmt: skip
PROGRAMS = {"ssh": "openssh-client", "rsync": "rsync"}


@pytest.fixture(scope="module")
def instructions(project_root: Path) -> list[tuple[str, str]]:
    text = (project_root / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#"))).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def test_both_targets_exist_and_share_their_files(instructions: list[tuple[str, str]]) -> None:
    stages = [text for name, text in instructions if name == "FROM"]
    assert [stage.split(" AS ")[1] for stage in stages] == ["build", "cpu", "cuda"]
    assert stages[2].startswith("cpu ")


def test_the_base_is_pinned_and_fits_the_package(instructions: list[tuple[str, str]]) -> None:
    version = next(text for name, text in instructions if name == "ARG" and text.startswith("PYTHON="))
    assert re.fullmatch(r"PYTHON=3\.1[1-9]\.\d+-slim-\w+", version)
    assert not [text for name, text in instructions if name == "FROM" and "latest" in text]


def test_packages_come_from_the_tested_versions(instructions: list[tuple[str, str]]) -> None:
    installs = [text for name, text in instructions if name == "RUN" and "pip install" in text]
    assert all("constraints.txt" in text for text in installs)


def test_it_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    users = [text for name, text in instructions if name == "USER"]
    assert users and not users[-1].startswith(("root", "0"))


def test_every_file_that_is_copied_exists(instructions: list[tuple[str, str]], project_root: Path) -> None:
    copies = [text.split() for name, text in instructions if name == "COPY" and "--from" not in text]
    assert copies
    for words in copies:
        assert all((project_root / source).exists() for source in words[:-1]), words


def test_a_token_is_asked_for(instructions: list[tuple[str, str]]) -> None:
    assert any(name == "ENV" and "RAY_AUTH_MODE=token" in text for name, text in instructions)


def test_a_login_shell_finds_ray_and_drivereplay(instructions: list[tuple[str, str]], tmp_path: Path) -> None:
    """Debian's /etc/profile sets PATH anew, and the cluster launcher's commands run in a login shell."""
    directory = "/opt/drivereplay/bin"
    assert any(name == "ENV" and f"PATH={directory}:" in text for name, text in instructions)
    last = [text for name, text in instructions if name in ("RUN", "FROM")]
    line = next(found for text in last if (found := re.search(r"echo \S.* > (/etc/profile\.d/\S+\.sh)", text)))
    profile = tmp_path / "profile.sh"
    subprocess.run(["sh", "-c", line[0].replace(line[1], str(profile))], check=True)
    own = tmp_path / "own"
    own.mkdir()
    for name in ("ray", "drivereplay", "python"):
        (own / name).touch(mode=0o755)
    profile.write_text(profile.read_text(encoding="utf-8").replace(directory, str(own)), encoding="utf-8")
    script = f"PATH=/usr/local/bin:/usr/bin:/bin; . {profile}; command -v ray drivereplay python"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(own / name) for name in ("ray", "drivereplay", "python")]


class _Commands:
    """In place of subprocess: what Ray's launcher calls."""

    DEVNULL = subprocess.DEVNULL

    def __init__(self) -> None:
        self.said: list[list[str]] = []

    def check_output(self, command: list[str], **_: Any) -> bytes:
        self.said.append(command)
        return b"[]"

    def check_call(self, command: list[str], **_: Any) -> int:
        self.said.append(command)
        return 0


class _Provider:
    def internal_ip(self, node: str) -> str:
        return "127.0.0.1"


def test_the_programs_that_rays_launcher_calls_are_installed(
    instructions: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.autoscaler._private.command_runner import DockerCommandRunner, SSHCommandRunner

    monkeypatch.setattr(SSHCommandRunner, "_ensure_ssh_control_path", lambda self: None)
    commands = _Commands()
    runner = DockerCommandRunner(
        {"image": "drivereplay", "container_name": "drivereplay"}, log_prefix="", node_id="1", provider=_Provider(),
        auth_config={"ssh_user": "ubuntu"}, cluster_name="drivereplay", process_runner=commands, use_internal_ip=True,
    )  # fmt: skip
    mounts = {"~/ray_bootstrap_config.yaml": __file__}
    for remote, local in mounts.items():
        runner.run_rsync_up(local, remote, options={"docker_mount_if_possible": True})
    runner.run_init(as_head=True, file_mounts=mounts, sync_run_yet=True)
    runner.run("ray stop")

    # quoted once for each shell on the way
    text = "\n".join(re.sub("[\"']", "", " ".join(command)) for command in commands.said)
    assert "rsync -e docker exec -i" in text, "rsync is called in the container no more"
    assert re.search(r"docker exec -it +drivereplay /bin/bash -c bash --login .*ray stop", text), text
    # the head calls these from inside its container, to set up the workers
    called = {command[0] for command in commands.said}
    assert called == set(PROGRAMS)
    (install,) = [text for name, text in instructions if name == "RUN" and "apt-get install" in text]
    pinned = {word.split("=")[0] for word in install.split() if re.fullmatch(r"[a-z0-9.-]+=\S+", word)}
    assert {PROGRAMS[name] for name in called} <= pinned


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_head_can_ask_its_cloud_for_nodes(
    cloud: str, instructions: list[tuple[str, str]], project_root: Path
) -> None:
    import ray

    imported: set[str] = set()
    for path in (Path(ray.__file__).parent / "autoscaler" / "_private" / cloud).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    needed = {DISTRIBUTIONS[name] for name in imported - {"ray"} - sys.stdlib_module_names}

    pins = set(re.findall(r"^(\S+)==", (project_root / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert not needed - pins
    extras = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {re.split(r"[>=]", text)[0] for text in extras["optional-dependencies"]["cloud"]}
    assert extra & needed and extra <= pins
    assert any(name == "RUN" and "pip install" in text and ".[cloud]" in text for name, text in instructions)
