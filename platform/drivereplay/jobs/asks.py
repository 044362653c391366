"""What a job's driver asks of the cluster: nothing where it only hands out work, else what its own process needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from drivereplay.jobs.packaging import Package, without_sets
from drivereplay.nodes import accelerator_resource
from drivereplay.spec import Spec, load_spec

_TRACE = 0.001  # of a resource that says what a node is
_TASK_CPUS = 1.0


def driver_asks(arguments: Sequence[str], package: Package) -> dict[str, float]:
    """Resources of the driver, by Ray's names; empty for one that only hands out work.

    `train` with one worker, `evaluate CHECKPOINT` and `generate` work with the model in the driver's own process. Ray
    starts a driver that asks for something on a node that has it, and any other on the head.

    Args:
        arguments: The verb and its arguments, as on this machine; a checkpoint that cannot be seen from here asks for
            nothing.
        package: What was packed for them.
    """
    spec = _worked_on(arguments, package)
    if spec is None or "--dry-run" in arguments:
        return {}
    asked = spec.resources
    asks = {"CPU": asked.cpus_per_worker}
    if asked.gpus_per_worker and spec.training.device != "cpu":
        asks["GPU"] = asked.gpus_per_worker
        if asked.accelerator_type:
            asks[accelerator_resource(asked.accelerator_type)] = _TRACE
    return asks


def fitted(asks: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a driver asks, with fewer CPUs where it would else hold those that it waits for.

    The driver's tasks (worlds, probing, decoding) take up to one CPU each. If it held all CPUs of the cluster, they
    would wait for its end, and it for theirs.

    Args:
        asks: From `driver_asks`.
        nodes: Resources of each living node. Where none has what else is asked for, one has yet to join, and `asks`
            stays as it is.
    """
    largest = max((node.get("CPU", 0.0) for node in nodes if _has(node, asks, besides="CPU")), default=0.0)
    if not largest:
        return dict(asks)
    total = sum(node.get("CPU", 0.0) for node in nodes)
    cpus = min(asks["CPU"], largest, max(0.0, total - _TASK_CPUS))
    return {name: amount for name, amount in {**asks, "CPU": cpus}.items() if amount}


def has_place(asks: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> bool:
    """Whether a node that is there could hold the driver, if it were empty."""
    return any(_has(node, asks) for node in nodes)


def described(asks: Mapping[str, float]) -> str:
    """For people."""
    amounts = [name if amount == _TRACE else f"{amount:g} {name}" for name, amount in asks.items()]
    return ", ".join(amounts) or "nothing"


def _has(node: Mapping[str, float], asks: Mapping[str, float], besides: str = "") -> bool:
    return all(node.get(name, 0.0) >= amount for name, amount in asks.items() if name != besides)


def _worked_on(arguments: Sequence[str], package: Package) -> Spec | None:
    """The experiment whose model the driver itself works with."""
    if arguments[0] == "train":
        spec = package.experiment
        return spec if spec is not None and spec.training.max_workers == 1 else None
    if arguments[0] not in {"evaluate", "generate"} or any(word.startswith("--generated") for word in arguments):
        return None
    words, sets = without_sets(arguments[1:])
    paths = [Path(word).absolute() for word in words if Path(word).exists()]
    directories = (directory for path in paths for directory in (path, *path.parents))
    found = next((d / "spec.yaml" for d in directories if (d / "spec.yaml").is_file()), None)
    return None if found is None else load_spec(found, sets)
