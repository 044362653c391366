// The picture of the fronts: drawn with a pen, on screen and for export alike.

import { extent, format, scale } from "./scale.js";
import { split } from "./store.js";
import { CATEGORIES } from "./theme.js";

export const ANCHORS = { base: "base, untrained", naive: "naive, ρ = 0", "replay-only": "replay only, ρ = 1", equal: "equal weights" };
const SEARCHED = new Set(["trial", "replicate", "proposal", "candidate"]);
const MANY = 200;

/** Scales and pixel positions of all points for a picture of this size. */
export function layOut(view, state, width, height) {
  const right = view.colour ? (view.colour.numeric ? 78 : 132) : 18;
  const box = { left: 66, top: 14, right: width - right, bottom: height - 44 };
  const range = (axis, pick, k) => {
    let [low, high] = extent(view.points.map(pick), 0.06, axis.log);
    const span = high - low;
    for (const front of view.fronts) {
      const value = front.reference?.[k];
      // a far-off reference point would squeeze everything else into a corner
      if (Number.isFinite(value) && !axis.log && value > low - span && value < high + span) {
        low = Math.min(low, value - span * 0.02);
        high = Math.max(high, value + span * 0.02);
      }
    }
    return [low, high];
  };
  const zoom = state.zoom.length === 4 ? state.zoom : null;
  const [x0, x1] = zoom ? zoom.slice(0, 2) : range(view.axes.x, (p) => p.x, 0);
  const [y0, y1] = zoom ? zoom.slice(2) : range(view.axes.y, (p) => p.y, 1);
  const xs = scale(x0, x1, box.left, box.right, view.axes.x.log);
  const ys = scale(y0, y1, box.bottom, box.top, view.axes.y.log, 44);
  for (const point of view.points) {
    point.px = xs.map(point.x);
    point.py = ys.map(point.y);
  }
  return { box, xs, ys, width, height };
}

/** Everything but what follows the pointer. */
export function drawScatter(pen, layout, view, state, colours) {
  const { box } = layout;
  drawAxes(pen, layout, view, colours);
  pen.clip(box.left - 1, box.top - 1, box.right - box.left + 2, box.bottom - box.top + 2, () => {
    if (state.fronts) for (const front of view.fronts) drawFront(pen, layout, view, front, colours);
    drawPoints(pen, view, state, colours);
    for (const front of view.fronts) drawReference(pen, layout, front, colours);
    drawLabels(pen, layout, view, colours);
  });
  drawLegend(pen, layout, view, colours);
}

function drawAxes(pen, { box, xs, ys }, view, colours) {
  for (const tick of xs.ticks) {
    const x = xs.map(tick);
    pen.line([[x, box.top], [x, box.bottom]], { stroke: colours.line });
    pen.text(format(tick), x, box.bottom + 15, { fill: colours.soft, align: "middle", size: 11 });
  }
  for (const tick of ys.ticks) {
    const y = ys.map(tick);
    pen.line([[box.left, y], [box.right, y]], { stroke: colours.line });
    pen.text(format(tick), box.left - 7, y + 4, { fill: colours.soft, align: "end", size: 11 });
  }
  pen.line([[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]], { stroke: colours.axis });
  const { x, y } = view.axes;
  const arrows = { min: "← better", max: "better →" };
  const label = (axis) => `${axis.label}${axis.unit ? ` [${axis.unit}]` : ""}${axis.log ? ", log" : ""}`;
  const full = (axis) => (axis.direction === "min" ? `${arrows.min}   ${label(axis)}` : axis.direction === "max" ? `${label(axis)}   ${arrows.max}` : label(axis));
  pen.text(full(x), (box.left + box.right) / 2, box.bottom + 34, { fill: colours.ink, align: "middle", size: 12.5, weight: 500 });
  pen.text(full(y), 15, (box.top + box.bottom) / 2, { fill: colours.ink, align: "middle", size: 12.5, weight: 500, rotate: -90 });
}

function colourOf(front, view, colours) {
  return view.fronts.length > 1 ? CATEGORIES[front.place % CATEGORIES.length] : colours.front;
}

/** The staircase and the area that it dominates; with three objectives the outline would mean nothing, so it is left out. */
function drawFront(pen, { box, xs, ys }, view, front, colours) {
  if (!front.points.length || front.used.length > 2) return;
  const colour = colourOf(front, view, colours);
  const worstX = view.axes.x.direction === "min" ? Math.max(box.right, xs.map(xs.high)) + 2 : box.left - 2;
  const worstY = view.axes.y.direction === "min" ? box.top - 2 : box.bottom + 2;
  const points = [...front.points].sort((a, b) => (view.axes.x.direction === "min" ? a.x - b.x : b.x - a.x));
  const steps = [[points[0].px, worstY]];
  points.forEach((point, i) => {
    if (i) steps.push([point.px, points[i - 1].py]);
    steps.push([point.px, point.py]);
  });
  steps.push([worstX, points.at(-1).py]);
  pen.polygon([...steps, [worstX, worstY]], { fill: colour, alpha: colours.dark ? 0.13 : 0.07 });
  pen.line(steps, { stroke: colour, width: 1.8 });
}

