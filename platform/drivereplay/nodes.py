"""What the nodes of the cluster can do: found out before the first trial, on every node, by trying it."""

from __future__ import annotations

import logging
import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drivereplay.errors import SpecError
from drivereplay.session import ensure_ray
from drivereplay.spec import Spec
from drivereplay.storage import Storage

logger = logging.getLogger(__name__)

_PROBE_S = 120.0
_LEAST_CPUS = 0.01  # a task that asks for none still waits for a worker process
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


def cluster_nodes() -> list[dict[str, float]]:
    """Resources of each living node of the connected cluster, and of those that its autoscaler may add."""
    import ray

    return [*(dict(row["Resources"]) for row in ray.nodes() if row["Alive"]), *nodes_to_come()]


def require_room(spec: Spec, nodes: Sequence[Mapping[str, float]]) -> None:
    """Refuse a trial whose workers, and one decoding task beside a group of them, the nodes can never hold.

    A group that took all CPUs would wait for ever for the clips that its own decoding tasks have no CPU to make.

    Args:
        nodes: Resources of each node, as `cluster_nodes` gives them.

    Raises:
        SpecError: Says what is needed and what there is.
    """
    asked = spec.resources
    needed = spec.training.min_workers
    room = room_for_workers(spec, nodes)
    if room >= needed:
        idle = sum(node.get("GPU", 0.0) for node in nodes)
        if idle and not asked.gpus_per_worker and spec.training.device != "cpu":
            logger.warning("%g GPUs stay idle: resources.gpus_per_worker is 0, so trials run on CPUs.", idle)
        return
    each = f"{asked.cpus_per_worker:g} CPUs"
    if asked.gpus_per_worker:
        kind = f" ({asked.accelerator_type})" if asked.accelerator_type else ""
        each += f" and {asked.gpus_per_worker:g} GPUs{kind}"
    each += " each"
    if spec.training.max_workers > 1:
        each += f" and {asked.decode_cpus:g} CPUs for decoding beside them"
    kinds = Counter(_described(node) for node in nodes)
    has = ", ".join(f"{count} nodes of {kind}" if count > 1 else f"a node of {kind}" for kind, count in kinds.items())
    raise SpecError(
        f"resources: a trial needs {needed} workers with {each}, and the cluster has room for {room}: {has}.",
        "Lower training.workers or what `resources` asks for each, or join a larger cluster.",
    )


def room_for_workers(spec: Spec, nodes: Sequence[Mapping[str, float]]) -> int:
    """Workers that the empty nodes can hold, with the CPUs of a decoding task left free beside a group of them."""
    room = sum(_places(spec, node) for node in nodes)
    if spec.training.max_workers == 1:
        return room  # its process gives way to its decoding tasks where a machine is that small
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    least = max(spec.resources.decode_cpus, _LEAST_CPUS)
    return min(room, math.floor((cpus - least) / spec.resources.cpus_per_worker + 1e-9))


def offers(spec: Spec, node: Mapping[str, float]) -> bool:
    """Whether a node has the kind of GPU that is asked for, if one is."""
    wanted = spec.resources.accelerator_type
    return not spec.resources.gpus_per_worker or wanted is None or accelerator_resource(wanted) in node


def accelerator_resource(name: str) -> str:
    """Ray's resource that a node with this type of GPU has."""
    return f"accelerator_type:{name}"


def _places(spec: Spec, node: Mapping[str, float]) -> int:
    """Workers that an empty node can hold."""
    cpus, gpus = spec.resources.cpus_per_worker, spec.resources.gpus_per_worker
    if not offers(spec, node):
        return 0
    fits = node.get("CPU", 0.0) / cpus
    if gpus:
        fits = min(fits, node.get("GPU", 0.0) / gpus)
    return math.floor(fits + 1e-9)


def _described(node: Mapping[str, float]) -> str:
    types = [name.partition(":")[2] for name in node if name.startswith(accelerator_resource(""))]
    gpus = f" and {node['GPU']:g} GPUs" if node.get("GPU") else ""
    return f"{node.get('CPU', 0.0):g} CPUs{gpus}" + (f" ({', '.join(types)})" if types else "")


def nodes_to_come() -> list[dict[str, float]]:
    """Resources of each node that an autoscaler may still add to the connected cluster; empty without an autoscaler."""
    import ray

    config = ray._private.state.state.get_cluster_config()
    if config is None:
        return []
    living = [_computing(row["Resources"]) for row in ray.nodes() if row["Alive"]]
    found: list[dict[str, float]] = []
    for group in config.node_group_configs:
        resources = dict(group.resources)
        most = group.max_count if group.max_count >= 0 else _UNLIMITED
        # Ray's name of the GPU is found out by a node when it starts: a group may not say it
        types = {name: float(count) for name, count in resources.items() if name.startswith(accelerator_resource(""))}
        kind = _computing(resources)
        found += [kind | types] * max(0, most - living.count(kind))
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
