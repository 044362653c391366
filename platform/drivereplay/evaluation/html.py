"""An evaluation as one self-contained page: numbers, curves, and the worst and best clips as videos."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from drivereplay.domains.mp4 import encode_video
from drivereplay.evaluation.draw import side_by_side
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.gallery import Gallery, Shown
from drivereplay.evaluation.metric import metric, metric_names, plain_name
from drivereplay.evaluation.report import Estimate, Report
from drivereplay.storage import Storage

FILE = "evaluation.html"
COLOURS = {
    "generated": "#d9480f",
    "real": "#2b8a3e",
    "frozen": "#868e96",
    "constant-motion": "#1971c2",
    "reconstruction": "#9c36b5",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid #e3e6ea;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600;background:#f6f7f9}
.interval,.note{color:#6a737d;font-size:.87em}.warning{background:#fff4e6;
border-left:4px solid #f08c00;padding:.4rem .8rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1.2rem}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(28rem,1fr));gap:1.2rem}
figure{margin:0}figcaption{font-size:.9em;margin-bottom:.2rem;overflow-wrap:anywhere}video{width:100%;border-radius:4px}
svg{width:100%;height:auto}.key span{display:inline-block;margin-right:1.2em}.key i{display:inline-block;width:1.4em;
height:3px;vertical-align:middle;margin-right:.4em}.scroll{overflow-x:auto}pre{white-space:pre-wrap;font-size:.85em}
"""


def write_page(report: Report, gallery: Gallery, storage: Storage, name: str = FILE, title: str = "Evaluation") -> None:
    """Write the page; it opens without a network and holds everything it shows."""
    storage.write(name, page(report, gallery, title).encode())


