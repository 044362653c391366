"""What the nodes can do, found out by trying it on each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster.local.cluster import running
from tests.training.helpers import small_spec

from drivereplay import nodes as nodes_module
from drivereplay._version import __version__
from drivereplay.errors import SpecError
from drivereplay.nodes import Node, cluster_nodes, nodes_to_come, probe, require_room, require_shared
from drivereplay.spec import with_values
from drivereplay.storage import Storage


def test_a_node_writes_sees_and_says_who_it_is(ray_session: None, tmp_path: Path) -> None:
    import ray

    (node,) = probe(Storage.of(tmp_path))
    assert node.wrote and node.saw == (node.id,) and node.error == ""
    assert (node.ray, node.drivereplay) == (ray.__version__, __version__)
    assert node.resources is not None and node.resources["CPU"] == 4
    assert list(tmp_path.iterdir()) == [], "the probe stays behind"


def test_a_storage_that_cannot_be_written_is_the_nodes_answer(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (node,) = probe(Storage.of(tmp_path / "file" / "runs"))
    assert not node.wrote and "Not a directory" in node.error


def test_one_node_needs_no_shared_storage(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    require_shared(Storage.of(tmp_path / "file" / "runs"))


def test_nodes_that_an_autoscaler_may_add_count(ray_session: None) -> None:
    """As the autoscaler of KubeRay tells the control store."""
    import ray
    from ray._raylet import GCS_AUTOSCALER_CLUSTER_CONFIG_KEY, GCS_AUTOSCALER_STATE_NAMESPACE
    from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

    assert nodes_to_come() == []
    groups = [
        NodeGroupConfig(name="gpu", resources={"CPU": 8, "GPU": 1, "accelerator_type:T4": 1}, min_count=0, max_count=2),
        NodeGroupConfig(name="like-this-one", resources={"CPU": 4}, min_count=0, max_count=2),
    ]
    store = ray._private.worker.global_worker.gcs_client
    key = GCS_AUTOSCALER_CLUSTER_CONFIG_KEY.encode()
    space = GCS_AUTOSCALER_STATE_NAMESPACE.encode()
    store.internal_kv_put(key, ClusterConfig(node_group_configs=groups).SerializeToString(), True, space)
    try:
        to_come = [{"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0}] * 2 + [{"CPU": 4.0}]
        assert nodes_to_come() == to_come
        # what may come counts as room, for trials and for worker groups
        assert cluster_nodes()[1:] == to_come
        on_gpus = {"resources.gpus_per_worker": 1, "training.workers": 2, "training.batch_size": 2}
        require_room(with_values(small_spec(), on_gpus), cluster_nodes())
    finally:
        store.internal_kv_del(key, False, space)


def test_a_storage_that_only_the_head_can_see_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The decision alone; the slow test below has the real thing."""
    import ray

    answers = [
        Node("a", "head (10.0.0.1)", wrote=True, saw=("a",)),
        Node("b", "worker (10.0.0.2)", wrote=True, saw=("b",)),
        Node("c", "other (10.0.0.3)", error="[Errno 30] Read-only file system"),
    ]
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}] * 3)
    monkeypatch.setattr(nodes_module, "probe", lambda storage: answers)
    with pytest.raises(SpecError, match="not one place for all 3 nodes") as caught:
        require_shared(Storage.of(tmp_path))
    assert "worker (10.0.0.2): does not see the files of the others" in caught.value.what
    assert "other (10.0.0.3): [Errno 30] Read-only file system" in caught.value.what
    answers[:] = [Node(i, i, wrote=True, saw=("a", "b")) for i in "ab"]
    require_shared(Storage.of(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_real_nodes_one_of_which_has_another_disk(tmp_path: Path) -> None:
    """The second node's processes have a tmpfs of their own where the storage is, as an unmounted NFS would be."""
    if os.geteuid() != 0:
        pytest.skip("a mount of its own for one node needs root")
    storage = tmp_path / "runs"
    storage.mkdir()
    with running(nodes=1, cpus=1) as cluster:
        environment = _client(cluster)
        assert "ok" in _required(storage, environment)
        prefix = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {storage} && exec "$@"', "sh"]
        cluster.add_node(cpus=1, prefix=prefix)
        said = _required(storage, environment)
    assert "is not one place for all 2 nodes" in said and "does not see the files of the others" in said


def _client(cluster: Any) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**clean, **cluster.environment, "RAY_ADDRESS": cluster.gcs}


def _required(storage: Path, environment: dict[str, str]) -> str:
    code = (
        "from drivereplay.session import ensure_ray; from drivereplay.nodes import require_shared\n"
        f"from drivereplay.storage import Storage; ensure_ray(); require_shared(Storage.of({str(storage)!r}))\n"
        "print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
