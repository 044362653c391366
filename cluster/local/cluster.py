#!/usr/bin/env python3
"""A Ray cluster of several nodes on one machine: each a real raylet, in a network of its own where that is allowed.

    python cluster/local/cluster.py start --nodes 3        prints what to export so that `drivereplay submit` finds it
    python cluster/local/cluster.py status
    python cluster/local/cluster.py cut 2 / join 2         takes a node's network away and gives it back (isolated only)
    python cluster/local/cluster.py kill 2                 ends a node as a power cut would
    python cluster/local/cluster.py stop                   ends exactly the processes that `start` brought about

Each process carries a mark in its environment, so that no Ray of anybody else is ever touched. A token is
made and asked for; isolated nodes cannot be reached from other machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MARK = "DRIVEREPLAY_LOCAL_CLUSTER"
"""Environment variable that every process of a local cluster inherits; its value is the cluster's id."""
_START_S = 300.0
_STARTS = 3
_OBJECT_STORE_BYTES = 150_000_000
_PORTS = range(20_000, 32_768)


class ClusterError(RuntimeError):
    """The local cluster cannot do what was asked; the message says what and why."""


@dataclass
class LocalCluster:
    """A running cluster, as its state file describes it.

    Attributes:
        id: Six hex digits; names the bridge, the namespaces and the mark.
        directory: State, token and logs.
        address: URL of the dashboard, for `drivereplay submit --address`.
        gcs: `host:port` of the control store, for `RAY_ADDRESS`.
        isolated: Whether each node has a network namespace.
        nodes: Number to process id of each node's `ray start`; 0 is the head.
    """

    id: str
    directory: str
    address: str = ""
    gcs: str = ""
    isolated: bool = False
    nodes: dict[int, int] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The secret that clients need."""
        return (Path(self.directory) / "token").read_text(encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What a client exports to reach the cluster."""
        return {
            "RAY_API_SERVER_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(Path(self.directory) / "token"),
        }

    def save(self) -> None:
        """Write the state file."""
        (Path(self.directory) / "cluster.json").write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> LocalCluster:
        """Read the state file.

        Raises:
            ClusterError: There is none.
        """
        path = Path(directory) / "cluster.json"
        if not path.is_file():
            raise ClusterError(f"No local cluster has been started in {directory}.")
        data = json.loads(path.read_text(encoding="utf-8"))
        data["nodes"] = {int(number): pid for number, pid in data["nodes"].items()}
        return cls(**data)

    # --- life ---------------------------------------------------------------------------------------------------------

    def add_node(self, cpus: float = 2, gpus: float = 0, prefix: Sequence[str] = ()) -> int:
        """Start one more node, the head first, and wait until the cluster counts it.

        Args:
            cpus: Logical CPUs.
            gpus: Logical GPUs.
            prefix: Command in front of Ray's own, such as `unshare`, for a node that differs from the others.

        Returns:
            Its number.
        """
        number = max(self.nodes, default=-1) + 1
        host = self._host(number)
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command += ["--num-cpus", str(cpus), "--num-gpus", str(gpus), "--node-ip-address", host]
        command += ["--resources", json.dumps({f"node-{number}": 1.0})]
        command += ["--object-store-memory", str(_OBJECT_STORE_BYTES), "--temp-dir", self.temporary(number)]
        if not self.isolated:
            # jobs go through the agent, and its usual port belongs to whichever Ray of this machine came first
            command += ["--dashboard-agent-listen-port", str(free_ports(1)[0])]
        if number == 0:
            port, dashboard = (6379, 8265) if self.isolated else free_ports(2)
            self.gcs, self.address = f"{host}:{port}", f"http://{host}:{dashboard}"
            command += ["--head", "--port", str(port), "--dashboard-host", host, "--dashboard-port", str(dashboard)]
            command += ["--ray-client-server-port", "10001" if self.isolated else str(free_ports(1)[0])]
        else:
            command += ["--address", self.gcs]
        if self.isolated:
            command = ["ip", "netns", "exec", self._add_namespace(number), *command]
        command = [*prefix, *command]
        log = Path(self.directory) / f"node-{number}.log"
        for attempt in range(_STARTS):
            before = self.alive() if number else 0
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._node_environment(number),
                    start_new_session=True,
                )
            self.nodes[number] = process.pid
            self.save()
            # counted by the head is not enough: Ray's own check may still give up and end the node
            until(
                lambda p=process, b=before: (
                    p.poll() is not None or ("Ray runtime started" in _tail(log, 100) and self.alive() > b)
                ),
                _START_S,
                f"node {number} (see {log})",
            )
            if process.poll() is None:
                return number
            # Ray gives itself 30 seconds to start, which a busy machine does not always keep
            if "timed out during startup" not in _tail(log) or attempt + 1 == _STARTS:
                raise ClusterError(f"Node {number} ended with {process.returncode}: {_tail(log)}")
            self.kill_node(number)
        return number

    def alive(self) -> int:
        """Nodes that the head counts as alive; 0 while it does not answer."""
        try:
            answer = self.get("/api/v0/nodes?detail=0")
        except (OSError, urllib.error.URLError, ValueError):
            return 0
        rows = answer["data"]["result"]["result"]
        return sum(row["state"] == "ALIVE" for row in rows)

    def get(self, path: str) -> Any:
        """A JSON document of the head's dashboard."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def kill_node(self, number: int) -> None:
        """SIGKILL everything on a node at once, as a power cut would; the cluster is not told."""
        for pid in self.processes(number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nodes.pop(number, None)
        self.save()
        until(lambda: not self.processes(number), 15.0, f"node {number} to end")

    def cut(self, number: int) -> None:
        """Take a node's network away."""
        self._link(number, "down")

    def join(self, number: int) -> None:
        """Give a node's network back."""
        self._link(number, "up")

    def stop(self) -> None:
        """End all processes of this cluster, workers before the head, and remove its networks and directory."""
        for number in sorted(self.nodes, reverse=True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.nodes[number], signal.SIGTERM)
        with contextlib.suppress(ClusterError):
            until(lambda: not self.processes(), 15.0, "the nodes to end")
        # what outlives its raylet, such as a job's driver in the middle of a system call
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(), 15.0, "the nodes to end")
        self._remove_networks()
        shutil.rmtree(self.temporary(), ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def processes(self, number: int | None = None) -> list[int]:
        """Ids of the processes of this cluster, or of one node of it."""
        wanted = f"{MARK}={self.id}".encode() + (b"" if number is None else f"/{number}".encode())
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
                ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:  # it has ended in the meantime, or is another user's
                continue
            if not ended and any(v == wanted or (number is None and v.startswith(wanted + b"/")) for v in variables):
                found.append(int(entry.name))
        return found

    # --- inside -------------------------------------------------------------------------------------------------------

    def _node_environment(self, number: int) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
        kept["RAY_worker_niceness"] = "0"  # on a shared machine the lowest priority, Ray's choice, starves workers
        kept["RAY_AUTH_MODE"] = "token"
        kept["RAY_AUTH_TOKEN_PATH"] = str(Path(self.directory) / "token")
        kept[MARK] = f"{self.id}/{number}"
        return kept

    def temporary(self, number: int | None = None) -> str:
        """Where Ray keeps its sessions: of one node, or of all where it is None."""
        # each node has its own, as on machines of their own: a node unpacks a job's files anew, even under a reader;
        # Ray's sockets lie below it, and a socket's path may have no more than 107 characters
        base = Path(tempfile.gettempdir()) / f"dr-{self.id}"
        return str(base if number is None else base / str(number))

    def _host(self, number: int) -> str:
        return f"{self._subnet}.{number + 2}" if self.isolated else "127.0.0.1"

    @property
    def _subnet(self) -> str:
        return f"10.{200 + int(self.id[:2], 16) % 50}.{int(self.id[2:4], 16)}"

    def _namespace(self, number: int) -> str:
        return f"dr{self.id}-{number}"

    def _add_namespace(self, number: int) -> str:
        bridge, name = f"dr{self.id}", self._namespace(number)
        outer, inner = f"{self.id}o{number}", f"{self.id}i{number}"
        if number == 0:
            ip("link", "add", bridge, "type", "bridge")
            ip("addr", "add", f"{self._subnet}.1/24", "dev", bridge)
            ip("link", "set", bridge, "up")
        ip("netns", "add", name)
        ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", inner, "netns", name)
        ip("link", "set", outer, "master", bridge)
        ip("link", "set", outer, "up")
        ip("-n", name, "addr", "add", f"{self._host(number)}/24", "dev", inner)
        ip("-n", name, "link", "set", inner, "up")
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def _link(self, number: int, state: str) -> None:
        if not self.isolated:
            raise ClusterError("The nodes share this machine's network: start the cluster with --isolated, as root.")
        ip("link", "set", f"{self.id}o{number}", state)

    def _remove_networks(self) -> None:
        if not self.isolated:
            return
        for name in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        ):
            if name.startswith(f"dr{self.id}-"):
                ip("netns", "del", name.split()[0])
        ip("link", "del", f"dr{self.id}")