function drawPoints(pen, view, state, colours) {
  const few = view.points.length <= MANY;
  const layers = [[], [], [], []];
  for (const point of view.points) {
    const finished = point.candidate.status === "finished";
    if (!finished && !state.aside) continue;
    if (finished && !point.onFront && !state.dominated) continue;
    layers[!point.match ? 0 : !finished ? 1 : point.onFront ? 3 : 2].push(point);
  }
  if (state.bars) for (const point of [...(few ? layers[2] : []), ...layers[3]]) drawBars(pen, point, view, colours);
  drawMany(pen, layers[0], () => colours.dominated, () => 2.6, 0.22, view.layout.box);
  for (const point of layers[1]) drawAside(pen, point, colours);
  const size = (point, usual) => (view.sizes ? view.sizes(point.candidate) : usual);
  const fill = (point) => point.fill ?? (point.onFront ? colours.front : colours.dominated);
  const usual = few ? 4.2 : 3;
  drawMany(pen, layers[2], fill, (point) => Math.round(2 * size(point, usual)) / 2, few ? (colours.dark ? 0.95 : 0.75) : 0.6, view.layout.box);
  for (const point of layers[3]) {
    pen.marker(point.shape, point.px, point.py, size(point, 6), { fill: fill(point), stroke: colours.ink, width: 1.3 });
  }
  for (const front of view.fronts) {
    if (front.knee) pen.marker("circle", front.knee.px, front.knee.py, size(front.knee, 6) + 5, { stroke: colours.knee, width: 2 });
  }
}

/** Points `{px, py, shape}` by shape, colour and size, so that thousands cost few changes of the pen. */
export function drawMany(pen, points, fill, size, alpha, box) {
  const groups = new Map();
  for (const point of points) {
    const [colour, r] = [fill(point), size(point)];
    // the shape is that of the sweep before, mostly; building a key for each point would cost more than drawing it
    const last = groups.get(colour);
    const key = !last || (last.shape === point.shape && last.r === r) ? colour : `${point.shape} ${colour} ${r}`;
    const group = groups.get(key);
    if (group) group.places.push(point);
    else groups.set(key, { shape: point.shape, fill: colour, r, places: [point] });
  }
  pen.dots([...groups.values()], alpha, box);
}

/** Not finished: a hollow ring while it runs, a cross where it failed, a small square where it was stopped early, a diamond where it breaks a constraint. */
function drawAside(pen, point, colours) {
  const style = { stroke: colours.aside, width: 1.4 };
  if (point.candidate.status === "failed") pen.marker("cross", point.px, point.py, 4, style);
  else if (point.candidate.status === "stopped") pen.marker("square", point.px, point.py, 3.2, style);
  else if (point.candidate.status === "infeasible") pen.marker("diamond", point.px, point.py, 3.4, style);
  else pen.marker("circle", point.px, point.py, 3.8, style);
}

function drawBars(pen, point, view, colours) {
  const { candidate, px, py, scaleX, scaleY } = { ...point, scaleX: view.layout.xs, scaleY: view.layout.ys };
  const stroke = colours.dark ? "#9e9e9e" : "#757575";
  const alpha = point.onFront ? 0.85 : 0.35;
  if (candidate.pairs?.length > 1) {
    drawEllipse(pen, candidate.pairs.map(([x, y]) => [scaleX.map(x), scaleY.map(y)]), stroke, alpha);
    return;
  }
  const bar = (axis, map, across) => {
    const [kind, name] = split(axis.id);
    const interval = kind === "metric" ? candidate.metrics[name] : null;
    if (!interval || !Number.isFinite(interval.low) || !Number.isFinite(interval.high)) return;
    const [a, b] = [map(interval.low), map(interval.high)];
    pen.line(across ? [[a, py], [b, py]] : [[px, a], [px, b]], { stroke, alpha, width: 1 });
  };
  bar(view.axes.x, scaleX.map, true);
  bar(view.axes.y, scaleY.map, false);
}

/** One standard deviation of the seeds, along their own main axes. */
function drawEllipse(pen, places, stroke, alpha) {
  const n = places.length;
  const mean = [0, 1].map((k) => places.reduce((sum, place) => sum + place[k], 0) / n);
  const covariance = (i, j) => places.reduce((sum, place) => sum + (place[i] - mean[i]) * (place[j] - mean[j]), 0) / (n - 1);
  const [a, b, c] = [covariance(0, 0), covariance(0, 1), covariance(1, 1)];
  const root = Math.hypot((a - c) / 2, b);
  const [large, small] = [(a + c) / 2 + root, Math.max((a + c) / 2 - root, 0)];
  const angle = 0.5 * Math.atan2(2 * b, a - c);
  pen.ellipse(mean[0], mean[1], Math.max(Math.sqrt(large), 1), Math.max(Math.sqrt(small), 1), angle, { stroke, fill: stroke, alpha });
}

