// The scatter on screen: hover, click, brush, zoom, and the front's points for keyboard and screen readers.

import { el, replace } from "./dom.js";
import { Pane, place } from "./pane.js";
import { format, formatInterval } from "./scale.js";
import { drawScatter, layOut } from "./scatter.js";
import { split, valueOf } from "./store.js";
import { theme } from "./theme.js";

const CELL = 26;
const MOST_BUTTONS = 300;

export class ScatterPane {
  /** `actions`: hover(key or null), choose(key, extend), brush(filters), zoom(range or []). */
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
    this.base = new Pane(host, (pen, width, height) => this.paint(pen, width, height), { opaque: true });
    this.top = new Pane(host, (pen) => this.paintTop(pen), { className: "overlay" });
    this.buttons = el("div", { class: "points", role: "group", "aria-label": "Candidates on the front" });
    this.tip = el("div", { class: "tip", role: "status", hidden: true });
    host.append(this.buttons, this.tip);
    this.hovered = null;
    this.drag = null;
    this.listen();
  }

  update(view, state) {
    this.view = view;
    this.state = state;
    this.base.redraw();
  }

  paint(pen, width, height) {
    if (!this.view) return;
    this.layout = layOut(this.view, this.state, width, height);
    this.view.layout = this.layout;
    drawScatter(pen, this.layout, this.view, this.state, theme());
    const laid = JSON.stringify([this.view.key, width, height, this.state.zoom, this.state.aside, this.state.dominated]);
    if (laid !== this.laid) {
      // under a brush no point moves
      this.laid = laid;
      this.index();
      this.renderButtons();
    }
    this.top.now();
  }

  /** Chosen, compared and hovered candidates, and the brush. */
  paintTop(pen) {
    if (!this.layout) return;
    const colours = theme();
    const ring = (key, stroke, r) => {
      const point = this.byKey.get(key);
      if (point) pen.marker("circle", point.px, point.py, r, { stroke, width: 2.4 });
    };
    ring(this.state.selected, "#D55E00", 10);
    ring(this.state.compare, "#009E73", 10);
    if (this.hovered) ring(this.hovered, colours.ink, 9);
    if (this.drag?.rect) {
      const [x0, y0, x1, y1] = this.drag.rect;
      pen.polygon([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], { fill: colours.front, alpha: 0.16 });
      pen.line([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], { stroke: colours.front });
    }
  }

  /** Cells of the picture with the points in them, so that a hover looks at a few points only. */
  index() {
    this.cells = new Map();
    this.byKey = new Map();
    const { box } = this.layout;
    for (const point of this.view.points) {
      const finished = point.candidate.status === "finished";
      if ((!finished && !this.state.aside) || (finished && !point.onFront && !this.state.dominated)) continue;
      if (point.px < box.left - 4 || point.px > box.right + 4 || point.py < box.top - 4 || point.py > box.bottom + 4) continue;
      const cell = `${Math.floor(point.px / CELL)},${Math.floor(point.py / CELL)}`;
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(point);
      this.byKey.set(point.candidate.key, point);
    }
  }

  nearest(x, y) {
    let best = null;
    let least = 14 ** 2;
    const [cx, cy] = [Math.floor(x / CELL), Math.floor(y / CELL)];
    for (let i = cx - 1; i <= cx + 1; i++) {
      for (let j = cy - 1; j <= cy + 1; j++) {
        for (const point of this.cells?.get(`${i},${j}`) ?? []) {
          // where points lie on each other the front's one is meant
          const distance = (point.px - x) ** 2 + (point.py - y) ** 2 - (point.onFront ? 9 : 0);
          if (distance < least) [least, best] = [distance, point];
        }
      }
    }
    return best;
  }

  renderButtons() {
    const front = this.view.fronts.flatMap((one) => one.points).slice(0, MOST_BUTTONS);
    const { box } = this.layout;
    const inside = front.filter((p) => p.px >= box.left && p.px <= box.right && p.py >= box.top && p.py <= box.bottom);
    replace(this.buttons, inside.map((point) => {
      const { candidate } = point;
      const label = `${candidate.name}: ${this.view.axes.x.label} ${format(point.x)}, ${this.view.axes.y.label} ${format(point.y)}`;
      return el("button", {
        type: "button", class: "point", "data-candidate": candidate.name, "aria-label": label,
        style: `left:${point.px.toFixed(1)}px;top:${point.py.toFixed(1)}px`,
        on: { click: () => this.actions.choose(candidate.key, false), focus: () => this.hover(point), blur: () => this.hover(null) },
      });
    }));
  }

  hover(point) {
    const key = point?.candidate.key ?? null;
    if (key === this.hovered) return;
    this.showHover(key);
    this.actions.hover(key);
  }

  /** Mark a candidate that is hovered here or in another pane. */
  showHover(key) {
    this.hovered = key;
    this.top.now();
    const point = key && this.byKey?.get(key);
    this.tip.hidden = !point;
    if (!point) return;
    replace(this.tip, tipContent(point, this.view));
    const { width, height } = this.layout;
    const [w, h] = [this.tip.offsetWidth, this.tip.offsetHeight];
    const left = point.px + 16 + w < width ? point.px + 16 : Math.max(4, point.px - 16 - w);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${Math.max(4, Math.min(point.py - h / 2, height - h - 4))}px`;
  }

  listen() {
    const { host } = this;
    host.addEventListener("pointermove", (event) => {
      const [x, y] = place(event, host);
      if (this.drag) this.dragged(x, y);
      else if (this.layout) this.hover(this.nearest(x, y));
    });
    host.addEventListener("pointerleave", () => this.hover(null));
    host.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.layout) return;
      const [x, y] = place(event, host);
      this.drag = { x, y, pan: event.shiftKey || event.altKey, from: [this.layout.xs, this.layout.ys], rect: null };
      host.setPointerCapture(event.pointerId);
    });
    host.addEventListener("pointerup", (event) => this.drop(event));
    host.addEventListener("dblclick", () => this.actions.reset());
    host.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  dragged(x, y) {
    const { drag, layout } = this;
    if (Math.hypot(x - drag.x, y - drag.y) < 5 && !drag.rect) return;
    const { box } = layout;
    if (drag.pan) {
      drag.rect = null;
      drag.moved = true;
      const [xs, ys] = drag.from;
      const shift = (s, from, to, delta) => [s.invert(from - delta), s.invert(to - delta)];
      this.actions.zoom([...shift(xs, box.left, box.right, x - drag.x), ...shift(ys, box.bottom, box.top, y - drag.y)]);
      return;
    }
    const clampX = (v) => Math.min(Math.max(v, box.left), box.right);
    const clampY = (v) => Math.min(Math.max(v, box.top), box.bottom);
    drag.rect = [clampX(Math.min(x, drag.x)), clampY(Math.min(y, drag.y)), clampX(Math.max(x, drag.x)), clampY(Math.max(y, drag.y))];
    this.top.now();
    this.actions.brush(this.brushed(), false);
  }

  brushed() {
    const [x0, y0, x1, y1] = this.drag.rect;
    const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
    const { xs, ys } = this.layout;
    return {
      [this.view.axes.x.id]: sorted(xs.invert(x0), xs.invert(x1)),
      [this.view.axes.y.id]: sorted(ys.invert(y0), ys.invert(y1)),
    };
  }

  drop(event) {
    const { drag } = this;
    if (!drag) return;
    if (drag.rect) this.actions.brush(this.brushed(), true);
    this.drag = null;
    this.top.now();
    if (drag.rect || drag.moved) return;
    const point = this.nearest(...place(event, this.host));
    this.actions.choose(point?.candidate.key ?? "", event.ctrlKey || event.metaKey);
  }

  wheel(event) {
    if (!this.layout) return;
    event.preventDefault();
    const [x, y] = place(event, this.host);
    const { box, xs, ys } = this.layout;
    const factor = Math.exp(Math.sign(event.deltaY) * 0.18);
    const ends = (s, at, from, to) => [s.invert(at + (from - at) * factor), s.invert(at + (to - at) * factor)];
    this.actions.zoom([...ends(xs, x, box.left, box.right), ...ends(ys, y, box.bottom, box.top)]);
  }
}

function tipContent(point, view) {
  const { candidate } = point;
  const rows = [];
  const add = (label, value) => rows.push(el("tr", {}, el("th", {}, label), el("td", {}, value)));
  const shown = [view.axes.x, view.axes.y, view.axes.third].filter(Boolean).map((axis) => axis.id);
  const others = Object.keys(candidate.metrics).map((name) => `metric:${name}`).filter((id) => !shown.includes(id));
  for (const id of [...shown, ...others].slice(0, 8)) {
    const [kind, name] = split(id);
    const value = kind === "metric" && candidate.metrics[name] ? formatInterval(candidate.metrics[name]) : format(valueOf(candidate, id));
    add(name, value);
  }
  const parameters = Object.entries(candidate.parameters).slice(0, 8).map(([name, value]) => el("tr", { class: "parameter" }, el("th", {}, name), el("td", {}, format(value))));
  const status = candidate.status === "finished" ? (point.onFront ? "on the front" : "dominated") : candidate.status;
  const seeds = candidate.seeds ? `, ${candidate.seeds.length} seeds` : "";
  return [
    el("div", { class: "tip-title" }, candidate.name),
    el("div", { class: "tip-sub" }, `${candidate.kind}, ${status}${seeds}`),
    el("table", {}, ...rows, ...parameters),
  ];
}