def start(
    directory: str | Path | None = None,
    *,
    nodes: int = 1,
    cpus: float = 2,
    gpus: float = 0,
    isolated: bool | None = None,
) -> LocalCluster:
    """Start a cluster.

    Args:
        directory: For state, token and logs; None takes a new temporary one.
        nodes: The head included.
        cpus: Logical CPUs of each node.
        gpus: Logical GPUs of each node.
        isolated: A network namespace for each node, which needs root and iproute2; None takes it where it is possible
            and more than one node is asked for.

    Raises:
        ClusterError: A node does not come up, or a cluster runs there already.
    """
    where = Path(directory or tempfile.mkdtemp(prefix="drivereplay-cluster-")).absolute()
    if (where / "cluster.json").exists():
        raise ClusterError(f"A cluster runs in {where} already; `stop` ends it.")
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    if where.lstat().st_uid != os.getuid():
        raise ClusterError(f"{where} belongs to somebody else: give another --directory.")
    token = where / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="utf-8")
    separate = can_isolate() and nodes > 1 if isolated is None else isolated
    if separate and not can_isolate():
        raise ClusterError("Network namespaces need root and iproute2: run as root, or without --isolated.")
    cluster = LocalCluster(id=secrets.token_hex(3), directory=str(where), isolated=separate)
    try:
        for _ in range(nodes):
            cluster.add_node(cpus, gpus)
    except BaseException:
        cluster.stop()
        raise
    return cluster


