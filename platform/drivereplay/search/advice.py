"""The recommendation in words: which setting, how sure its values are, and what it changes against naive and base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivereplay.search.seeds import Setting, drawn
from drivereplay.search.space import FREQUENCY, WEIGHTS
from drivereplay.spec import read_spec

if TYPE_CHECKING:
    from drivereplay.search.front import Front

Floats = NDArray[np.float64]
DRAWS = 400
NARROW = 0.5
"""A value is determined if the settings that may be the best agree on it to within this share of all that was tried."""


def advice(front: Front) -> str:
    """One paragraph on the knee; empty for an empty front.

    A setting may be the best if it is the knee in at least one in forty paired draws, or if no objective tells it from
    the knee (its paired interval holds 0). The ranges of ρ and of the weights are those of these settings.
    """
    if front.knee is None:
        return ""
    settings = front.rivals()
    alike = _alike(front, settings)
    said = _shares(front, settings, alike)
    parts = [f"Suggested: {said}." if said else ""]
    parts.append(_others(front, len(alike)))
    parts += [_against(front, anchor) for anchor in ("naive", "base")]
    return " ".join(part for part in parts if part)


def _alike(front: Front, settings: Sequence[Setting]) -> list[Setting]:
    """The settings that may be the best, the knee first."""
    from drivereplay.search.front import knee_of, non_dominated, signs

    assert front.knee is not None
    names = [setting.candidate.name for setting in settings]
    knee = names.index(front.knee.name)
    draws = drawn(settings, front.objectives, DRAWS, 0) * signs(front.directions)
    count = np.zeros(len(settings))
    for draw in draws:
        kept = np.flatnonzero(non_dominated(draw))
        place = knee_of(draw[kept])
        if place is not None:
            count[kept[place]] += 1
    low, high = np.quantile(draws - draws[:, [knee]], [0.025, 0.975], axis=0)
    moves = np.ptp(draws - draws[:, [knee]], axis=0) > 0
    same = np.all((low <= 0) & (high >= 0) & moves, axis=1)
    chosen = [n for n in range(len(settings)) if n != knee and (count[n] >= DRAWS / 40 or same[n])]
    return [settings[n] for n in (knee, *chosen)]


def _shares(front: Front, settings: Sequence[Setting], alike: Sequence[Setting]) -> str:
    """ρ and the weights that are determined, in words; empty where neither is searched."""
    tuned = [s.candidate.parameters for s in alike if s.candidate.kind != "base"]
    tried = [s.candidate.parameters for s in settings if s.candidate.kind != "base"]
    assert front.knee is not None
    if front.knee.kind == "base" or not tuned or not any(FREQUENCY in p or WEIGHTS in p for p in tried):
        return ""
    said = ""
    rho = np.array([float(p[FREQUENCY]) for p in tuned if FREQUENCY in p])
    if len(rho):
        said = f"ρ ≈ {rho[0]:.2g} [{rho.min():.2g}, {rho.max():.2g}]"
    mixes, all_mixes = _mixes(tuned), _mixes(tried)
    if not len(mixes):
        return said
    names = _domains(front, mixes.shape[1])
    wide = np.ptp(all_mixes, axis=0)
    sure = (np.ptp(mixes, axis=0) <= NARROW * wide) & (wide > 0)
    known = [
        f"{mixes[0, n]:.2g} [{mixes[:, n].min():.2g}, {mixes[:, n].max():.2g}] of `{names[n]}`"
        for n in np.argsort(-mixes[0], kind="stable")
        if sure[n]
    ]
    unsure = [f"`{names[n]}`" for n in range(len(names)) if not sure[n]]
    weights = ", ".join(known)
    said = f"{said}, of which {weights}" if said and weights else said or f"weights {weights}"
    if not known:
        return f"{said}; the weights are not determined"
    return said + (f"; the weights of {', '.join(unsure)} are not determined" if unsure else "")


def _mixes(parameters: Sequence[object]) -> Floats:
    """(n, K) weights of those that have some, a domain that was added later with 0."""
    found = [p[WEIGHTS] for p in parameters if isinstance(p, dict) and p.get(WEIGHTS) and p.get(FREQUENCY, 1.0)]
    width = max((len(weights) for weights in found), default=0)
    padded = [[*weights, *[0.0] * (width - len(weights))] for weights in found]
    rows = np.array(padded, dtype=np.float64).reshape(len(padded), width)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True)) if len(rows) else rows


def _domains(front: Front, count: int) -> list[str]:
    """Names of the replay domains, or their places where the experiment is not at hand."""
    if front.directory is not None and front.directory.exists("spec.yaml"):
        spec = read_spec(front.directory.read("spec.yaml"), where=f"{front.directory.uri}/spec.yaml")
        names = [domain.name for domain in spec.replay.domains]
        if len(names) >= count:
            return names
    return [f"domain {n + 1}" for n in range(count)]


def _others(front: Front, count: int) -> str:
    assert front.knee is not None
    if count == 1:
        return f"No other setting that was tried can be told to be as good as {front.knee.name}."
    return f"{count - 1} other settings cannot be told from {front.knee.name}, or may be the knee."


def _against(front: Front, anchor: str) -> str:
    """Paired differences of the knee to an anchor."""
    assert front.knee is not None
    found = front.certainty.differences.get(front.knee.name, {}).get(anchor)
    if not found:
        return ""
    cells = []
    for objective, e in found.items():
        interval = f" [{e.low:+.3g}, {e.high:+.3g}]" if np.isfinite(e.low) else ""
        cells.append(f"{objective} {e.mean:+.3g}{interval}")
    return f"Against {anchor}: {', '.join(cells)}."
