"""Checkpoints: the model in diffusers' layout, what training needs beside it, and a manifest that is written last.

    checkpoints/step-00000100/
        model_index.json transformer/ scheduler/ …   what diffusers reads
        drivereplay.json                             family and context
        training/state.safetensors  state.json       optimiser, average, own weights where the average was saved
        manifest.json                                every file with size and hash: there only when all the rest is

Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from drivereplay.errors import TrainingError
from drivereplay.integrity import DAMAGED, MANIFEST, damaged_file, has_all_files, manifest_of, set_aside
from drivereplay.storage import Storage
from drivereplay.training.loop import LoopState
from drivereplay.training.shard import placed
from drivereplay.training.upload import Uploads

CHECKPOINTS = "checkpoints"
_STATE = "training/state.safetensors"
_NUMBERS = "training/state.json"
_T = TypeVar("_T")
logger = logging.getLogger(__name__)


class DamagedCheckpoint(TrainingError):
    """A file of a checkpoint is not what was written."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        step: Optimiser steps done.
        storage: Its directory.
    """

    step: int
    storage: Storage

    @contextlib.contextmanager
    def local(self) -> Iterator[Path]:
        """The directory on this machine: itself, or a temporary copy.

        Raises:
            DamagedCheckpoint: A file is not what was written.
        """
        if self.storage.local is not None:
            self._check(self.storage)
            yield self.storage.local
            return
        with tempfile.TemporaryDirectory(prefix="drivereplay-") as name:
            _retried(lambda: self.storage.download("", Path(name)), f"reading {self.storage.uri}")
            self._check(Storage.of(name))
            yield Path(name)

    def _check(self, copy: Storage) -> None:
        wrong = damaged_file(copy)
        if wrong is not None:
            raise DamagedCheckpoint(
                f"{self.storage.uri}/{wrong} is damaged: it is not what was written.",
                "`--resume` sets it aside and goes on from the checkpoint before it.",
            )


def directory_name(step: int) -> str:
    """`step-N`, padded so that names sort by step."""
    return f"step-{step:08d}"


def save_checkpoint(
    directory: Storage,
    state: LoopState,
    extra: dict[str, Any],
    variant: str = "",
    uploads: Uploads | None = None,
) -> Checkpoint:
    """Write a checkpoint of the run in `directory`; a reader sees all of it or nothing.

    Args:
        directory: The run's directory.
        state: What is saved.
        extra: Further JSON values, such as the metrics at this step.
        variant: Suffix of a further model at the same step, which is no point to go on from.
        uploads: Takes it to a remote storage while the caller goes on; None waits until it is there. A local directory
            is written at once.

    Raises:
        TrainingError: The storage stays away; what `uploads` met comes back from its next call.
    """
    relative = f"{CHECKPOINTS}/{directory_name(state.step)}{variant and '-'}{variant}"
    target = directory.below(relative)
    local = directory.local
    parent = None if local is None else local / CHECKPOINTS
    if parent is not None:
        _retried(lambda: parent.mkdir(parents=True, exist_ok=True), f"writing {directory.uri}")
    # beside its final place, so that one rename publishes it
    staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))

    def publish() -> None:
        try:
            _retried(lambda: _publish(staging, directory, relative), f"writing {target.uri}")
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    try:
        _retried(lambda: _fill(staging, state, extra, with_state=not variant), f"writing {target.uri}")
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    if uploads is None or local is not None:
        publish()
    else:
        uploads.start(publish)
    return Checkpoint(state.step, target)


def checkpoints(directory: Storage) -> list[Checkpoint]:
    """The complete checkpoints of a run, by step."""
    found = []
    for name in directory.names(CHECKPOINTS):
        match = re.fullmatch(r"step-(\d+)", name)
        storage = directory.below(CHECKPOINTS, name)
        if match and has_all_files(storage):
            found.append(Checkpoint(int(match.group(1)), storage))
    return sorted(found, key=lambda c: c.step)


def prune(directory: Storage, keep: int | None, also: frozenset[int] = frozenset()) -> None:
    """Remove all but the newest `keep` checkpoints and those of the steps in `also`; None removes nothing."""
    if keep is None:
        return
    for old in checkpoints(directory)[:-keep]:
        if old.step not in also:
            directory.delete(f"{CHECKPOINTS}/{directory_name(old.step)}")


def clear(directory: Storage, *, everything: bool) -> None:
    """Remove what a killed writer left, or all checkpoints."""
    complete = set() if everything else {directory_name(found.step) for found in checkpoints(directory)}
    for name in directory.names(CHECKPOINTS):
        if name not in complete and not name.endswith(DAMAGED):
            directory.delete(f"{CHECKPOINTS}/{name}")


def set_damaged_aside(directory: Storage) -> None:
    """Set damaged checkpoints of a run aside, from the newest one back to the first that is as it was written."""
    for checkpoint in reversed(checkpoints(directory)):
        wrong = damaged_file(checkpoint.storage)
        if wrong is None:
            return
        logger.warning("%s/%s is not what was written.", checkpoint.storage.uri, wrong)
        set_aside(directory, f"{CHECKPOINTS}/{directory_name(checkpoint.step)}")


def read_extra(checkpoint: Checkpoint) -> dict[str, Any]:
    """What was given to `save_checkpoint` as `extra`."""
    extra: dict[str, Any] = json.loads(checkpoint.storage.read(_NUMBERS))["extra"]
    return extra


def restore(state: LoopState, checkpoint: Checkpoint) -> dict[str, Any]:
    """Put a checkpoint's weights, optimiser and average into `state`; returns what was given as `extra`.

    Raises:
        TrainingError: The checkpoint belongs to another model or adapter.
        DamagedCheckpoint: A file is not what was written; `state` is as it was.
    """
    with checkpoint.local() as path:
        tensors = load_file(path / _STATE)
        numbers: dict[str, Any] = json.loads((path / _NUMBERS).read_text(encoding="utf-8"))
    with torch.no_grad():
        for name, parameter in state.parameters.items():
            parameter.copy_(placed(_taken(tensors, f"weights.{name}", parameter, checkpoint), parameter))
            slot = {key: _taken(tensors, f"{key}.{name}", None, checkpoint) for key in _slots(tensors, name)}
            # the count of steps is one number on every worker; the moments lie as their parameter does
            on_device = {key: tensor.to(parameter.device) for key, tensor in slot.items()}
            slot = {key: t if key == "step" else placed(t, parameter) for key, t in on_device.items()}
            if slot:
                state.optimizer.state[parameter] = slot
            if state.average is not None:
                mean = _taken(tensors, f"average.{name}", parameter, checkpoint)
                state.average.tensors[name].copy_(placed(mean, parameter))
            if name in state.fisher:
                state.fisher[name].copy_(_taken(tensors, f"fisher.{name}", parameter, checkpoint))
    torch.set_rng_state(tensors["rng"])
    state.step = int(numbers["step"])
    extra: dict[str, Any] = numbers["extra"]
    return extra


_OPTIMIZER_SLOTS = ("step", "exp_avg", "exp_avg_sq")


def _slots(tensors: dict[str, Tensor], name: str) -> list[str]:
    return [key for key in _OPTIMIZER_SLOTS if f"{key}.{name}" in tensors]


def _taken(tensors: dict[str, Tensor], key: str, like: Tensor | None, checkpoint: Checkpoint) -> Tensor:
    tensor = tensors.get(key)
    if tensor is None or (like is not None and tensor.shape != like.shape):
        raise TrainingError(
            f"{checkpoint.storage.uri} has no fitting tensor {key}: it was written for another model or adapter.",
            "Resume with the experiment file of the run, or start a new run.",
        )
    return tensor


def _fill(staging: Path, state: LoopState, extra: dict[str, Any], with_state: bool) -> None:
    with state.judged() as model:
        model.save(staging)
    if not with_state:
        return
    (staging / "training").mkdir(exist_ok=True)
    tensors: dict[str, Tensor] = {"rng": torch.get_rng_state()}
    for name, parameter in state.parameters.items():
        tensors[f"weights.{name}"] = parameter.detach()
        for key, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value
        if state.average is not None:
            tensors[f"average.{name}"] = state.average.tensors[name]
        if name in state.fisher:
            tensors[f"fisher.{name}"] = state.fisher[name]
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, staging / _STATE)
    numbers = {"step": state.step, "extra": extra}
    (staging / _NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def _publish(staging: Path, directory: Storage, relative: str) -> None:
    manifest = manifest_of(staging)
    if directory.local is None:
        directory.delete(relative)
        directory.upload(staging, relative)
        directory.write(f"{relative}/{MANIFEST}", manifest)
        return
    Storage.of(staging).write(MANIFEST, manifest)
    target = directory.local / relative
    if target.exists():
        shutil.rmtree(target)
    staging.chmod(0o755)  # mkdtemp made it private
    staging.rename(target)


def _retried(action: Callable[[], _T], doing: str, attempts: int = 5, first_wait_s: float = 0.2) -> _T:
    """Run `action` until it succeeds, with growing pauses.

    Raises:
        TrainingError: It failed every time.
    """
    for attempt in range(attempts):
        try:
            return action()
        except OSError as error:
            if attempt + 1 == attempts:
                raise TrainingError(
                    f"{doing[0].upper()}{doing[1:]} failed {attempts} times: {error}.",
                    "Check the storage, then go on with --resume.",
                ) from error
            time.sleep(first_wait_s * 4**attempt)
    raise AssertionError("unreachable")
