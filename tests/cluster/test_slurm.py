"""The Slurm script: clean shell, and run for real with stand-ins for Slurm's own three commands."""

from __future__ import annotations

import os
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


@pytest.mark.slow
def test_it_starts_a_cluster_and_gives_back_the_exit_code(project_root: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, body in STAND_INS.items():
        (commands / name).write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
        (commands / name).chmod(0o755)
    # in place of the package's command line: says what the sweep is told, and asks the cluster
    (tmp_path / "drivereplay").mkdir()
    (tmp_path / "drivereplay" / "__init__.py").touch()
    (tmp_path / "drivereplay" / "__main__.py").write_text(
        "import os, sys, ray\nray.init(os.environ['RAY_ADDRESS'])\n"
        "print('nodes', len(ray.nodes()), 'cpus', ray.cluster_resources()['CPU'], sys.argv[1:], flush=True)\n"
        "sys.exit(7)\n",
        encoding="utf-8",
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
        "HOME": str(tmp_path),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "here",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "2",
    }
    done = subprocess.run(
        ["bash", _script(project_root), "e.yaml", "--set", "seed=1"],
        env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 7, done.stdout + done.stderr
    assert "nodes 1 cpus 2.0 ['sweep', 'e.yaml', '--set', 'seed=1', '--resume']" in done.stdout
    assert not list((tmp_path / ".drivereplay").iterdir()), "the token stays behind"