function drawReference(pen, { xs, ys }, front, colours) {
  if (!front.reference) return;
  const [x, y] = [xs.map(front.reference[0]), ys.map(front.reference[1])];
  pen.marker("cross", x, y, 5, { stroke: colours.ink, width: 1.6 });
}

/** Anchors, knee and reference point by name; labels move aside from each other. */
function drawLabels(pen, { box, xs, ys }, view, colours) {
  const wanted = [];
  for (const point of view.points) {
    const { kind } = point.candidate;
    if (!SEARCHED.has(kind)) wanted.push([point.px, point.py, ANCHORS[kind] ?? kind, colours.anchor]);
  }
  for (const front of view.fronts) {
    if (front.knee) wanted.push([front.knee.px, front.knee.py, "knee", colours.knee]);
    if (front.reference) wanted.push(referenceLabel(xs.map(front.reference[0]), ys.map(front.reference[1]), box, colours));
  }
  // names keep off the front's points as well
  const taken = view.fronts.flatMap((front) => front.points).slice(0, MANY).map(({ px, py }) => [px - 7, py - 7, px + 7, py + 7]);
  for (const [x, y, text, fill] of wanted.slice(0, 40)) {
    const width = text.length * 6.3;
    const options = [];
    for (const far of [0, 14, 28, 44]) for (const dx of [11, -11 - width]) for (const dy of [-8 - far, 17 + far]) options.push([dx, dy]);
    const fits = ([dx, dy]) => {
      const rect = [x + dx, y + dy - 11, x + dx + width, y + dy + 3];
      const inside = rect[0] > box.left && rect[2] < box.right && rect[1] > box.top && rect[3] < box.bottom;
      return inside && !taken.some((o) => rect[0] < o[2] && rect[2] > o[0] && rect[1] < o[3] && rect[3] > o[1]);
    };
    const [dx, dy] = options.find(fits) ?? options[0];
    taken.push([x + dx, y + dy - 11, x + dx + width, y + dy + 3]);
    pen.text(text, x + dx, y + dy, { fill, size: 11.5, weight: 500, halo: colours.halo });
  }
}

/** The reference point's name beside it; at the edge with an arrow where the point itself lies outside the picture. */
function referenceLabel(x, y, box, colours) {
  const [inX, inY] = [Math.min(Math.max(x, box.left), box.right), Math.min(Math.max(y, box.top), box.bottom)];
  const arrow = ["↖↑↗", "← →", "↙↓↘"][Math.sign(Math.round(y - inY)) + 1][Math.sign(Math.round(x - inX)) + 1];
  return [inX, inY, `reference ${arrow}`.trim(), colours.soft];
}

/** A bar of the colour scale, or the names of the colours. */
function drawLegend(pen, { box }, view, colours) {
  const { colour } = view;
  if (!colour) return;
  const left = box.right + 16;
  if (colour.numeric) {
    const height = Math.min(box.bottom - box.top - 30, 180);
    const steps = 32;
    for (let i = 0; i < steps; i++) {
      const [top, bottom] = [box.top + 22 + (height * (steps - 1 - i)) / steps, box.top + 22.6 + (height * (steps - i)) / steps];
      pen.polygon([[left, top], [left + 12, top], [left + 12, bottom], [left, bottom]], { fill: colour.shade((i + 0.5) / steps) });
    }
    pen.text(shorten(colour.label, 11), left - 6, box.top + 8, { fill: colours.ink, size: 11, weight: 500 });
    const ends = colour.high > colour.low ? [0, 0.5, 1] : [0.5];
    for (const share of ends) {
      const value = colour.low + share * (colour.high - colour.low || 0);
      pen.text(format(value, 2), left + 17, box.top + 26 + height * (1 - share), { fill: colours.soft, size: 11 });
    }
    return;
  }
  pen.text(shorten(colour.label, 18), left - 4, box.top + 8, { fill: colours.ink, size: 11, weight: 500 });
  colour.categories.slice(0, 10).forEach((value, i) => {
    const y = box.top + 27 + i * 17;
    pen.marker("circle", left + 2, y - 4, 4.5, { fill: colour.place.get(value) });
    pen.text(shorten(value, 16), left + 12, y, { fill: colours.soft, size: 11 });
  });
}

/** The end of a dotted name says more than its beginning. */
export function shorten(text, most) {
  if (text.length <= most) return text;
  const last = text.slice(text.lastIndexOf(".") + 1);
  return last.length <= most ? last : `${last.slice(0, most - 1)}…`;
}
