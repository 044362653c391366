"""The Kubernetes manifests: only fields that the CRDs know, and the promises that the comments make."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

# Names of KubeRay's ray.io/v1 fields, and of the Pod fields, that the manifests use. The files were also compared with
# the whole CRDs of KubeRay 1.7 (openAPIV3Schema, unknown fields refused) when they were written.
_RESOURCES: Any = {"requests": dict, "limits": dict}
_CONTAINER: Any = {
    "name": str, "image": str, "ports": [{"containerPort": int, "name": str}], "resources": _RESOURCES,
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}  # fmt: skip
_POD: Any = {
    "spec": {
        "priorityClassName": str,
        "securityContext": {"runAsNonRoot": bool, "runAsUser": int, "fsGroup": int},
        "tolerations": [{"key": str, "operator": str, "effect": str}],
        "containers": [_CONTAINER],
        "volumes": [
            {
                "name": str,
                "persistentVolumeClaim": {"claimName": str},
                "configMap": {"name": str},
                "emptyDir": {"medium": str, "sizeLimit": str},
            }
        ],
    }
}
_CLUSTER: Any = {
    "rayVersion": str,
    "authOptions": {"mode": str, "secretName": str},
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": {"version": str, "idleTimeoutSeconds": int},
    "headGroupSpec": {"rayStartParams": {"*": str}, "template": _POD},
    "workerGroupSpecs": [
        {
            "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int,
            "rayStartParams": {"*": str}, "template": _POD,
        }
    ],
}  # fmt: skip
_JOB: Any = {
    "backoffLimit": int, "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int, "entrypoint": str,
    "rayClusterSpec": _CLUSTER,
}  # fmt: skip


def _wrong(value: Any, shape: Any, path: str) -> list[str]:
    if isinstance(shape, type):
        return (
            []
            if isinstance(value, shape) and not (shape is int and isinstance(value, bool))
            else [f"{path}: {value!r}"]
        )
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [w for n, item in enumerate(value) for w in _wrong(item, shape[0], f"{path}[{n}]")]
    if not isinstance(value, dict):
        return [f"{path}: no mapping"]
    found = []
    for key, inner in value.items():
        wanted = shape.get(key, shape.get("*"))
        found += [f"{path}.{key}: unknown"] if wanted is None else _wrong(inner, wanted, f"{path}.{key}")
    return found


@pytest.fixture(scope="module")
def manifests(project_root: Path) -> dict[str, Any]:
    folder = project_root / "cluster" / "kuberay"
    return {
        "cluster": yaml.safe_load((folder / "raycluster.yaml").read_text(encoding="utf-8")),
        "job": yaml.safe_load((folder / "rayjob.yaml").read_text(encoding="utf-8")),
        "storage": list(yaml.safe_load_all((folder / "storage.yaml").read_text(encoding="utf-8"))),
    }


@pytest.fixture(scope="module", params=["cluster", "job"])
def spec(request: pytest.FixtureRequest, manifests: dict[str, Any]) -> Any:
    spec = manifests[request.param]["spec"]
    return spec["rayClusterSpec"] if request.param == "job" else spec


def test_only_fields_that_the_crds_know(manifests: dict[str, Any]) -> None:
    assert _wrong(manifests["cluster"]["spec"], _CLUSTER, "spec") == []
    assert _wrong(manifests["job"]["spec"], _JOB, "spec") == []
    assert {(manifests[k]["apiVersion"], manifests[k]["kind"]) for k in ("cluster", "job")} == {
        ("ray.io/v1", "RayCluster"), ("ray.io/v1", "RayJob"),
    }  # fmt: skip


def test_a_misspelt_field_would_be_found(manifests: dict[str, Any]) -> None:
    spec = {**manifests["cluster"]["spec"], "autoscalerOption": {}, "rayVersion": 2.6}
    assert _wrong(spec, _CLUSTER, "spec") == ["spec.rayVersion: 2.6", "spec.autoscalerOption: unknown"]


def test_nobody_gets_in_without_a_token(spec: Any) -> None:
    assert spec["authOptions"]["mode"] == "token"


def test_the_ray_is_the_one_that_is_pinned(spec: Any, project_root: Path) -> None:
    pinned = re.search(r"^ray==(.+)$", (project_root / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None and spec["rayVersion"] == pinned[1]


def _pods(spec: Any) -> dict[str, Any]:
    groups = {group["groupName"]: group["template"]["spec"] for group in spec["workerGroupSpecs"]}
    return {"head": spec["headGroupSpec"]["template"]["spec"], **groups}


def test_the_head_runs_no_trials_and_goes_last(spec: Any, manifests: dict[str, Any]) -> None:
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    values = {d["metadata"]["name"]: d["value"] for d in manifests["storage"] if d["kind"] == "PriorityClass"}
    priorities = {name: values[pod["priorityClassName"]] for name, pod in _pods(spec).items()}
    assert priorities["head"] > max(value for name, value in priorities.items() if name != "head")


def test_every_node_sees_the_one_storage(spec: Any, manifests: dict[str, Any]) -> None:
    claim = next(d for d in manifests["storage"] if d["kind"] == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in _pods(spec).values():
        volume = next(v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v)
        assert claim["metadata"]["name"] in {
            v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v
        }
        assert {"name": volume, "mountPath": "/storage"} in pod["containers"][0]["volumeMounts"]


def test_every_mount_has_its_volume(spec: Any) -> None:
    for pod in _pods(spec).values():
        names = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for c in pod["containers"] for mount in c["volumeMounts"]} == names


def test_nothing_runs_as_root(spec: Any) -> None:
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in _pods(spec).values())


def test_both_kinds_of_workers_grow_and_only_one_takes_gpus(spec: Any) -> None:
    assert spec["enableInTreeAutoscaling"] is True
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == {"gpu", "cpu"}
    for name, group in groups.items():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in limits) == (name == "gpu")
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def _images(text: str) -> set[str]:
    return set(re.findall(r"^ *image: (.*drivereplay:.+?)(?: +#.*)?$", text, re.MULTILINE))


def test_the_page_builds_every_image_and_gives_it_its_name(project_root: Path, tmp_path: Path) -> None:
    page = (project_root / "platform" / "docs" / "cluster.md").read_text(encoding="utf-8")
    built = dict(re.findall(r"^docker build .*--target (\S+) -t (.+?/\S+) \.", page, re.MULTILINE))
    stages = (project_root / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    assert set(built) <= set(re.findall(r" AS (\w+)$", stages, re.MULTILINE))
    assert all(f"docker push {name}" in page for name in built.values())

    (rename,) = re.findall(r"^sed -i .*", page, re.MULTILINE)
    *words, files = shlex.split(rename)
    copies = []
    for path in project_root.glob(files):
        copies.append(tmp_path / path.name)
        copies[-1].write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([*words, *map(str, copies)], check=True)
    renamed = {image for copy in copies for image in _images(copy.read_text(encoding="utf-8"))}
    assert renamed == set(built.values()) and len(renamed) == 2


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 0), (130, 130)])
def test_a_job_that_starts_again_resumes_unless_the_experiment_is_wrong(
    manifests: dict[str, Any], tmp_path: Path, code: int, ends: int
) -> None:
    """KubeRay makes a new cluster for each try of a job that failed, and runs its entrypoint with a shell."""
    job = manifests["job"]["spec"]
    assert job["backoffLimit"] > 0
    (tmp_path / "python").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {code}\n', encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", job["entrypoint"]], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == ends
    assert ("REFUSED" in done.stdout) == (code == 2)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").split()
    assert asked[:3] == ["-m", "drivereplay", "sweep"] and asked[-1] == "--resume" and "storage=/storage/runs" in asked


def test_two_jobs_beside_each_other_have_an_experiment_each(project_root: Path) -> None:
    text = (project_root / "cluster" / "kuberay" / "rayjob.yaml").read_text(encoding="utf-8")
    (rename,) = re.findall(r"^# +sed '(.+?)'", text, re.MULTILINE)
    jobs = []
    for name in ("dashcam", "town"):
        command = ["sed", rename.replace("dashcam", name)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        job = yaml.safe_load(done.stdout)
        volumes = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"]
        maps = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
        jobs.append((job["metadata"]["generateName"], *maps))
    assert jobs == [("drivereplay-dashcam-", "drivereplay-dashcam"), ("drivereplay-town-", "drivereplay-town")]


def documents(project_root: Path, folder: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl (Debian: kubernetes-client) is not installed")
    command = ["kubectl", "kustomize", str(project_root / "cluster" / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_one_command_applies_the_whole_cluster(project_root: Path, manifests: dict[str, Any]) -> None:
    kinds = {(document["kind"], document["metadata"]["name"]) for document in documents(project_root, "kuberay")}
    assert {("RayCluster", "drivereplay"), ("NetworkPolicy", "drivereplay")} <= kinds
    assert {("PersistentVolumeClaim", "drivereplay-storage"), ("PriorityClass", "drivereplay-head")} <= kinds


def test_the_control_store_can_outlive_the_head(project_root: Path) -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents(project_root, "kuberay-fault-tolerant")}
    options = found["RayCluster", "drivereplay"]["spec"]["gcsFaultToleranceOptions"]
    host, port = options["redisAddress"].split(":")
    service = found["Service", host]["spec"]
    assert int(port) in {entry["port"] for entry in service["ports"]}
    pods = found["StatefulSet", "drivereplay-redis"]["spec"]["template"]
    assert service["selector"].items() <= pods["metadata"]["labels"].items()
    # the same secret on both sides, and nobody but Ray's pods gets there
    secret = options["redisPassword"]["valueFrom"]["secretKeyRef"]
    assert secret == pods["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]
    assert found["NetworkPolicy", "drivereplay-redis"]["spec"]["ingress"][0]["ports"] == [
        {"protocol": "TCP", "port": 6379}
    ]


def test_metrics_reach_prometheus_and_nobody_else(project_root: Path, spec: Any) -> None:
    folder = project_root / "cluster" / "kuberay"
    monitor = yaml.safe_load((folder / "monitoring.yaml").read_text(encoding="utf-8"))
    policy = yaml.safe_load((folder / "network.yaml").read_text(encoding="utf-8"))
    named = {
        port["name"]: port["containerPort"] for pod in _pods(spec).values() for port in pod["containers"][0]["ports"]
    }
    scraped = {named[endpoint["port"]] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    # 8080 is KubeRay's --metrics-export-port, the others are Ray's AUTOSCALER_METRIC_PORT and DASHBOARD_METRIC_PORT
    assert scraped == {8080, 44217, 44227}
    assert all("metrics" in {port["name"] for port in pod["containers"][0]["ports"]} for pod in _pods(spec).values())
    rules = policy["spec"]["ingress"]
    allowed = [rule for rule in rules if {p["port"] for p in rule.get("ports", ())} & scraped]
    assert len(allowed) == 1 and "prometheus" in str(allowed[0]["from"])
    # a rule without ports opens all of them: to Ray's own pods alone
    (everything,) = [rule for rule in rules if "ports" not in rule]
    assert everything["from"] == [{"podSelector": policy["spec"]["podSelector"]}]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
