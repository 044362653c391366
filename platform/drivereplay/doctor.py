"""What works on this machine and what does not: everything is tried, and a failure comes with its fix."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivereplay.errors import DriveReplayError
from drivereplay.storage import Storage

_GIB = 1024**3
_RAY_S = 180.0


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What.
        ok: Whether it works.
        detail: What was found.
        fix: What to do about it; empty where it works.
        required: Whether the main verbs need it.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` prints it."""
        return asdict(self)


def doctor(*, storage: str = "runs", cluster: bool = False) -> list[Check]:
    """Try everything that the verbs need.

    Args:
        storage: Storage to write to.
        cluster: Also ask every node of the cluster that `RAY_ADDRESS` names (without it, of one on this machine).

    Returns:
        One entry for each check, in the order in which they were made.
    """
    checks = [_python(), *_packages(), _devices(), _encoding()]
    checks += [_decoding("decord", required=False), _decoding("av", required=True)]
    checks += [_writable(storage), _free_space(storage), _shared_memory(), _memory(), _open_files()]
    checks += [_token(), _ray(), _tensorboard(), _weights(), _ffmpeg(), _browser()]
    return [*checks, *(_cluster(storage) if cluster else ())]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "python", sys.version_info >= (3, 11), f"{version} at {sys.executable}", "Install Python 3.11 or newer."
    )


_IMPORTS = {
    "ray": True,
    "torch": True,
    "diffusers": True,
    "transformers": True,
    "peft": True,
    "safetensors": True,
    "optuna": True,
    "moocore": True,
    "cv2": True,
    "pyarrow": True,
    "tensorboard": True,
    "matplotlib": True,
}
_DISTRIBUTION = {"cv2": "opencv-python-headless"}


def _packages() -> list[Check]:
    return [_package(name, required) for name, required in _IMPORTS.items()]


def _package(name: str, required: bool) -> Check:
    distribution = _DISTRIBUTION.get(name, name)
    fix = f"pip install -c constraints.txt {distribution}"
    try:
        importlib.import_module(name)
        version = importlib.metadata.version(distribution)
    # a broken binary package fails to import with whatever its libraries raise
    except (ImportError, OSError, RuntimeError, AttributeError, importlib.metadata.PackageNotFoundError) as error:
        return Check(distribution, False, f"{type(error).__name__}: {error}", fix, required)
    return Check(distribution, True, version, "", required)


