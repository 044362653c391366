"""The picture of a front, as in the README, in `front --plot` and in TensorBoard's image tab."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, eligible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FREQUENCY = "replay.frequency"
ANCHORS = {
    "base": "base, untrained",
    "naive": "naive, ρ = 0",
    "replay-only": "replay only, ρ = 1",
    "equal": "equal weights",
}
FORMATS = (".png", ".svg", ".pdf")
# colour-blind safe (Okabe and Ito)
_FRONT, _OTHER, _ANCHOR, _KNEE, _ATTAINED = "#0072B2", "#8C8C8C", "#D55E00", "#CC79A7", "#009E73"
# about what a panel and a character of a name take, in points, and where a name may stand beside its point
_PANEL_PT, _CHARACTER_PT = (390.0, 260.0), (4.4, 10.0)
_SPOTS = tuple((dx, dy) for dy in (14, -24, 28, -38, 42) for dx in (-16, 16))


def front_figure(front: Front, *, title: str = "", surfaces: bool = False) -> Figure:
    """The candidates in the plane of the objectives: front as a staircase, intervals, anchors, knee, reference point.

    With three objectives there is one panel for each pair of them; a staircase is only drawn where there are two.

    Args:
        front: The front; finished candidates that are not on it stand behind it in grey.
        title: Drawn above.
        surfaces: With the median attainment surface and the band between 25 % and 75 %, over bootstrap draws of seeds
            and clips (`drivereplay.search.attainment`); for two objectives, where figures have intervals.
    """
    from matplotlib.figure import Figure

    pairs = list(combinations(range(len(front.objectives)), 2))
    figure = Figure(figsize=(6.4 * len(pairs), 4.4), dpi=110, layout="constrained")
    axes = figure.subplots(1, len(pairs), squeeze=False)[0]
    shaded = None
    for axis, (first, second) in zip(axes, pairs, strict=True):
        shaded = _panel(axis, front, first, second, surfaces) or shaded
    if shaded is not None:
        figure.colorbar(shaded, ax=list(axes), label="replay frequency ρ", shrink=0.9)
    handles, names = axes[0].get_legend_handles_labels()
    if surfaces and handles:
        # with the surfaces' names it would cover candidates inside the panel
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    heading = [title] if title else []
    if front.hypervolume is not None:
        heading.append(f"hypervolume {front.hypervolume:.4g}")
    if heading:
        figure.suptitle(" · ".join(heading), fontsize=11)
    return figure


def save_front(front: Front, file: str | Path, *, title: str = "") -> None:
    """Write the picture, with attainment surfaces, to a .png, .svg or .pdf file.

    Raises:
        SpecError: The file's ending is another one, or it cannot be written.
    """
    path = Path(file)
    if path.suffix.lower() not in FORMATS:
        raise SpecError(f"{path}: a picture cannot be written as '{path.suffix}'.", f"Use one of {', '.join(FORMATS)}.")
    figure = front_figure(front, title=title, surfaces=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # no date inside, so that the same front gives the same file
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
        figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise SpecError(f"The picture {path} cannot be written: {error}.", "Give another file.") from error


def front_pixels(front: Front, *, title: str = "") -> NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8 RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(front_figure(front, title=title))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _panel(axis: Axes, front: Front, first: int, second: int, surfaces: bool) -> Any:
    x_name, y_name = front.objectives[first], front.objectives[second]
    names = {c.name for c in front.front}
    behind = [c for c in eligible(front.candidates, front.objectives) if c.name not in names]
    two = len(front.objectives) == 2
    axis.set_axisbelow(True)
    axis.grid(visible=True, color="#E4E4E4", linewidth=0.7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for candidate in behind:
        _errorbar(axis, front, candidate, x_name, y_name, _OTHER, alpha=0.35)
    if behind:
        values = np.array([c.values((x_name, y_name)) for c in behind])
        axis.scatter(values[:, 0], values[:, 1], s=26, color=_OTHER, label="dominated", zorder=3)
    for candidate in front.front:
        _errorbar(axis, front, candidate, x_name, y_name, _FRONT, alpha=0.8)
    if two and len(front.front):
        # the staircase would otherwise decide the limits, which belong to the candidates
        axis.autoscale_view()
    shaded = _front_points(axis, front, first, second)
    if front.knee is not None:
        x, y = front.knee.values((x_name, y_name))
        axis.scatter([x], [y], s=190, facecolors="none", edgecolors=_KNEE, linewidths=2, zorder=5, label="knee")
    if front.reference:
        x, y = front.reference[first], front.reference[second]
        axis.scatter([x], [y], marker="x", s=46, color="black", zorder=4, label="reference point")
    if two and len(front.front):
        (x_low, x_high), (y_low, y_high) = axis.get_xlim(), axis.get_ylim()
        if surfaces:
            _attained(axis, front)
        _staircase(axis, front)
        axis.set_xlim(x_low, x_high)
        axis.set_ylim(y_low, y_high)
    _labels(axis, [*front.front, *behind], x_name, y_name)
    axis.set_xlabel(_axis_label(x_name, front.directions[first], "x"))
    axis.set_ylabel(_axis_label(y_name, front.directions[second], "y"))
    if axis.get_legend_handles_labels()[0] and not surfaces:
        # the ideal corner: nothing lies beyond the front, and matplotlib's own search for a free place takes long
        place = (
            "upper" if front.directions[second] == "max" else "lower",
            ("left", "right")[front.directions[first] == "max"],
        )
        axis.legend(fontsize=8, framealpha=0.9, edgecolor="none", loc=" ".join(place))
    return shaded


def _front_points(axis: Axes, front: Front, first: int, second: int) -> Any:
    """Coloured by ρ where it was searched; returns what a colour bar needs."""
    if not front.front:
        axis.text(0.5, 0.5, "no finished candidate yet", transform=axis.transAxes, ha="center", color=_OTHER)
        return None
    x, y = front.points[:, first], front.points[:, second]
    rho = [c.parameters.get(FREQUENCY) for c in front.front]
    style: dict[str, Any] = {"s": 62, "edgecolors": "black", "linewidths": 0.8, "zorder": 4, "label": "front"}
    if all(isinstance(value, int | float) for value in rho) and len(set(rho)) > 1:
        return axis.scatter(x, y, c=np.array(rho, dtype=float), cmap="viridis", **style)
    axis.scatter(x, y, color=_FRONT, **style)
    return None


def _staircase(axis: Axes, front: Front) -> None:
    """The border of the dominated area, and the area up to the edge of the panel."""
    xs, ys = _stairs(axis, front, front.points)
    axis.plot(xs, ys, color=_FRONT, linewidth=1.4, zorder=2)
    axis.fill([*xs, xs[-1]], [*ys, ys[0]], color=_FRONT, alpha=0.07, zorder=1, linewidth=0)


def _attained(axis: Axes, front: Front) -> None:
    """What a quarter, half and three quarters of bootstrap draws reach."""
    from drivereplay.search.attainment import bootstrap_attainment

    found = bootstrap_attainment(front)
    if not found:
        return
    quarter, median, most = (_stairs(axis, front, points) for points in found)
    band = ([*quarter[0], *reversed(most[0])], [*quarter[1], *reversed(most[1])])
    axis.fill(*band, color=_ATTAINED, alpha=0.22, linewidth=0, zorder=1.5, label="attained by 25 % to 75 % of draws")
    axis.plot(*median, color=_ATTAINED, linewidth=1.2, linestyle="--", zorder=2, label="median attainment")


def _stairs(axis: Axes, front: Front, points: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """The border of what (n, 2) points dominate, from the panel's worst y to its worst x.

    Along x from best to worst, y gets better; between two points the worse y holds until the next x.
    """
    limits = (axis.get_xlim(), axis.get_ylim())
    x_end, y_end = (high if way == "min" else low for way, (low, high) in zip(front.directions, limits, strict=True))
    xs = [points[0, 0], points[0, 0], *np.repeat(points[1:, 0], 2), x_end]
    ys = [y_end, *np.repeat(points[:, 1], 2)]
    return xs, ys


def _errorbar(
    axis: Axes, front: Front, candidate: Candidate, x_name: str, y_name: str, colour: str, alpha: float
) -> None:
    """What sets a candidate apart from the others; its own interval where figures are not known clip by clip.

    All are evaluated on the same clips: their own intervals would overlap even where every clip says which is better.
    """
    apart = front.certainty.apart
    # one seed of several has no place of its own
    known = apart.get(candidate.name) if apart else candidate.metrics
    if known is None:
        return
    x, y = known[x_name], known[y_name]
    style: dict[str, Any] = {"color": colour, "alpha": alpha, "linewidth": 0.9, "zorder": 2}
    if np.isfinite(x.low) and np.isfinite(x.high):
        axis.hlines(candidate.metrics[y_name].mean, x.low, x.high, **style)
    if np.isfinite(y.low) and np.isfinite(y.high):
        axis.vlines(candidate.metrics[x_name].mean, y.low, y.high, **style)


def _labels(axis: Axes, candidates: Sequence[Candidate], x_name: str, y_name: str) -> None:
    """The anchors' names, each where it covers least of the points and of the names before it."""
    points = np.array([c.values((x_name, y_name)) for c in candidates])
    anchors = [n for n, c in enumerate(candidates) if c.kind in ANCHORS]
    if not anchors:
        return
    shown = axis.transAxes.inverted().transform(axis.transData.transform(points)) * _PANEL_PT
    taken: list[tuple[float, ...]] = [(x - 4, y - 4, x + 4, y + 4) for x, y in shown]
    for n in sorted(anchors, key=lambda n: tuple(points[n])):
        name = ANCHORS[candidates[n].kind]
        size = (_CHARACTER_PT[0] * len(name), _CHARACTER_PT[1])
        (dx, dy), box = min(
            ((spot, _box(shown[n], spot, size)) for spot in _SPOTS),
            key=lambda found: sum(_overlap(found[1], other) for other in [*taken, *_outside(found[1])]),
        )
        taken.append(box)
        axis.annotate(
            name,
            tuple(points[n]),
            textcoords="offset points",
            xytext=(dx, dy),
            ha="right" if dx < 0 else "left",
            va="bottom",
            fontsize=8,
            color=_ANCHOR,
            zorder=6,
            arrowprops={"arrowstyle": "-", "color": _ANCHOR, "linewidth": 0.6},
        )


def _box(point: NDArray[np.float64], spot: tuple[int, int], size: tuple[float, float]) -> tuple[float, ...]:
    left = point[0] + spot[0] - (size[0] if spot[0] < 0 else 0.0)
    low = point[1] + spot[1]
    return (left, low, left + size[0], low + size[1])


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: tuple[float, ...]) -> list[tuple[float, ...]]:
    """What a name would cover beyond the panel."""
    far, (width, height) = 1e4, _PANEL_PT
    return [(-far, -far, 0, far), (width, -far, far, far), (-far, -far, far, 0), (-far, height, far, far)]


def _axis_label(name: str, direction: str, axis: str) -> str:
    arrows = {("x", "min"): "← better", ("x", "max"): "better →", ("y", "min"): "← better", ("y", "max"): "better →"}
    return f"{name}   ({arrows[axis, direction]})"
