"""How many trials fit the cluster at a time, leaving every trial the CPUs that its own data tasks need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivereplay.nodes import accelerator_resource, offers, require_room
from drivereplay.spec import Spec

_TRACE = 0.001


@dataclass(frozen=True)
class TrialResources:
    """What Ray Tune reserves for one trial, and how many run at a time.

    Attributes:
        cpus, gpus: Of the trial's own process. A trial with a worker group holds none: its workers ask for theirs.
        concurrent: Trials at a time.
        accelerator: Ray's name of the type of GPU, if one is asked for.
    """

    cpus: float
    gpus: float
    concurrent: int
    accelerator: str | None = None

    @property
    def request(self) -> dict[str, float]:
        """As Ray Tune takes it."""
        if not self.gpus:
            return {"cpu": self.cpus}
        # a trace of the resource that only nodes with such a GPU have, as Ray itself asks for it
        kind = {accelerator_resource(self.accelerator): _TRACE} if self.accelerator else {}
        return {"cpu": self.cpus, "gpu": self.gpus, **kind}


def trial_resources(spec: Spec, nodes: Sequence[Mapping[str, float]]) -> TrialResources:
    """Fit trials to the nodes of a cluster.

    A trial needs `cpus_per_worker` for each worker and `decode_cpus` for at least one decoding task beside it. If
    trials held all CPUs, their decoding tasks would wait for CPUs that only the end of a trial gives back: for ever.
    On a machine too small for one worker and one task, the trial's share shrinks instead.

    Args:
        nodes: Resources of each node (`CPU`, `GPU`, `accelerator_type:…`).

    Raises:
        SpecError: The nodes cannot hold one trial.
    """
    require_room(spec, nodes)
    asked = spec.resources
    workers = spec.training.max_workers
    cpus, gpus, decode = asked.cpus_per_worker, asked.gpus_per_worker, max(asked.decode_cpus, 0.01)
    total = sum(node.get("CPU", 0.0) for node in nodes)
    # data tasks run on any node, trials only on those with the right GPUs
    nodes = [node for node in nodes if offers(spec, node)]
    # a worker group's processes may lie on several nodes, a single process lies on one
    if workers > 1:
        fit = math.floor(min(total / (workers * cpus + decode), _ratio(nodes, "GPU", workers * gpus)) * asked.quota)
    else:
        each = [min(node.get("CPU", 0.0) / (cpus + decode), _ratio([node], "GPU", gpus)) for node in nodes]
        fit = math.floor(sum(math.floor(e + 1e-9) for e in each) * asked.quota + 1e-9)
    concurrent = max(1, min(fit, spec.search.concurrent or fit))
    own = 0.0 if workers > 1 else cpus
    if workers == 1 and fit < 1:
        largest = max(node.get("CPU", 0.0) for node in nodes if node.get("GPU", 0.0) >= gpus)
        own = min(cpus, largest - min(decode, largest / 2))
    return TrialResources(own, gpus if workers == 1 else 0.0, concurrent, asked.accelerator_type)


def _ratio(nodes: Sequence[Mapping[str, float]], name: str, each: float) -> float:
    return sum(node.get(name, 0.0) for node in nodes) / each if each else math.inf