def _token() -> Check:
    """Ray writes its token with the user's default permissions, which on many machines let everybody read it."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        detail = "RAY_AUTH_MODE=disabled: whoever reaches a port of Ray's can run programs"
        return Check("Ray's token", False, detail, "Unset RAY_AUTH_MODE, or set it to `token`.", required=False)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Check("Ray's token", True, f"none in {path} yet; Ray makes one when it starts", required=False)
    except OSError as error:
        return Check("Ray's token", False, f"{path}: {error.strerror}", f"chmod 600 {path}", required=False)
    if mode & 0o077:
        detail = f"other users of this machine can read {path} (mode {mode & 0o777:o}), and so use your clusters"
        return Check("Ray's token", False, detail, f"chmod 600 {path}", required=False)
    return Check("Ray's token", True, f"{path}, readable by its owner alone", required=False)


def _devices() -> Check:
    def look() -> str:
        import torch

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if not torch.cuda.is_available():
            return f"{cores} CPU cores, no CUDA device (torch {torch.__version__})"
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        # a driver that is too old shows only when something is computed
        for n in range(len(names)):
            torch.ones(2, device=f"cuda:{n}").sum().item()
        return f"{cores} CPU cores, {len(names)} CUDA devices: {', '.join(names)}"

    return _tried("devices", look, "Install a torch build that fits the driver: nvidia-smi shows it.")


def _encoding() -> Check:
    def encode() -> str:
        from drivereplay.domains.mp4 import encode_video

        return f"H.264 mp4, {len(encode_video(_pictures(), fps=8.0))} bytes for {len(_pictures())} frames of 64x48"

    return _tried("H.264 encoding", encode, "pip install --force-reinstall av: its wheels bring libx264.")


def _decoding(reader: str, required: bool) -> Check:
    def decode() -> str:
        import numpy as np

        from drivereplay.domains.mp4 import encode_video

        frames = _pictures()
        with tempfile.TemporaryDirectory(prefix="drivereplay-doctor-") as directory:
            path = Path(directory) / "probe.mp4"
            path.write_bytes(encode_video(frames, fps=8.0))
            read = _read_decord(path) if reader == "decord" else _read_av(path)
        if read.shape != frames.shape:
            raise ValueError(f"wrote {frames.shape}, read {read.shape}")
        error = float(np.abs(read.astype(int) - frames.astype(int)).mean())
        if error > 8:
            raise ValueError(f"frames differ from those that were written by {error:.1f} of 255 on average")
        return f"{importlib.metadata.version(reader)}, {len(read)} frames back, {error:.1f} of 255 off on average"

    fix = "Optional: PyAV reads in its place." if reader == "decord" else "pip install --force-reinstall av"
    return _tried(f"decoding with {reader}", decode, fix, required)


def _pictures() -> Any:
    """(8, 48, 64, 3) uint8: a smooth ramp that moves."""
    import numpy as np

    x, y, t = np.meshgrid(np.arange(64), np.arange(48), np.arange(8), indexing="xy")
    ramp = (x * 2 + y + 4 * t).transpose(2, 0, 1)
    return np.stack([ramp, ramp[:, ::-1], ramp[:, :, ::-1]], axis=-1).astype(np.uint8)


def _read_decord(path: Path) -> Any:
    import decord

    return decord.VideoReader(str(path), num_threads=1)[:].asnumpy()


def _read_av(path: Path) -> Any:
    import av
    import numpy as np

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _writable(storage: str) -> Check:
    def write() -> str:
        place = Storage.of(storage)
        fresh = place.local is not None and not place.local.exists()
        place.check_writable()
        if fresh and place.local is not None:
            place.local.rmdir()  # an examination leaves nothing behind
        return f"{place.uri} can be written"

    return _tried("storage", write, "Give a place that can be written: doctor --storage DIR.")


def _free_space(storage: str) -> Check:
    where = Storage.of(storage).local if "://" not in storage else None
    while where is not None and not where.exists():
        where = where.parent
    if where is None:
        return Check("disk space", True, "remote storage, not known", required=False)
    free = shutil.disk_usage(where).free
    fix = "Free some space, or set `storage` elsewhere."
    return Check("disk space", free >= 5 * _GIB, f"{free / _GIB:.1f} GiB free at {where}", fix, required=False)


def _shared_memory() -> Check:
    path = Path("/dev/shm")
    if not path.is_dir():
        return Check("shared memory", True, "no /dev/shm here; Ray's object store lies on disk", required=False)
    size = shutil.disk_usage(path).total
    fix = "Ray's object store falls back to disk below 2 GiB: docker run --shm-size=4g."
    return Check("shared memory", size >= 2 * _GIB, f"{size / _GIB:.1f} GiB in /dev/shm", fix, required=False)


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return Check("memory", True, "not known on this system", required=False)
    fix = "The quickstart needs about 4 GiB."
    return Check("memory", total >= 4 * _GIB * 0.95, f"{total / _GIB:.1f} GiB", fix, required=False)


def _open_files() -> Check:
    try:
        import resource
    except ImportError:
        return Check("open files", True, "no limit known on this system", required=False)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    detail = "no limit" if unlimited else f"at most {soft} a process"
    return Check("open files", unlimited or soft >= 1024, detail, "ulimit -n 65536", required=False)


def _ray() -> Check:
    """In a process of its own: a Ray that cannot start here may hang, or end its process."""
    code = (
        "import time, ray; from drivereplay.session import ensure_ray; began = time.monotonic(); ensure_ray()\n"
        "assert ray.get(ray.remote(num_cpus=0)(lambda x: x + 1).remote(41), timeout=150) == 42\n"
        "nodes = sum(node['Alive'] for node in ray.nodes())\n"
        "cpus, gpus = (ray.cluster_resources().get(k, 0) for k in ('CPU', 'GPU'))\n"
        "print(f'{nodes} node(s), {cpus:g} CPU, {gpus:g} GPU; up and a task done in {time.monotonic() - began:.1f} s')"
    )

    def start() -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=_RAY_S, check=False)
        if done.returncode:
            raise DriveReplayError((done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1])
        return done.stdout.strip().splitlines()[-1]

    address = os.environ.get("RAY_ADDRESS")
    fix = f"Correct or unset RAY_ADDRESS ({address})." if address else "Look into /tmp/ray/session_latest/logs."
    return _tried("ray cluster" if address else "ray starts", start, fix)


def _tensorboard() -> Check:
    def look() -> str:
        found = {point.name: point for point in importlib.metadata.entry_points(group="tensorboard_plugins")}
        if "pareto" not in found:
            raise LookupError(f"TensorBoard knows the plugins {', '.join(sorted(found)) or 'none'}")
        return f"Pareto plugin {found['pareto'].load().__name__}"

    return _tried("tensorboard plugin", look, "pip install -e . : it registers the plugin.", required=False)


def _weights() -> Check:
    def look() -> str:
        from drivereplay.evaluation import weights

        there = [name for name in weights.PACKAGES if weights.why_missing(name) is None]
        for name in there:
            weights.load(name)  # compares the digest
        missing = [name for name in weights.PACKAGES if name not in there]
        if missing:
            raise LookupError(f"{', '.join(there) or 'none'} installed, missing: {', '.join(missing)}")
        return f"installed and intact: {', '.join(there)}"

    return _tried("metric weights", look, "Optional: drivereplay weights install.", required=False)


def _ffmpeg() -> Check:
    path = shutil.which("ffmpeg")
    fix = "Optional: PyAV brings its own libraries; nothing here needs the program."
    return Check("ffmpeg program", path is not None, path or "not found", fix, required=False)


def _browser() -> Check:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    fix = "Optional: only the dashboard's own tests need it."
    return Check("chromium", path is not None, path or "not found", fix, required=False)


def _cluster(storage: str) -> list[Check]:
    """Every node: the same Ray and Python, this package, and the storage seen by all."""
    import ray

    from drivereplay.nodes import probe

    try:
        nodes = probe(Storage.of(storage))
    except DriveReplayError as error:
        return [Check("cluster", False, error.what, error.fix)]
    everyone = {node.id for node in nodes}
    jobs_go_to = os.environ.get("RAY_API_SERVER_ADDRESS")
    checks = []
    if jobs_go_to and not os.environ.get("RAY_ADDRESS"):
        detail = f"RAY_API_SERVER_ADDRESS ({jobs_go_to}) is only where jobs go: what follows is a Ray on this machine"
        checks.append(Check("cluster", False, detail, "drivereplay submit -- doctor --cluster", required=False))
    for node in nodes:
        blind = len(everyone - set(node.saw))
        trouble = node.error or (f"does not see what {blind} other nodes wrote to {storage}" if blind else "")
        if not trouble and node.ray != ray.__version__:
            trouble = f"Ray {node.ray} there, {ray.__version__} here"
        amounts = ", ".join(f"{v:g} {k}" for k, v in (node.resources or {}).items() if k in ("CPU", "GPU"))
        versions = f"Python {node.python}, Ray {node.ray}, drivereplay {node.drivereplay}"
        detail = trouble or f"{versions}; {amounts}; sees the storage"
        fix = "Mount one shared storage on every node, or use an object store; install the same versions everywhere."
        checks.append(Check(f"node {node.host}", not trouble, detail, fix if trouble else ""))
    return checks


def _tried(name: str, act: Callable[[], str], fix: str, required: bool = True) -> Check:
    """A check that holds when `act` comes back, with what it says."""
    try:
        return Check(name, True, act(), "", required)
    # whatever a broken library raises is the finding; the checks after it go on
    except Exception as error:  # noqa: BLE001
        said = str(error).strip().splitlines() or [""]
        shown = error.what if isinstance(error, DriveReplayError) else f"{type(error).__name__}: {said[-1]}"
        return Check(name, False, shown, fix, required)
