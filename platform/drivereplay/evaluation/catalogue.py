"""The list of metrics for the docs, made from the registry so that it cannot go stale."""

from __future__ import annotations

from drivereplay.evaluation.metric import metric, metric_names

BEGIN, END = "<!-- metrics: generated -->", "<!-- end of metrics -->"


def catalogue() -> str:
    """A markdown table: name, whether it is primary, unit, direction, what it needs, what it is."""
    lines = ["| name | ladder | unit | better | needs | definition |", "| --- | --- | --- | --- | --- | --- |"]
    for name in metric_names():
        one = metric(name)
        needs = sorted(one.needs) + [f"weights `{w}`" for w in one.weights]
        better = "near 0" if one.signed else "lower" if one.direction == "min" else "higher"
        summary = one.summary().replace("|", "\\|")
        unit = one.unit.replace("|", "\\|")
        lines.append(
            f"| `{name}` | {standing(name)} | {unit} | {better} | {', '.join(needs) or 'frames'} | {summary} |"
        )
    return "\n".join(lines)


def standing(name: str) -> str:
    """What the cheat ladder says of a metric: its AUC on worlds and on recordings, bold where it is primary."""
    one = metric(name)
    if one.auc is None:
        return ""
    figures = " / ".join("–" if value != value else f"{value:.2f}".lstrip("0") for value in one.auc)
    return f"**{figures}**" if one.primary else figures


def inserted(text: str) -> str:
    """`text` with the table between its two marks made anew.

    Raises:
        ValueError: The marks are not there.
    """
    head, _, rest = text.partition(BEGIN)
    _, mark, tail = rest.partition(END)
    if not mark:
        raise ValueError(f"the marks {BEGIN} and {END} are not in the text")
    return f"{head}{BEGIN}\n{catalogue()}\n{END}{tail}"
