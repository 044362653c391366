"""The Slurm script: clean shell, and run for real with stand-ins for Slurm's own three commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STAND_INS = {
    # runs the step on this machine; Slurm's own options come first and begin with --
    "srun": 'while [[ "$1" == --* ]]; do shift; done\nexec "$@"',
    "scontrol": 'if [[ "$1" == show ]]; then hostname; else echo "$*" >> "$HOME/scontrol.log"; fi',
}


def _script(root: Path) -> Path:
    return root / "cluster" / "slurm" / "sweep.sbatch"


def test_every_shell_script_is_clean(project_root: Path) -> None:
    scripts = [_script(project_root), *(project_root / "cluster").rglob("*.sh")]
    program = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([program, "-s", "bash", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_says_how_it_is_called(project_root: Path) -> None:
    done = subprocess.run(["bash", _script(project_root)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: sbatch" in done.stderr


def _stand_ins(directory: Path, programs: dict[str, str]) -> Path:
    directory.mkdir()
    for name, body in programs.items():
        (directory / name).write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
        (directory / name).chmod(0o755)
    return directory


def _environment(commands: Path, home: Path, nodes: str, cpus: int) -> dict[str, str]:
    """What Slurm tells a batch script, with the stand-ins found first."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(home),
        "HOME": str(home),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(nodes.split(","))),
        "SLURM_CPUS_PER_TASK": str(cpus),
    }


def test_the_first_node_works_like_the_others(project_root: Path, tmp_path: Path) -> None:
    """With stand-ins for Ray too: what each node is told."""
    commands = _stand_ins(
        tmp_path / "bin",
        {
            "srun": (
                'echo "$*" >> "$HOME/srun.log"\n[[ "$*" == *"rm -rf"* ]] && exit\n'
                'echo told > "$HOME/told"\nexec sleep 60'
            ),
            "scontrol": "printf 'localhost\\nother\\n'",
            "ray": "exit 0",
        },
    )
    (tmp_path / "drivereplay").mkdir()
    (tmp_path / "drivereplay" / "__init__.py").touch()
    # both steps have to have said what they were told before the sweep ends and takes them along
    os.mkfifo(tmp_path / "told")
    (tmp_path / "drivereplay" / "__main__.py").write_text(
        "import os, pathlib\npipe, told = pathlib.Path(os.environ['HOME'], 'told'), 0\n"
        "while told < 2:\n    told += len(pipe.read_text().splitlines())\n",
        encoding="utf-8",
    )
    environment = _environment(commands, tmp_path, "localhost,other", cpus=16)
    done = subprocess.run(
        ["bash", _script(project_root), "e.yaml"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = (tmp_path / "srun.log").read_text(encoding="utf-8").splitlines()
    assert f"--nodes=2 --ntasks=2 --overlap rm -rf /tmp/ray-{os.getpid()}" in told[-1]
    told.sort(key=lambda line: "--head" not in line)
    told = [line for line in told if "ray start" in line]
    assert len(told) == 2 and "ray start --head" in told[0] and "ray start --address" in told[1]
    ports = [int(word) for line in told for word in re.findall(r"port (\d+)", line)]
    assert len(ports) >= 6 and all(port == 0 or 20_000 <= port < 32_768 for port in ports)
    # all its CPUs, and its GPUs, which Ray finds itself
    assert all("--num-cpus 16" in line and "--num-gpus" not in line for line in told)


def test_the_page_promises_no_idle_head_on_slurm(project_root: Path) -> None:
    page = (project_root / "platform" / "docs" / "cluster.md").read_text(encoding="utf-8")
    paragraphs = [" ".join(paragraph.split()) for paragraph in page.split("\n\n")]
    (idle,) = [paragraph for paragraph in paragraphs if "runs no trial" in paragraph]
    assert idle.startswith("On Kubernetes and in the clouds")
    (slurm,) = [paragraph for paragraph in paragraphs if paragraph.startswith("**Slurm**")]
    assert "works like the others" in slurm


@pytest.mark.slow
def test_it_starts_a_cluster_and_gives_back_the_exit_code(project_root: Path, tmp_path: Path) -> None:
    commands = _stand_ins(tmp_path / "bin", STAND_INS)
    # in place of the package's command line: says what the sweep is told, and asks the cluster
    (tmp_path / "drivereplay").mkdir()
    (tmp_path / "drivereplay" / "__init__.py").touch()
    (tmp_path / "drivereplay" / "__main__.py").write_text(
        "import os, sys, ray\nray.init(os.environ['RAY_ADDRESS'])\n"
        "print('nodes', len(ray.nodes()), 'cpus', ray.cluster_resources()['CPU'], sys.argv[1:], flush=True)\n"
        "sys.exit(7)\n",
        encoding="utf-8",
    )
    environment = _environment(commands, tmp_path, "here", cpus=2)
    done = subprocess.run(
        ["bash", _script(project_root), "e.yaml", "--set", "seed=1"],
        env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 7, done.stdout + done.stderr
    assert "nodes 1 cpus 2.0 ['sweep', 'e.yaml', '--set', 'seed=1', '--resume']" in done.stdout
    assert not list((tmp_path / ".drivereplay").iterdir()), "the token stays behind"
    assert not Path(f"/tmp/ray-{environment['SLURM_JOB_ID']}").exists(), "Ray's files stay behind"
