"""Writing candidates into event files with whatever summary writer is at hand."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

from tensorboard_pareto import records


def add_candidate(
    writer: Any,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    name: str | None = None,
    maximise: Collection[str] = (),
    step: int = 0,
    seed: int | None = None,
    kind: str = "trial",
    status: str = "finished",
    trial: str | None = None,
    setting: str | None = None,
    cost: Mapping[str, float] | None = None,
    protocol: str | Mapping[str, Any] | None = None,
    settings: str = "",
    curves: Sequence[str] = (".",),
    sweep: str | None = None,
) -> str:
    """Put one evaluated candidate on the Pareto tab.

    Writing the same name again replaces the candidate.

    Args:
        writer: A `torch.utils.tensorboard.SummaryWriter`, `tensorboardX.SummaryWriter`, `tensorboard.summary.Writer` or
            TensorBoard's `EventFileWriter`.
        parameters: What was chosen: numbers, strings or booleans by name.
        metrics: What came out: a number, `(mean, low, high)`, `(mean, low, high, n)`, or any object with those
            attributes. NaN is allowed; such a candidate is listed but never on the front.
        name: Unique in the run; None makes one of parameters, seed and step.
        maximise: Metrics of which more is better; of all others less is. `add_setup` can say so once for all.
        step: Training step of the checkpoint.
        seed: Seed; candidates that differ only in it can be shown as one with an ellipse.
        kind: `trial`, or the name of an anchor (`base`, `naive`, ...), which is written beside its point.
        status: `finished`, `running` (its trial goes on), `stopped` (early), `failed` or `infeasible` (finished, but
            breaks a constraint of the search); only finished candidates can be on the front.
        trial: The training run that the checkpoint belongs to.
        setting: Candidates with the same one are seeds of one setting; None means those with the same parameters, step
            and kind are.
        cost: What it cost, by unit, such as `{"gpu_hours": 1.5}`.
        protocol: Everything that fixes what the metrics mean, as a mapping or as a hash of it. Candidates of different
            protocols are never drawn together.
        settings: The candidate's settings as text (YAML), offered for download.
        curves: TensorBoard runs that hold its scalars, relative to the writer's own run; `.` is that run itself.
        sweep: Name of the search it belongs to. None means the writer's run where `add_setup` was called there, and
            the directory around it otherwise.

    Returns:
        The candidate's name.

    Raises:
        ValueError: The status is unknown, the name is empty, or a metric is no number and no interval.
        TypeError: The writer is of no known kind.
    """
    if status not in records.STATUSES:
        raise ValueError(f"status {status!r}: must be one of {', '.join(records.STATUSES)}")
    if name is None:
        # not the built-in hash, which differs from process to process
        key = records.encode([parameters, seed, step])
        name = f"candidate-{hashlib.sha256(key).hexdigest()[:8]}"
    if not name:
        raise ValueError("a candidate's name must not be empty")
    record = {
        "version": records.VERSION,
        "name": name,
        "parameters": dict(parameters),
        "metrics": {metric: interval(metric, value) for metric, value in metrics.items()},
        "maximise": sorted(maximise),
        "step": step,
        "seed": seed,
        "kind": kind,
        "status": status,
        "trial": trial,
        "setting": setting,
        "cost": dict(cost or {}),
        "protocol": protocol_record(protocol),
        "curves": list(curves),
        "sweep": sweep,
    }
    _add(writer, records.CANDIDATE + name, [records.encode(record), settings.encode("utf-8", "replace")], step)
    return name


def add_setup(
    writer: Any,
    *,
    objectives: Sequence[str] = (),
    directions: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    reference: Mapping[str, float] | None = None,
    protocol: str | Mapping[str, Any] | None = None,
    mix: Sequence[str] = (),
    pool_seeds: bool = False,
    title: str = "",
    statistics: Mapping[str, Any] | None = None,
    step: int = 0,
) -> None:
    """Say once for a run what its candidates are judged by; everything is optional. The last one written counts.

    Args:
        writer: As in `add_candidate`.
        objectives: Metrics that span the front, the first two as the axes.
        directions: `min` or `max` by metric.
        units: Unit by metric.
        reference: Reference point of the hypervolume, by metric.
        protocol: As in `add_candidate`; counts for candidates that do not bring their own.
        mix: Parameters that are shares of one whole; three of them can be shown as a triangle.
        pool_seeds: A setting with several seeds is one candidate with their mean, unless the reader chooses otherwise.
        title: Name of the search.
        statistics: What the search itself says of its candidates' certainty. `hypervolume`: `low` and `high` of the
            front's; `candidates`: name → `probability_non_dominated` and `differences`, anchor → metric →
            `[difference, low, high]`. A candidate that is not named has no chance of a place on the front.
        step: Step of the summary.

    Raises:
        ValueError: A direction is neither `min` nor `max`.
        TypeError: The writer is of no known kind.
    """
    for metric, direction in (directions or {}).items():
        if direction not in ("min", "max"):
            raise ValueError(f"direction of {metric} is {direction!r}: must be min or max")
    record = {
        "version": records.VERSION,
        "objectives": list(objectives),
        "directions": dict(directions or {}),
        "units": dict(units or {}),
        "reference": dict(reference or {}),
        "protocol": protocol_record(protocol),
        "mix": list(mix),
        "pool_seeds": bool(pool_seeds),
        "title": title,
        "statistics": dict(statistics or {}),
    }
    _add(writer, records.SETUP, [records.encode(record)], step)


def interval(metric: str, value: Any) -> list[Any]:
    """`[mean, low, high, n]` of a number, a tuple or an object with those attributes; bounds may be NaN, n None.

    Raises:
        ValueError: It is none of them.
    """
    if hasattr(value, "mean") and hasattr(value, "low"):
        return [float(value.mean), float(value.low), float(value.high), _count(getattr(value, "n", None))]
    if isinstance(value, tuple | list):
        if len(value) not in (3, 4):
            raise ValueError(f"metric {metric} has {len(value)} values: give mean, low, high and perhaps n")
        low_high = [float("nan") if bound is None else float(bound) for bound in value[1:3]]
        return [float(value[0]), *low_high, _count(value[3] if len(value) == 4 else None)]
    try:
        return [float(value), float("nan"), float("nan"), None]
    except (TypeError, ValueError) as error:
        raise ValueError(f"metric {metric} is {value!r}: give a number or (mean, low, high[, n])") from error


def protocol_record(protocol: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`{hash, fields}`; such a mapping is kept as it is, the hash of any other counts its sorted JSON."""
    if protocol is None or protocol == "":
        return None
    if isinstance(protocol, str):
        return {"hash": protocol, "fields": {}}
    if set(protocol) == {"hash", "fields"}:
        return {"hash": str(protocol["hash"]), "fields": records.plain(protocol["fields"])}
    fields = {key: records.plain(value) for key, value in sorted(protocol.items())}
    return {"hash": hashlib.sha256(records.encode(fields)).hexdigest()[:16], "fields": fields}