def page(report: Report, gallery: Gallery, title: str = "Evaluation") -> str:
    """The page as text."""
    fields = report.protocol.fields
    sets: Mapping[str, Any] = fields.get("sets") or {"": fields}
    one = next(iter(sets.values()))
    shape = f"{one['width']}×{one['height']} px, {one['frames']} frames at {one['fps']:g} fps"
    counts = ", ".join(f"{part['clips']['count']} {name}".strip() for name, part in sets.items())
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(counts)} clips of {shape}, {one['context']} of them given. "
        f"Protocol <code>{report.protocol.hash}</code>. Intervals: 95 %, over recordings, then clips.</p>",
        _warnings(report),
        "<h2>Figures</h2>",
        _table(report),
        _best(report),
        "<h2>Error over the horizon</h2>",
        _key(report),
        '<div class="charts">',
        *(_chart(name, report) for name in _ordered(report.tables.get("horizon", {}))),
        "</div>",
        _clips("Worst clips", gallery.worst()),
        _clips("Best clips", gallery.best()),
        "<h2>Protocol</h2>",
        f"<pre>{html.escape(json.dumps(fields, indent=1, ensure_ascii=False))}</pre>",
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _ordered(names: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """In the order of the registry, a metric's evaluation sets one after the other."""
    order = metric_names()
    return sorted(names, key=lambda name: order.index(plain_name(name)))


def _table(report: Report) -> str:
    rows = list(report.references)
    head = "".join(f"<th>{html.escape(row)}</th>" for row in rows)
    lines = []
    for name in _ordered(report.metrics):
        arrow = "lower is better" if report.directions[name] == "min" else "higher is better"
        label = (
            f'<td title="{html.escape(metric(name).summary())}">{name} '
            f'<span class="note">{html.escape(report.units[name])}, {arrow}</span></td>'
        )
        cells = "".join(f"<td>{_number(report.references[row].get(name))}</td>" for row in rows)
        estimate = report.metrics[name]
        lines.append(f"<tr>{label}<td>{_estimate(estimate)}</td>{cells}<td>{estimate.n}</td></tr>")
    head = f"<tr><th>metric</th><th>generated</th>{head}<th>clips</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(lines)}</table></div>'


def _best(report: Report) -> str:
    """Best of k, set figures without the bias of few clips, and figures by split, where there are any."""
    columns: dict[str, Mapping[str, Any]] = {}
    if report.tables.get("unbiased"):
        columns["with endless clips"] = report.tables["unbiased"]
    if report.tables.get("best"):
        columns["best of k"] = report.tables["best"]
    columns |= report.tables.get("split", {})
    if not columns:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = []
    for name in _ordered(report.metrics):
        cells = [_estimate(Estimate(**_known(table[name]))) if name in table else "–" for table in columns.values()]
        lines.append(f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    table = f"<table><tr><th>metric</th>{head}</tr>{''.join(lines)}</table>"
    return f'<h2>By sample and split</h2><div class="scroll">{table}</div>'


def _known(figures: Mapping[str, Any]) -> dict[str, Any]:
    """A table's figures as numbers; JSON has null for NaN."""
    return {key: math.nan if value is None else value for key, value in figures.items()}


def _estimate(estimate: Estimate) -> str:
    if estimate.low is None or math.isnan(estimate.low):
        return f"{_plain(estimate.mean)}"
    bounds = f"[{_plain(estimate.low)}, {_plain(estimate.high)}]"
    return f'<b>{_plain(estimate.mean)}</b> <span class="interval">{bounds}</span>'


def _number(estimate: Estimate | None) -> str:
    return "–" if estimate is None else _plain(estimate.mean)


def _plain(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3g}"


def _warnings(report: Report) -> str:
    """Warnings; where they are many, what merely does not apply is folded away."""
    lines = [(f'<p class="warning">{html.escape(text)}</p>', _is_minor(text)) for text in report.warnings]
    minor = [line for line, folded in lines if folded]
    if len(minor) < 4:
        return "".join(line for line, _ in lines)
    shown = "".join(line for line, folded in lines if not folded)
    return f"{shown}<details><summary>{len(minor)} notes on what does not apply</summary>{''.join(minor)}</details>"


def _is_minor(text: str) -> bool:
    return "is left out: it needs" in text or "does not apply to the others" in text


def _key(report: Report) -> str:
    names = ["generated", *report.references]
    spans = (f'<span><i style="background:{COLOURS.get(n, "#000")}"></i>{html.escape(n)}</span>' for n in names)
    return f'<p class="key">{"".join(spans)}</p>'


def _chart(name: str, report: Report) -> str:
    """One metric against seconds ahead, with the reference rows, as inline SVG."""
    table = report.tables["horizon"][name]
    seconds, lines = table["seconds"], {"generated": table["mean"], **table["references"]}
    # an identical video's capped figure would flatten every other line
    if plain_name(name) == "fidelity.psnr":
        lines = {row: values for row, values in lines.items() if row != "real"}
    known = [v for values in (*lines.values(), table["low"], table["high"]) for v in values if _is_number(v)]
    if sum(_is_number(v) for v in table["mean"]) < 2:
        # one point is no curve: the figure is in the table
        return ""
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 1, high + 1
    width, height, left, bottom = 360, 200, 58, 26
    end = seconds[-1]

    def x(second: float) -> float:
        return left + (width - left - 8) * second / end

    def y(value: float) -> float:
        return 8 + (height - bottom - 8) * (high - value) / (high - low)

    marks = [
        f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{_plain(v)}</text>'
        f'<line x1="{left}" x2="{width - 8}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#e3e6ea"/>'
        for v in (low, (low + high) / 2, high)
    ]
    for second, anchor in ((end / 2, "middle"), (end, "end")):
        marks.append(f'<text x="{x(second):.1f}" y="{height - 8}" text-anchor="{anchor}">{second:g} s</text>')
    there = [(s, a, b) for s, a, b in zip(seconds, table["low"], table["high"], strict=True) if _is_number(a)]
    if there:
        points = [f"{x(s):.1f},{y(b):.1f}" for s, _, b in there]
        points += [f"{x(s):.1f},{y(a):.1f}" for s, a, _ in reversed(there)]
        marks.append(f'<polygon points="{" ".join(points)}" fill="{COLOURS["generated"]}" fill-opacity=".15"/>')
    for row, values in lines.items():
        line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(seconds, values, strict=True) if _is_number(v))
        wide = 2.2 if row == "generated" else 1.3
        marks.append(
            f'<polyline points="{line}" fill="none" stroke="{COLOURS.get(row, "#000")}" stroke-width="{wide}"/>'
        )
    svg = f'<svg viewBox="0 0 {width} {height}" font-size="11" fill="#6a737d">{"".join(marks)}</svg>'
    return f"<figure><figcaption>{name}, {html.escape(report.units[name])}</figcaption>{svg}</figure>"


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _clips(title: str, shown: Sequence[Shown]) -> str:
    if not shown:
        return ""
    figures = []
    for entry in shown:
        real = Footage.of(entry.clip)
        frames = side_by_side(real, real.with_frames(entry.generated))
        data = base64.b64encode(encode_video(frames, entry.clip.fps)).decode()
        caption = f"{html.escape(entry.clip.name)} — {entry.metric} {_plain(entry.figure)}"
        video = f'<video controls autoplay loop muted playsinline src="data:video/mp4;base64,{data}"></video>'
        figures.append(f"<figure><figcaption>{caption}</figcaption>{video}</figure>")
    note = (
        "Left: real. Right: generated. Green: where the real objects are. Orange: what was followed in the generated "
        "video. Blue: motion that remains once the dominant one is taken out. A grey bar marks given frames."
    )
    return f'<h2>{title}</h2><p class="note">{note}</p><div class="clips">{"".join(figures)}</div>'
