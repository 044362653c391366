"""The verbs as functions: what the command line calls and what `import drivereplay` offers."""

from __future__ import annotations

from drivereplay.api.footage import (
    enforce_quality,
    foresee_plan,
    ingest,
    list_worlds,
    plan,
    quality_report,
    write_worlds,
)
from drivereplay.api.fronts import (
    QUICKSTART,
    Demo,
    candidate_spec,
    compare_fronts,
    demo,
    export_candidate,
    foresee_sweep,
    front,
    plot_front,
    sweep,
)
from drivereplay.api.judging import compare, evaluate, evaluate_videos, spec_of_checkpoint
from drivereplay.api.keys import describe_keys
from drivereplay.api.places import (
    doctor,
    install_weights,
    job_logs,
    list_jobs,
    open_dashboard,
    status,
    stop_job,
    submit,
    write_static_dashboard,
)
from drivereplay.api.runs import foresee, generate, prepare, train
from drivereplay.spec import load_quality, load_spec

__all__ = [
    "quality_report",
    "enforce_quality",
    "QUICKSTART",
    "Demo",
    "candidate_spec",
    "compare",
    "compare_fronts",
    "demo",
    "describe_keys",
    "doctor",
    "evaluate",
    "evaluate_videos",
    "export_candidate",
    "foresee",
    "foresee_plan",
    "foresee_sweep",
    "front",
    "generate",
    "ingest",
    "install_weights",
    "job_logs",
    "list_jobs",
    "list_worlds",
    "load_quality",
    "load_spec",
    "open_dashboard",
    "plan",
    "plot_front",
    "prepare",
    "spec_of_checkpoint",
    "status",
    "stop_job",
    "submit",
    "sweep",
    "train",
    "write_static_dashboard",
    "write_worlds",
]
