"""Compares variants of the recipe at equal CPU time, by the held-out loss near σ = 1.

    python experiments/recipes/base/variants.py --out DIRECTORY --minutes 10            # runs them, then the table
    python experiments/recipes/base/variants.py --out DIRECTORY --minutes 10 --table    # the table alone

A variant is a line of variants.yaml: changes of the training section, and perhaps another variant's run that it
branches off from. Each is a run of train.py with a log of its own. Process CPU time is what counts: how busy the
machine is then matters little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from recipe import HERE
from train import HELD_OUT_LEVELS


def command(name: str, variant: Mapping[str, Any], out: Path, latents: Path, minutes: float) -> list[str]:
    """The call of train.py that brings a variant, the run before its branch included, to `minutes` of CPU time."""
    call = [sys.executable, str(HERE / "train.py"), "--out", str(out / name), "--latents", str(latents), "--no-render"]
    call += ["--hours", str(minutes / 60)]
    if "start" in variant:
        call += ["--start", str(out / variant["start"] / "state.pt")]
    for key, value in variant.get("set", {}).items():
        call += ["--set", f"{key}={value}"]
    return call


def read_log(path: Path) -> list[dict[str, Any]]:
    """Lines of a log by CPU time; the later one counts where a run was taken up again from an earlier state."""
    by_step: dict[int, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        by_step = {step: kept for step, kept in by_step.items() if step < entry["step"]} | {entry["step"]: entry}
    return list(by_step.values())


def loss_at(log: list[dict[str, Any]], level: str, cpu_s: float) -> float:
    """Held-out loss at a CPU time, on the line between the two reports around it."""
    return float(np.interp(cpu_s, [entry["cpu_s"] for entry in log], [entry["held_out"][level] for entry in log]))


def table(logs: Mapping[str, list[dict[str, Any]]], minutes: list[float]) -> str:
    """Markdown: held-out loss by noise level of each variant at each of the CPU times."""
    levels = [f"{level:g}" for level in HELD_OUT_LEVELS]
    lines = [f"| variant | CPU minutes | steps | {' | '.join(f'σ = {level}' for level in levels)} |"]
    lines.append("| --- " * (3 + len(levels)) + "|")
    for at in minutes:
        for name, log in logs.items():
            if not log or not log[0]["cpu_s"] <= 60 * at <= log[-1]["cpu_s"]:
                continue
            steps = np.interp(60 * at, [e["cpu_s"] for e in log], [e["step"] for e in log])
            cells = [f"{loss_at(log, level, 60 * at):.3f}" for level in levels]
            lines.append(f"| {name} | {at:g} | {steps:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the variants' runs")
    parser.add_argument("--latents", type=Path, help="directory of the shards; beside the runs by default")
    parser.add_argument("--minutes", type=float, nargs="+", required=True, help="CPU minutes to compare at")
    parser.add_argument("--only", nargs="+", help="names of variants")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args(arguments)
    variants = yaml.safe_load((HERE / "variants.yaml").read_text(encoding="utf-8"))
    chosen = {name: variant or {} for name, variant in variants.items() if not options.only or name in options.only}
    for name, variant in chosen.items():
        if not options.table:
            latents = options.latents or options.out.parent / "latents"
            subprocess.run(command(name, variant, options.out, latents, max(options.minutes)), check=True)
    logs = {name: options.out / name / "log.jsonl" for name in chosen}
    print(table({name: read_log(path) for name, path in logs.items() if path.exists()}, options.minutes))


if __name__ == "__main__":
    main()
