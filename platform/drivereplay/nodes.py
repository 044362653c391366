"""What the nodes of the cluster can do: found out before the first trial, on every node, by trying it."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from drivereplay.errors import SpecError
from drivereplay.session import ensure_ray
from drivereplay.storage import Storage

_PROBE_S = 120.0
_UNLIMITED = 64  # of a kind of node without a limit, as many as are worth planning for


@dataclass(frozen=True)
class Node:
    """What one node answered.

    Attributes:
        id: Ray's hexadecimal id.
        host: Its name and address.
        python: Version of its interpreter.
        ray: Version of its Ray.
        drivereplay: Version of this package there; empty if it cannot be imported.
        resources: Ray's resources of it, such as `{"CPU": 8, "GPU": 1}`.
        wrote: Whether it could write to the storage.
        saw: Ids of the nodes whose files it found in the storage.
        error: Why it could not; empty if it could.
    """

    id: str
    host: str
    python: str = ""
    ray: str = ""
    drivereplay: str = ""
    resources: dict[str, float] | None = None
    wrote: bool = False
    saw: tuple[str, ...] = ()
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `doctor --cluster --json` prints it."""
        return asdict(self)


def probe(storage: Storage) -> list[Node]:
    """Ask every node who it is, let each write a file to the storage, and let each look for the files of all.

    Args:
        storage: Where runs are kept.

    Returns:
        One entry for each node that is alive, the head first. A storage that only the head can see shows as nodes that
        saw their own file alone.
    """
    import ray

    ensure_ray()
    rows = [row for row in ray.nodes() if row["Alive"]]
    rows.sort(
        key=lambda row: ("node:__internal_head__" not in row["Resources"], row["NodeManagerAddress"], row["NodeID"])
    )
    place = storage.below(f".probe-{uuid.uuid4().hex}")
    try:
        introduced = _on_each(rows, _introduce, place)
        seen = _on_each(rows, _look, place)
        return [_joined(row, introduced[row["NodeID"]], seen[row["NodeID"]]) for row in rows]
    finally:
        # written by several nodes: each takes away what it can see
        _on_each(rows, _clear, place)


def require_shared(storage: Storage) -> None:
    """Refuse a storage that not every node of the connected cluster can write and see; nothing to do for one node.

    Raises:
        SpecError: The message names the nodes.
    """
    import ray

    if sum(row["Alive"] for row in ray.nodes()) < 2:
        return
    nodes = probe(storage)
    everyone = {node.id for node in nodes}
    blind = [node for node in nodes if node.error or set(node.saw) != everyone]
    if blind:
        reasons = "; ".join(f"{node.host}: {node.error or 'does not see the files of the others'}" for node in blind)
        raise SpecError(
            f"storage {storage.uri} is not one place for all {len(nodes)} nodes of the cluster: {reasons}.",
            "Set `storage` to a shared file system that is mounted everywhere, or to an object store.",
        )


def nodes_to_come() -> list[dict[str, float]]:
    """Resources of each node that an autoscaler may still add to the connected cluster; empty without an autoscaler."""
    import ray

    config = ray._private.state.state.get_cluster_config()
    if config is None:
        return []
    living = [_computing(row["Resources"]) for row in ray.nodes() if row["Alive"]]
    found: list[dict[str, float]] = []
    for group in config.node_group_configs:
        kind = _computing(dict(group.resources))
        most = group.max_count if group.max_count >= 0 else _UNLIMITED
        found += [kind] * max(0, most - living.count(kind))
    return found


def _computing(resources: dict[str, float]) -> dict[str, float]:
    return {name: float(resources[name]) for name in ("CPU", "GPU") if resources.get(name)}


def _on_each(rows: list[dict[str, Any]], function: Any, place: Storage) -> dict[str, dict[str, Any]]:
    """Results of `function(place, id)` by node id; a node that does not answer gives its error."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    started = {
        row["NodeID"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(row["NodeID"], soft=False)
        ).remote(place, row["NodeID"])
        for row in rows
    }
    results: dict[str, dict[str, Any]] = {}
    for node, reference in started.items():
        try:
            results[node] = ray.get(reference, timeout=_PROBE_S)
        except ray.exceptions.RayError as error:
            results[node] = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"}
    return results


def _introduce(place: Storage, node: str) -> dict[str, Any]:
    import platform

    import ray

    answer: dict[str, Any] = {"host": platform.node(), "python": platform.python_version(), "ray": ray.__version__}
    try:
        from drivereplay._version import __version__

        answer["drivereplay"] = __version__
        place.write(node, b"")
        answer["wrote"] = True
    except (OSError, ImportError) as error:
        answer["error"] = str(error)
    return answer


def _look(place: Storage, node: str) -> dict[str, Any]:
    try:
        return {"saw": tuple(place.names())}
    except OSError as error:
        return {"error": f"{node[:8]} cannot list the storage: {error}"}


def _clear(place: Storage, node: str) -> dict[str, Any]:
    try:
        place.delete("")
    except OSError as error:
        return {"error": str(error)}
    return {}


def _joined(row: dict[str, Any], introduced: dict[str, Any], seen: dict[str, Any]) -> Node:
    resources = {
        k: v for k, v in row["Resources"].items() if k in ("CPU", "GPU", "memory") or k.startswith("accelerator_")
    }
    answer = {**seen, **introduced, "error": introduced.get("error") or seen.get("error", "")}
    host = f"{answer.pop('host', row.get('NodeManagerHostname', ''))} ({row['NodeManagerAddress']})"
    return Node(id=row["NodeID"], host=host, resources=resources, **answer)
