"""`submit`: any verb as a Ray job, followed to its exit code."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import shlex
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay.errors import SpecError
from drivereplay.jobs.asks import described, driver_asks, fitted, has_place
from drivereplay.jobs.client import connect, hand_over, nodes_of, raised, require_same_python
from drivereplay.jobs.follow import follow
from drivereplay.jobs.manage import PREFIX, Job, jobs_of
from drivereplay.jobs.packaging import Package, pack, readable

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_RESUMABLE = ("sweep", "train")
_LOGIN = re.compile(r"://(?!git@)(?!(?:\$\{\w+\}:?){1,2}@)[^/\s@]+@", re.IGNORECASE)
"""Somebody's login in an address; `ssh://git@host` and variables that pip fills in are none."""


@dataclass(frozen=True)
class Submission:
    """What a job is submitted with; `preview` returns it without submitting anything.

    Attributes:
        package: The staged files.
        words: The verb and its arguments, as they run in the job.
        runtime_env: Ray's runtime environment.
        metadata: Who, what and for which run.
        asks: Resources that the driver reserves, by Ray's names; without any it runs on the head.
    """

    package: Package
    words: tuple[str, ...]
    runtime_env: dict[str, Any]
    metadata: dict[str, str]
    asks: dict[str, float] = field(default_factory=dict)

    @property
    def entrypoint(self) -> str:
        """The command line that Ray runs: with this interpreter where the head has it too, else with its `python`."""
        return f"$(command -v {shlex.quote(sys.executable)} || echo python) -m drivereplay {shlex.join(self.words)}"

    def described(self) -> str:
        """For people: the command, the size, and which folders make it."""
        package = self.package
        lines = [f"command    {self.entrypoint}", f"files      {len(package.files)}, {readable(package.size_bytes)}"]
        lines += [f"           {readable(size):>10}  {folder}" for folder, size in package.folders()]
        lines += [f"left out   {path} {why}" for path, why in package.left_out]
        lines.append(f"reserves   {described(self.asks)}")
        lines += [f"{key.removeprefix(PREFIX):<10} {value}" for key, value in self.metadata.items()]
        lines += [f"variables  {', '.join(sorted(self.runtime_env['env_vars']))}"]
        if "pip" in self.runtime_env:
            lines.append(f"pip        {', '.join(self.runtime_env['pip'])}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As `submit --dry-run --json` prints it; values of environment variables are left out."""
        return {
            "entrypoint": self.entrypoint,
            "files": [{"path": path, "bytes": size} for path, size in self.package.files],
            "bytes": self.package.size_bytes,
            "left_out": [{"path": path, "why": why} for path, why in self.package.left_out],
            "reserves": self.asks,
            "environment": sorted(self.runtime_env.get("env_vars", {})),
            "pip": self.runtime_env.get("pip", []),
            "metadata": self.metadata,
        }


def preview(
    arguments: Sequence[str],
    into: Path,
    *,
    include: Iterable[str | Path] = (),
    requirements: str | Path | None = None,
    env: Sequence[str] = (),
) -> Submission:
    """Stage a job and say what would be submitted.

    Args:
        arguments: The verb and its arguments.
        into: An empty directory for the staged files.
        include: Further files and directories to take along.
        requirements: A pip requirements file that the cluster installs for this job; None relies on its own packages.
        env: Names of environment variables that are handed on; whoever can use the cluster can read them.

    Raises:
        SpecError: The call, the experiment, a file or a variable is wrong.
    """
    package = pack(arguments, into, include)
    missing = [name for name in env if name not in os.environ]
    if missing:
        raise SpecError(f"submit --env {missing[0]}: this variable is not set here.")
    runtime: dict[str, Any] = {"working_dir": str(into), "worker_process_setup_hook": "drivereplay.logs.install"}
    variables = {name: os.environ[name] for name in env}
    # the job's own workers print to the same log; unbuffered, so that it is live
    runtime["env_vars"] = {"PYTHONUNBUFFERED": "1", **variables}
    if requirements is not None:
        runtime["pip"] = _requirements(Path(requirements))
    metadata = {f"{PREFIX}verb": package.arguments[0], f"{PREFIX}user": f"{getpass.getuser()}@{socket.gethostname()}"}
    if package.run is not None:
        metadata[f"{PREFIX}run"] = package.run
    words = package.arguments
    if words[0] in _RESUMABLE and "--resume" not in words:
        # a job may be sent again to a cluster that knows nothing of the first one; the storage does, and where it holds
        # nothing yet, resuming is beginning
        words = (*words, "--resume")
    return Submission(package, words, runtime, metadata, driver_asks(arguments, package))


def submit(
    arguments: Sequence[str],
    *,
    address: str | None = None,
    wait: bool = True,
    name: str | None = None,
    include: Iterable[str | Path] = (),
    requirements: str | Path | None = None,
    env: Sequence[str] = (),
    dry_run: bool = False,
    as_json: bool = False,
    write: Callable[[str], Any] | None = None,
    say: Callable[[str], Any] | None = None,
) -> int:
    """Run a verb as a job on a Ray cluster.

    A `sweep` or `train` whose run already has an active job on the cluster is not started again: that job is followed
    instead. One whose run the storage already holds is resumed, whichever cluster began it.

    Args:
        arguments: The verb and its arguments, such as `["sweep", "experiment.yaml"]`.
        address: See `drivereplay.jobs.client.connect`.
        wait: Follow the log and return the verb's exit code; otherwise return at once.
        name: Begins the job's id; None takes the verb and the experiment's name.
        include: Further files and directories to take along.
        requirements: A pip requirements file that the cluster installs for this job.
        env: Names of environment variables that are handed on.
        dry_run: Print what would travel, with its size, and submit nothing.
        as_json: Print it as one JSON document.
        write: Takes the log, piece by piece; None writes to standard output.
        say: Takes lines about the job itself; None writes to standard error.

    Returns:
        The verb's exit code; without `wait` 0 once the cluster has taken the job.

    Raises:
        SpecError: The call, the experiment or the address is wrong, or the cluster runs another Python; nothing was
            started.
        DriveReplayError: The cluster refused the job, or was lost while it ran.
    """
    say = say or _to_stderr
    with tempfile.TemporaryDirectory(prefix="drivereplay-job-") as staged:
        submission = preview(arguments, Path(staged), include=include, requirements=requirements, env=env)
        if dry_run:
            print(json.dumps(submission.to_json(), indent=2) if as_json else submission.described())
            return 0
        for path, why in submission.package.left_out:
            say(f"Left out: {path} {why}.")
        client = connect(address)
        require_same_python(client)
        earlier = _earlier(client, submission)
        active = next((job for job in earlier if job.active), None)
        if active is not None:
            job_id = active.id
            say(f"{active.run} is already worked on by job {job_id}: following it.")
        else:
            if earlier:
                say(f"{earlier[0].run} was begun by job {earlier[0].id}: resuming it.")
            submission = _placed(client, submission, say)
            job_id = _submitted(client, submission, _identity(submission, name, len(earlier)))
            say(f"Job {job_id} is on {client._address}.")
    if not wait:
        say(f"`drivereplay logs {job_id}` shows its log, `drivereplay stop {job_id}` ends it.")
        return 0
    try:
        return follow(client, job_id, write)
    except KeyboardInterrupt:
        say(f"The job goes on: `drivereplay logs {job_id}` shows its log, `drivereplay stop {job_id}` ends it.")
        raise


def _earlier(client: JobSubmissionClient, submission: Submission) -> list[Job]:
    """Jobs of the same verb on the same run, the newest first; none for verbs that cannot be resumed."""
    verb, run = submission.words[0], submission.package.run
    if run is None or verb not in _RESUMABLE:
        return []
    return [job for job in jobs_of(client) if job.verb == verb and job.run == run]


def _identity(submission: Submission, name: str | None, attempts: int) -> str:
    """The job's id. For one run and attempt it is always the same, and Ray takes an id once: two people who submit the
    same run in the same second get one job."""
    experiment = submission.package.experiment
    label = name or "-".join([submission.words[0], *([experiment.name] if experiment else [])])
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", label)
    if experiment is None or submission.words[0] not in _RESUMABLE:
        return f"{label}-{uuid.uuid4().hex[:8]}"
    key = hashlib.sha256(f"{submission.words[0]} {submission.package.run}".encode()).hexdigest()[:8]
    return f"{label}-{key}-{attempts + 1}"


def _placed(client: JobSubmissionClient, submission: Submission, say: Callable[[str], Any]) -> Submission:
    """The same, with what its driver asks fitted to the cluster; says what of it one would not expect."""
    if not submission.asks:
        return submission
    nodes = nodes_of(client)
    asks = fitted(submission.asks, nodes)
    if asks != submission.asks:
        less, asked = described(asks), described(submission.asks)
        say(f"The driver reserves {less}, not {asked}: more does not fit the cluster beside its own tasks.")
    if asks and not has_place(asks, nodes):
        say(f"No node has what the driver asks for ({described(asks)}): the job waits until one joins.")
    return replace(submission, asks=asks)


def _submitted(client: JobSubmissionClient, submission: Submission, job_id: str) -> str:
    try:
        return hand_over(
            client,
            entrypoint=submission.entrypoint,
            submission_id=job_id,
            runtime_env=submission.runtime_env,
            metadata=submission.metadata,
            entrypoint_num_cpus=submission.asks.get("CPU"),
            entrypoint_num_gpus=submission.asks.get("GPU"),
            entrypoint_resources={k: v for k, v in submission.asks.items() if k not in {"CPU", "GPU"}} or None,
        )
    except (RuntimeError, ValueError, OSError) as error:
        if any(job.id == job_id for job in jobs_of(client)):
            return job_id  # somebody submitted the same run a moment before
        raise raised(f"The cluster at {client._address} did not take the job", error) from error


def _requirements(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"submit --requirements {path}: {error}.", "Give a pip requirements file.") from error
    kept = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    for number, line in enumerate(kept, start=1):
        if _LOGIN.search(line):
            raise SpecError(
                f"submit --requirements {path}, line {number}: the address holds a password or token, which everybody "
                "who can use the cluster could read.",
                "Write it as ${NAME}, which pip replaces by a variable of the cluster's own environment.",
            )
    return [line for line in kept if line]


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
