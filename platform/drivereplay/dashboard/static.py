"""The Pareto tab as one HTML file."""

from __future__ import annotations

from pathlib import Path

from drivereplay.dashboard.serve import log_directory
from drivereplay.errors import SpecError


def write_static(directory: str | Path, file: str | Path) -> Path:
    """Write the Pareto tab of a run, or of a folder of runs, as one self-contained page.

    Args:
        directory: As for the dashboard.
        file: The HTML file.

    Returns:
        The file.

    Raises:
        SpecError: There is no such directory, it holds no candidate, or the file cannot be written.
    """
    from tensorboard_pareto.static_page import collect, page

    path = Path(file)
    logdir = log_directory(directory)
    data = collect(logdir)
    if not data["candidates"]:
        raise SpecError(f"There are no candidates in {logdir}.", "Give the directory of a sweep.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page(data, f"Pareto front of {Path(logdir).parent.name or logdir}"))
    except OSError as error:
        raise SpecError(f"{path} cannot be written: {error}.", "Give another file.") from error
    return path
