// Parallel coordinates of parameters and metrics; a brush on an axis filters every pane.

import { el } from "./dom.js";
import { Pane, place } from "./pane.js";
import { format, scale } from "./scale.js";
import { shorten } from "./scatter.js";
import { split, valueOf } from "./store.js";
import { theme } from "./theme.js";
import { numeric } from "./view.js";

const MOST_AXES = 12;
const MOST_LINES = 800;

export class Parallel {
  /** `actions`: filter(id, range or null, done), hover(key). */
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
    this.back = new Pane(host, (pen, width, height) => this.paintBack(pen, width, height));
    this.pane = new Pane(host, (pen, width, height) => this.paint(pen, width, height));
    this.top = new Pane(host, (pen) => this.paintTop(pen), { className: "overlay" });
    this.note = el("div", { class: "note" });
    host.append(this.note);
    this.drag = null;
    host.addEventListener("pointerdown", (event) => this.start(event));
    host.addEventListener("pointermove", (event) => this.move(event));
    host.addEventListener("pointerup", () => this.end());
    host.addEventListener("pointerleave", () => this.actions.hover(null));
  }

  update(view, state, store) {
    [this.view, this.state, this.store] = [view, state, store];
    const key = JSON.stringify([view.key, state.aside]);
    if (key !== this.key) {
      this.key = key;
      this.back.redraw();
    }
    this.pane.redraw();
  }

  showHover(key) {
    this.hovered = key;
    this.top.now();
  }

  axes(width, height) {
    const varied = this.store.columns.filter((column) => column.varied && split(column.id)[0] === "parameter");
    const objectives = [this.view.axes.x, this.view.axes.y, this.view.axes.third].filter(Boolean).map((axis) => this.store.column(axis.id)).filter(Boolean);
    const columns = [...varied.filter((column) => !objectives.includes(column)).slice(0, MOST_AXES - objectives.length), ...objectives];
    const gap = columns.length > 1 ? (width - 120) / (columns.length - 1) : 0;
    return columns.map((column, i) => {
      const [from, to] = [height - 20, 26];
      const x = columns.length > 1 ? 60 + i * gap : width / 2;
      if (column.numeric) return { column, x, width, scale: scale(column.low, column.high, from, to) };
      const at = new Map(column.categories.map((value, k) => [value, column.categories.length > 1 ? from + (k / (column.categories.length - 1)) * (to - from) : (from + to) / 2]));
      return { column, x, width, at, from, to };
    });
  }

  pixel(axis, candidate) {
    const value = valueOf(candidate, axis.column.id);
    if (axis.at) return axis.at.get(String(value)) ?? NaN;
    return axis.scale.map(numeric(value));
  }

  /** All lines, pale; they stay while a brush moves over them. */
  paintBack(pen, width, height) {
    if (!this.view) return;
    this.placed = this.axes(width, height);
    const points = this.view.points.filter((point) => point.candidate.status === "finished" || this.state.aside);
    const drawn = points.length > MOST_LINES ? sample(points, MOST_LINES) : points;
    this.drawn = drawn.map((point) => ({ point, line: this.line(point.candidate) }));
    const { dominated } = theme();
    for (const { line } of this.drawn) pen.line(line, { stroke: dominated, alpha: points.length > 300 ? 0.07 : 0.14 });
    this.note.textContent = points.length > drawn.length ? `${drawn.length} of ${points.length} lines: the fronts and an even share of the rest` : "";
  }

  /** The lines that pass the filters, by colour; then the axes. */
  paint(pen, width, height) {
    if (!this.view) return;
    if (!this.drawn || this.placed.at(-1)?.width !== width) this.back.now();
    const colours = theme();
    const groups = new Map();
    for (const { point, line } of this.drawn) {
      if (!point.match) continue;
      const stroke = point.fill ?? colours.front;
      const key = `${point.onFront ? 1 : 0} ${stroke}`;
      if (!groups.has(key)) groups.set(key, { stroke, onFront: point.onFront, lines: [] });
      groups.get(key).lines.push(line);
    }
    const few = this.drawn.length <= 300;
    for (const { stroke, onFront, lines } of [...groups.values()].sort((a, b) => Number(a.onFront) - Number(b.onFront))) {
      pen.lines(lines, onFront ? { stroke, width: 1.8, alpha: 0.95 } : { stroke, width: 1, alpha: few ? 0.45 : 0.25 });
    }
    for (const axis of this.placed) this.paintAxis(pen, axis, height, colours);
    this.top.now();
  }

  line(candidate) {
    return this.placed.map((axis) => [axis.x, this.pixel(axis, candidate)]).filter(([, y]) => Number.isFinite(y));
  }

  paintAxis(pen, axis, height, colours) {
    pen.line([[axis.x, 26], [axis.x, height - 20]], { stroke: colours.axis, width: 1.2 });
    pen.text(shorten(axis.column.label, 18), axis.x, 13, { fill: colours.ink, size: 11, align: "middle", weight: 500 });
    const label = (text, y) => pen.text(text, axis.x + 5, y, { fill: colours.soft, size: 10.5, halo: colours.halo });
    if (axis.at) {
      for (const [value, y] of [...axis.at].slice(0, 12)) label(shorten(value, 14), y + 4);
    } else {
      label(format(axis.column.high, 3), 35);
      label(format(axis.column.low, 3), height - 23);
    }
    const range = this.state.filters[axis.column.id];
    if (!range) return;
    const ends = this.rangePixels(axis, range);
    if (!ends) return;
    const [a, b] = ends;
    pen.polygon([[axis.x - 6, a], [axis.x + 6, a], [axis.x + 6, b], [axis.x - 6, b]], { fill: colours.front, alpha: 0.4 });
  }

  rangePixels(axis, range) {
    if (axis.scale) return range.every((v) => typeof v === "number") ? range.map((value) => Math.min(Math.max(axis.scale.map(value), 22), axis.scale.map(axis.column.low) + 4)) : null;
    const places = range.map((value) => axis.at.get(value)).filter(Number.isFinite);
    return places.length ? [Math.min(...places) - 6, Math.max(...places) + 6] : null;
  }

  paintTop(pen) {
    if (!this.placed) return;
    for (const [key, stroke] of [[this.state.selected, "#D55E00"], [this.state.compare, "#009E73"], [this.hovered, theme().ink]]) {
      const point = key && this.view.points.find((one) => one.candidate.key === key);
      if (point) pen.line(this.line(point.candidate), { stroke, width: 2.6 });
    }
  }

  start(event) {
    if (event.button !== 0 || !this.placed) return;
    const [x, y] = place(event, this.host);
    const axis = this.placed.find((one) => Math.abs(one.x - x) < 16);
    if (!axis) return;
    this.host.setPointerCapture(event.pointerId);
    this.drag = { axis, y, last: y };
  }

  move(event) {
    const [x, y] = place(event, this.host);
    if (!this.drag) {
      this.host.style.cursor = this.placed?.some((axis) => Math.abs(axis.x - x) < 16) ? "ns-resize" : "default";
      this.actions.hover(this.nearest(x, y));
      return;
    }
    this.drag.last = y;
    if (Math.abs(y - this.drag.y) > 3) this.actions.filter(this.drag.axis.column.id, this.range(), false);
  }

  end() {
    if (!this.drag) return;
    const moved = Math.abs(this.drag.last - this.drag.y) > 3;
    this.actions.filter(this.drag.axis.column.id, moved ? this.range() : null, true);
    this.drag = null;
  }

  range() {
    const { axis, y, last } = this.drag;
    const [top, bottom] = y < last ? [y, last] : [last, y];
    if (axis.at) return [...axis.at].filter(([, at]) => at >= top - 5 && at <= bottom + 5).map(([value]) => value);
    return [axis.scale.invert(bottom), axis.scale.invert(top)];
  }

  /** The drawn line that passes nearest to a place between two axes. */
  nearest(x, y) {
    if (!this.placed || this.placed.length < 2) return null;
    const right = this.placed.findIndex((axis) => axis.x >= x);
    if (right < 1) return null;
    const [a, b] = [this.placed[right - 1], this.placed[right]];
    const share = (x - a.x) / (b.x - a.x);
    let best = null;
    let least = 7;
    for (const { point } of this.drawn) {
      if (!point.match) continue;
      const [ya, yb] = [this.pixel(a, point.candidate), this.pixel(b, point.candidate)];
      const distance = Math.abs(ya + (yb - ya) * share - y);
      if (distance < least) [least, best] = [distance, point.candidate.key];
    }
    return best;
  }
}

/** The fronts and an even share of the rest. */
function sample(points, most) {
  const front = points.filter((point) => point.onFront).slice(0, most);
  const rest = points.filter((point) => !point.onFront);
  const stride = Math.max(1, Math.ceil(rest.length / Math.max(1, most - front.length)));
  return [...rest.filter((_, i) => i % stride === 0), ...front];
}
