"""How many trials fit the cluster at a time, leaving every trial the CPUs that its own data tasks need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivereplay.errors import SpecError
from drivereplay.nodes import nodes_to_come
from drivereplay.spec import Spec


@dataclass(frozen=True)
class TrialResources:
    """What Ray Tune reserves for one trial, and how many run at a time.

    Attributes:
        cpus, gpus: Of the trial's own process. A trial with a worker group holds none: its workers ask for theirs.
        concurrent: Trials at a time.
    """

    cpus: float
    gpus: float
    concurrent: int

    @property
    def request(self) -> dict[str, float]:
        """As Ray Tune takes it."""
        return {"cpu": self.cpus, "gpu": self.gpus} if self.gpus else {"cpu": self.cpus}


def trial_resources(spec: Spec, nodes: Sequence[Mapping[str, float]]) -> TrialResources:
    """Fit trials to the nodes of a cluster.

    A trial needs `cpus_per_worker` for each worker and `decode_cpus` for at least one decoding task beside it. If
    trials held all CPUs, their decoding tasks would wait for CPUs that only the end of a trial gives back: for ever.
    On a machine too small for one worker and one task, the trial's share shrinks instead.

    Args:
        nodes: Resources of each node (`CPU`, `GPU`).

    Raises:
        SpecError: A trial asks for GPUs and there are not enough for one.
    """
    asked = spec.resources
    workers = spec.training.max_workers
    cpus, gpus, decode = asked.cpus_per_worker, asked.gpus_per_worker, max(asked.decode_cpus, 0.01)
    total = sum(node.get("CPU", 0.0) for node in nodes)
    if gpus and sum(math.floor(node.get("GPU", 0.0) / gpus + 1e-9) for node in nodes) < spec.training.min_workers:
        raise SpecError(
            f"resources.gpus_per_worker: a trial needs {gpus * workers:g} GPUs, "
            f"the cluster has {sum(node.get('GPU', 0.0) for node in nodes):g}.",
            "Ask for fewer, or join a cluster that has them.",
        )
    # a worker group's processes may lie on several nodes, a single process lies on one
    if workers > 1:
        fit = math.floor(min(total / (workers * cpus + decode), _ratio(nodes, "GPU", workers * gpus)) * asked.quota)
    else:
        each = [min(node.get("CPU", 0.0) / (cpus + decode), _ratio([node], "GPU", gpus)) for node in nodes]
        fit = math.floor(sum(math.floor(e + 1e-9) for e in each) * asked.quota + 1e-9)
    concurrent = max(1, min(fit, spec.search.concurrent or fit))
    own = 0.0 if workers > 1 else cpus
    largest = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    if workers == 1 and fit < 1 and largest:
        own = min(cpus, largest - min(decode, largest / 2))
    return TrialResources(own, gpus if workers == 1 else 0.0, concurrent)


def cluster_nodes() -> list[dict[str, float]]:
    """Resources of each living node of the connected cluster, and of those that its autoscaler may add."""
    import ray

    return [*(dict(node["Resources"]) for node in ray.nodes() if node["Alive"]), *nodes_to_come()]


def _ratio(nodes: Sequence[Mapping[str, float]], name: str, each: float) -> float:
    return sum(node.get(name, 0.0) for node in nodes) / each if each else math.inf