@contextlib.contextmanager
def running(**options: Any) -> Iterator[LocalCluster]:
    """A cluster for the length of a `with` block; takes what `start` takes."""
    cluster = start(**options)
    try:
        yield cluster
    finally:
        cluster.stop()


def can_isolate() -> bool:
    """Whether this process may make network namespaces here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"dr-probe-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now at any address of this machine, all different.

    They lie between those that Ray takes for its workers and those that the system gives to outgoing connections:
    either could take a port in the seconds before the one it was meant for listens there.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("", port))
                found.append(port)
            if len(found) == count:
                return found
    raise ClusterError(f"Of the ports {_PORTS.start} to {_PORTS.stop - 1} fewer than {count} are free.")


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        ClusterError: It did not come true in time.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"Waited {seconds:.0f} s in vain for {what}.")
        pause.wait(0.2)


def ip(*words: str) -> None:
    """One call of iproute2.

    Raises:
        ClusterError: It failed.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _tail(log: Path, lines: int = 5) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-lines:])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", default=str(Path(tempfile.gettempdir()) / f"drivereplay-cluster-{os.getuid()}"))
    verbs = parser.add_subparsers(dest="verb", required=True)
    starting = verbs.add_parser("start", help="start a cluster")
    starting.add_argument("--nodes", type=int, default=2, help="the head included")
    starting.add_argument("--cpus", type=float, default=2, help="logical CPUs of each node")
    starting.add_argument("--gpus", type=float, default=0, help="logical GPUs of each node")
    starting.add_argument("--isolated", action=argparse.BooleanOptionalAction, help="a network namespace for each node")
    for verb in ("kill", "cut", "join"):
        verbs.add_parser(verb).add_argument("node", type=int)
    verbs.add_parser("status")
    verbs.add_parser("stop")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "start":
            cluster = start(
                chosen.directory, nodes=chosen.nodes, cpus=chosen.cpus, gpus=chosen.gpus, isolated=chosen.isolated
            )
            network = "isolated" if cluster.isolated else "on one network"
            print(f"# {len(cluster.nodes)} nodes, {network}; state and logs in {cluster.directory}")
            for name, value in cluster.environment.items():
                print(f"export {name}={value}")
            return 0
        cluster = LocalCluster.load(chosen.directory)
        if chosen.verb == "status":
            count = f"{cluster.alive()} of {len(cluster.nodes)} nodes alive"
            print(f"{count} at {cluster.address}, {len(cluster.processes())} processes")
        elif chosen.verb == "stop":
            cluster.stop()
        else:
            {"kill": cluster.kill_node, "cut": cluster.cut, "join": cluster.join}[chosen.verb](chosen.node)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