def add_blobs(writer: Any, tag: str, blobs: Sequence[bytes], step: int, content: bytes) -> None:
    """Write one blob sequence; TensorBoard hands each blob to the browser only when it is asked for."""
    _emit(writer, _event(tag, blobs, step, summary_pb2.DATA_CLASS_BLOB_SEQUENCE, content))


def _add(writer: Any, tag: str, strings: Sequence[bytes], step: int) -> None:
    _emit(writer, _event(tag, strings, step, summary_pb2.DATA_CLASS_TENSOR, b""))


def _event(tag: str, strings: Sequence[bytes], step: int, data_class: int, content: bytes) -> event_pb2.Event:
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name=records.PLUGIN_NAME, content=content)
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=len(strings))])
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=strings)
    event = event_pb2.Event(wall_time=time.time(), step=int(step))
    event.summary.value.add(
        tag=tag.encode("utf-8", "replace").decode(),
        tensor=tensor,
        metadata=summary_pb2.SummaryMetadata(plugin_data=plugin, data_class=data_class),
    )
    return event


def _emit(writer: Any, event: event_pb2.Event) -> None:
    """Hand the event to the writer's event file; summary writers have no public door for a whole event."""
    target = writer
    if hasattr(target, "_get_file_writer"):  # torch's and tensorboardX' SummaryWriter
        target = target._get_file_writer()
    if hasattr(target, "_output"):  # tensorboard.summary.Writer
        target = target._output
    # the file writers inside check nothing but SerializeToString; those around them would set the step to None
    target = getattr(target, "event_writer", None) or getattr(target, "_ev_writer", None) or target
    if not hasattr(target, "add_event"):
        raise TypeError(
            f"cannot write summaries with a {type(writer).__name__}: give a torch or tensorboardX SummaryWriter, "
            "a tensorboard.summary.Writer or an EventFileWriter"
        )
    if type(target).__module__.startswith("tensorboardX."):
        from tensorboardX.proto import event_pb2 as tensorboardx_pb2  # type: ignore[import-untyped]

        # it takes only events of its own copy of the schema; fields that the copy lacks are kept as they are
        event = tensorboardx_pb2.Event.FromString(event.SerializeToString())
    target.add_event(event)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
