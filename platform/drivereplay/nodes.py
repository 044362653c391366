"""What the nodes of the cluster can do: found out before the first trial, on every node, by trying it."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from drivereplay.errors import SpecError
from drivereplay.session import ensure_ray
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.spec import Spec

_PROBE_S = 120.0


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
    """Refuse a storage that not every node can write and see.

    Raises:
        SpecError: The message names the nodes.
    """
    nodes = probe(storage)
    everyone = {node.id for node in nodes}
    blind = [node for node in nodes if node.error or set(node.saw) != everyone]
    if blind:
        reasons = "; ".join(f"{node.host}: {node.error or 'does not see the files of the others'}" for node in blind)
        raise SpecError(
            f"storage {storage.uri} is not one place for all {len(nodes)} nodes of the cluster: {reasons}.",
            "Set `storage` to a shared file system that is mounted everywhere, or to an object store.",
        )


def require_resources(spec: Spec) -> None:
    """Refuse an experiment whose workers the cluster can never place.

    Raises:
        SpecError: The message has what is asked for and what there is.
    """
    import ray

    ensure_ray()
    asked = {"CPU": spec.resources.cpus_per_worker, "GPU": spec.resources.gpus_per_worker}
    if spec.resources.accelerator_type:
        asked[f"accelerator_type:{spec.resources.accelerator_type}"] = 0.001
    kinds = [row["Resources"] for row in ray.nodes() if row["Alive"]] + _node_types()
    if any(all(kind.get(name, 0.0) >= amount for name, amount in asked.items()) for kind in kinds):
        total = ray.cluster_resources()
        workers = spec.training.min_workers
        short = [name for name in ("CPU", "GPU") if not _node_types() and total.get(name, 0.0) < asked[name] * workers]
        if not short:
            return
        raise SpecError(
            f"{workers} workers ask for {_amounts({n: asked[n] * workers for n in short})}; "
            f"the cluster has {_amounts({n: total.get(n, 0.0) for n in short})}.",
            "Lower training.workers or resources, or enlarge the cluster.",
        )
    have = "; ".join(sorted({_amounts({n: kind.get(n, 0.0) for n in asked}) for kind in kinds})) or "no nodes"
    raise SpecError(
        f"A worker asks for {_amounts(asked)}, and no node has that: {have}.",
        "Lower resources.cpus_per_worker or gpus_per_worker, or add such a node.",
    )


def _node_types() -> list[dict[str, float]]:
    """Resources of the kinds of nodes that an autoscaler may still add; empty without one."""
    import ray

    config = ray._private.state.state.get_cluster_config()
    if config is None:
        return []
    return [dict(group.resources) for group in config.node_group_configs]


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in resources.items())


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
