"""The Pareto tab as one self-contained HTML file, to send to someone: no server, no other file, no request."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext

from tensorboard_pareto.plugin import frontend_files
from tensorboard_pareto.reader import Reader

MOST_VIDEO_BYTES = 40_000_000
"""Film strips beyond this total are left out, so that the page still opens and can be sent."""
_IMPORT = re.compile(rb'(?P<head>\bfrom |\bimport )"\./(?P<name>[\w.]+)"')
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def write_page(logdir: str | Path, file: str | Path, *, title: str = "Pareto") -> int:
    """Write the page.

    Curves, settings and videos go along for the candidates on the fronts of their sweep's objectives and for anchors;
    figures and parameters for all candidates.

    Args:
        logdir: A log directory; anything TensorBoard reads.
        file: The HTML file.
        title: The page's title.

    Returns:
        Number of candidates.

    Raises:
        OSError: The file cannot be written.
    """
    data = collect(str(logdir))
    Path(file).write_bytes(page(data, title))
    return len(data["candidates"])


def collect(logdir: str) -> dict[str, Any]:
    """What the page holds: candidates, setups, problems, details of some candidates, film strips."""
    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 1000})
    multiplexer.AddRunsFromDirectory(logdir)
    multiplexer.Reload()
    ctx = RequestContext()
    reader = Reader(MultiplexerDataProvider(multiplexer, logdir))
    reader.refresh(ctx)
    found = reader.page(limit=None)
    candidates = [json.loads(data) for data in found.candidates]
    videos: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    details = []
    room = MOST_VIDEO_BYTES
    for candidate in candidates:
        run, name = candidate["run"], candidate["name"]
        detail: dict[str, Any] = {"run": run, "name": name, "settings": reader.settings(ctx, run, name) or ""}
        detail["curves"] = reader.curves(ctx, run, name)
        detail["videos"] = []
        for video in reader.videos(ctx, run, name):
            key = video.pop("key")
            if key not in places:
                strip = reader.strip(ctx, key) or b""
                if len(strip) > room:
                    continue
                room -= len(strip)
                places[key] = len(videos)
                videos.append({**video, "url": "data:image/png;base64," + base64.b64encode(strip).decode()})
            detail["videos"].append(places[key])
        details.append(detail)
    return {
        "candidates": candidates,
        "setups": found.setups,
        "problems": found.problems,
        "details": details,
        "videos": videos,
    }


def page(data: dict[str, Any], title: str) -> bytes:
    """The HTML document.

    A page that is opened from a file may not load modules from beside it. So each module is in the page as a data
    address, and an import map gives them back the names by which they import each other.
    """
    files = frontend_files()
    modules = {}
    for name, source in files.items():
        if name.endswith(".js"):
            named = _IMPORT.sub(rb'\g<head>"pareto/\g<name>"', source)
            modules[f"pareto/{name}"] = "data:text/javascript;base64," + base64.b64encode(named).decode()
    # `<` could end the script element that holds the data
    embedded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    style = files["style.css"].decode()
    start = (
        'import { render } from "pareto/index.js";'
        'void render(JSON.parse(document.getElementById("pareto-data").textContent));'
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_escaped(title)}</title><style>{style}</style>",
        f'<script type="importmap">{json.dumps({"imports": modules})}</script></head><body>',
        f'<script type="application/json" id="pareto-data">{embedded}</script>',
        f'<script type="module">{start}</script></body></html>',
    ]
    return "\n".join(parts).encode("utf-8", "replace")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
