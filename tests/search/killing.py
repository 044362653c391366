"""A sweep whose driver is killed again and again, each time at a moment drawn from all calls that it makes.

`python -m tests.search.killing FOLDER SEED KILLS` runs the sweep `whole` undisturbed and `probe` with that many kills,
and prints as JSON how many calls a whole sweep makes, and for each kill at which call and where it came and how many
attempts at trials had begun by then.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay import errors
from drivereplay.spec import Spec

PACKAGE = str(Path(errors.__file__).parent)
SHARE = 8
"""A driver lives for at most this part of the calls of a whole sweep, so that the sweep outlives the kills."""


def sweep(folder: Path, name: str) -> Spec:
    """Three trials at a time, three checkpoints each, anchors, and suggestions that rest on earlier results."""
    return experiment(folder, name=name, trials=16, every=10, concurrent=3)


def driver(spec: Spec, log: Path, dies_at: int) -> tuple[bool, int, str]:
    """Start or resume a sweep in a process of its own, which SIGKILLs itself when it makes that call.

    Counted are calls and returns within this package and what it calls of C: file operations are among them, the
    sampler's arithmetic is not.

    Returns:
        Whether it was killed, the number of calls that it made, and the function that made the last one.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        calls = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return
            calls += 1
            if calls == dies_at:
                os.write(writing, f"{calls} {Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}".encode())
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.setprofile(count)
            sweep_locally(spec, resume=True, runner=Analytic(log=log))
            sys.setprofile(None)
            os.write(writing, f"{calls} end".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    _, status = os.waitpid(process, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, f"the driver failed, see above; it was to die at call {dies_at}"
    calls_made, where = told.split()
    return killed, int(calls_made), where


def main(arguments: list[str]) -> None:
    folder, order, kills = Path(arguments[0]), random.Random(int(arguments[1])), int(arguments[2])
    logs = {name: folder / f"log-{name}" for name in ("whole", "probe")}
    for log in logs.values():
        log.mkdir()
    # once here, so that what is imported on the way does not count as a moment of the sweep
    sweep_locally(sweep(folder, "warm"), runner=Analytic())
    _, calls, _ = driver(sweep(folder, "whole"), logs["whole"], 0)
    moments = []
    for _ in range(kills):
        killed, call, where = driver(sweep(folder, "probe"), logs["probe"], order.randrange(1, calls // SHARE))
        if killed:
            moments.append({"call": call, "where": where, "begun": len(list(logs["probe"].iterdir()))})
    driver(sweep(folder, "probe"), logs["probe"], 0)
    print(json.dumps({"calls": calls, "moments": moments}))


if __name__ == "__main__":
    main(sys.argv[1:])
