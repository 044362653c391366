// A candidate's training curves, small, those of a compared candidate in the same charts.

import { el, replace } from "./dom.js";
import { Pane } from "./pane.js";
import { extent, format, scale } from "./scale.js";
import { theme } from "./theme.js";

const MOST_CHARTS = 24;

/** Draw curves into a host: `sets` is `[{label, colour, curves}]`, curves being run → tag → `[[step, value], …]`. */
export function showCurves(host, sets) {
  const byTag = new Map();
  for (const { label, colour, curves } of sets) {
    for (const tags of Object.values(curves)) {
      for (const [tag, points] of Object.entries(tags)) {
        const clean = points.map(([step, value]) => [step, typeof value === "number" ? value : NaN]).filter(([, value]) => Number.isFinite(value));
        if (clean.length < 2) continue;
        if (!byTag.has(tag)) byTag.set(tag, []);
        byTag.get(tag).push({ label, colour, points: clean });
      }
    }
  }
  if (!byTag.size) {
    replace(host, el("p", { class: "note" }, "No scalar curves lie in the runs of this candidate."));
    return;
  }
  const tags = [...byTag.keys()].sort();
  const charts = tags.slice(0, MOST_CHARTS).map((tag) => {
    const area = el("div", { class: "chart-area" });
    const figure = el("figure", { class: "chart", "data-tag": tag }, el("figcaption", { title: tag }, tag), area);
    new Pane(area, (pen, width, height) => paint(pen, width, height, byTag.get(tag)));
    return figure;
  });
  replace(host, ...charts, tags.length > MOST_CHARTS ? el("p", { class: "note" }, `and ${tags.length - MOST_CHARTS} more under Time Series`) : null);
}

function paint(pen, width, height, lines) {
  const colours = theme();
  const all = lines.flatMap((line) => line.points);
  const xs = scale(...extent(all.map(([step]) => step), 0), 36, width - 6);
  const ys = scale(...extent(all.map(([, value]) => value), 0.05), height - 14, 5);
  for (const tick of [ys.low, ys.high]) {
    const y = ys.map(tick);
    pen.line([[36, y], [width - 6, y]], { stroke: colours.line });
    pen.text(format(tick, 3), 33, tick === ys.low ? y : y + 7, { fill: colours.soft, size: 9.5, align: "end" });
  }
  for (const tick of [xs.low, xs.high]) pen.text(format(tick, 3), xs.map(tick), height - 3, { fill: colours.soft, size: 9.5, align: tick === xs.low ? "start" : "end" });
  for (const { colour, points } of lines) pen.line(points.map(([step, value]) => [xs.map(step), ys.map(value)]), { stroke: colour, width: 1.4 });
}
