// The domain mix: a triangle with one domain alone in each corner; of two domains the share of one against ρ.

import { el, replace, select } from "./dom.js";
import { Pane, place } from "./pane.js";
import { extent, format, scale } from "./scale.js";
import { drawMany } from "./scatter.js";
import { split, valueOf } from "./store.js";
import { theme } from "./theme.js";
import { numeric } from "./view.js";

export class Mix {
  /** `actions`: hover(key), choose(key, extend), corners([ids]). */
  constructor(host, actions) {
    this.actions = actions;
    this.corners = el("div", { class: "corners" });
    this.area = el("div", { class: "triangle" });
    host.append(this.corners, this.area);
    this.pane = new Pane(this.area, (pen, width, height) => this.paint(pen, width, height), { opaque: true });
    this.top = new Pane(this.area, (pen) => this.paintTop(pen), { className: "overlay" });
    this.area.addEventListener("pointermove", (event) => actions.hover(this.nearest(...place(event, this.area))?.key ?? null));
    this.area.addEventListener("pointerleave", () => actions.hover(null));
    this.area.addEventListener("click", (event) => {
      const found = this.nearest(...place(event, this.area));
      if (found) actions.choose(found.key, event.ctrlKey || event.metaKey);
    });
  }

  /** The parameters that are shares of one whole: as told, else those whose names share a beginning and sum to 1. */
  static candidates(view, store) {
    const told = view.sweeps.find((sweep) => sweep.setup.mix?.length)?.setup.mix ?? [];
    const ids = told.map((name) => `parameter:${name}`).filter((id) => store.column(id)?.numeric);
    if (ids.length >= 2) return ids;
    const groups = new Map();
    for (const column of store.columns) {
      const [kind, name] = split(column.id);
      if (kind !== "parameter" || !column.numeric || column.low < 0 || column.high > 1 || !name.includes(".")) continue;
      const stem = name.slice(0, name.lastIndexOf("."));
      groups.set(stem, [...(groups.get(stem) ?? []), column.id]);
    }
    const sums = (ids, candidate) => ids.reduce((sum, id) => sum + (numeric(valueOf(candidate, id)) || 0), 0);
    const whole = (ids) => view.members.slice(0, 50).every((candidate) => Math.abs(sums(ids, candidate) - 1) < 0.02 || sums(ids, candidate) === 0);
    return [...groups.values()].find((ids) => ids.length >= 2 && whole(ids)) ?? [];
  }

  update(view, state, store) {
    [this.view, this.state, this.store] = [view, state, store];
    const all = Mix.candidates(view, store);
    const chosen = state.mix.filter((id) => all.includes(id));
    this.ids = chosen.length === 3 ? chosen : all.slice(0, 3);
    if (all.length > 3) {
      const pick = (k) => select(this.ids[k], all.map((id) => [id, lastName(id)]), (id) => {
        const next = [...this.ids];
        const other = next.indexOf(id);
        if (other >= 0) next[other] = next[k];
        next[k] = id;
        this.actions.corners(next);
      }, { "aria-label": `Corner ${k + 1}` });
      replace(this.corners, "Corners ", ...this.ids.map((_, k) => pick(k)), " (shares among these three)");
    } else {
      replace(this.corners, all.length < 2 ? "No parameters of these candidates are shares of one whole." : "");
    }
    this.pane.redraw();
  }

  showHover(key) {
    this.hovered = key;
    this.top.now();
  }

  paint(pen, width, height) {
    if (!this.view || this.ids.length < 2) return;
    const colours = theme();
    this.size = [width, height];
    const side = Math.min(width - 200, (height - 34) / 0.866);
    const left = (width - side) / 2;
    if (this.ids.length === 2) {
      this.paintPair(pen, width, height, colours);
      return;
    }
    const base = height - 16;
    const corners = [[left, base], [left + side, base], [left + side / 2, base - side * 0.866]];
    const mixed = (weights) => [0, 1].map((k) => weights.reduce((sum, weight, i) => sum + weight * corners[i][k], 0));
    for (let k = 1; k < 4; k++) {
      const t = k / 4;
      for (const [a, b, c] of [[0, 1, 2], [1, 2, 0], [2, 0, 1]]) {
        const at = (first, second) => mixed([0, 1, 2].map((i) => (i === first ? 1 - t : i === second ? t : 0)));
        pen.line([at(a, b), at(c, b)], { stroke: colours.line });
      }
    }
    pen.line([...corners, corners[0]], { stroke: colours.axis, width: 1.3 });
    const names = this.ids.map(lastName);
    const aligns = ["end", "start", "middle"];
    corners.forEach(([x, y], i) => pen.text(names[i], x + [-8, 8, 0][i], i === 2 ? y - 6 : y + 4, { fill: colours.ink, size: 11.5, weight: 500, align: aligns[i] }));
    this.paintPoints(pen, colours, (point, weights) => mixed(weights));
  }

  /** Two domains: the share of one against a second parameter, usually the replay frequency. */
  paintPair(pen, width, height, colours) {
    const used = this.ids.map((id) => split(id)[1]);
    const second = this.store.columns.find((c) => c.id.startsWith("parameter:") && c.numeric && c.varied && !used.includes(c.label));
    const xs = scale(0, 1, 90, width - 90);
    const ys = scale(...extent(second ? [second.low, second.high] : [0, 1], 0.06), height - 30, 10, false, 34);
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      pen.line([[xs.map(tick), 10], [xs.map(tick), height - 30]], { stroke: colours.line });
      pen.text(format(tick), xs.map(tick), height - 17, { fill: colours.soft, size: 11, align: "middle" });
    }
    for (const tick of second ? ys.ticks : []) {
      pen.line([[90, ys.map(tick)], [width - 90, ys.map(tick)]], { stroke: colours.line });
      pen.text(format(tick), 84, ys.map(tick) + 4, { fill: colours.soft, size: 11, align: "end" });
    }
    const [from, to] = this.ids.map(lastName);
    pen.text(`all ${from}`, 84, height - 4, { fill: colours.ink, size: 11.5, weight: 500, align: "start" });
    pen.text(`all ${to}`, width - 84, height - 4, { fill: colours.ink, size: 11.5, weight: 500, align: "end" });
    if (second) pen.text(second.label, 14, height / 2, { fill: colours.ink, size: 11.5, weight: 500, align: "middle", rotate: -90 });
    this.paintPoints(pen, colours, (point, weights) => [xs.map(weights[1]), second ? ys.map(numeric(valueOf(point.candidate, second.id))) : height / 2]);
  }

  /** `at(point, weights)` gives the place; under a brush no point moves, so that places are kept. */
  paintPoints(pen, colours, at) {
    const [right, bottom] = this.size;
    const key = JSON.stringify([this.view.key, this.ids, right, bottom]);
    if (key !== this.placed) {
      this.placed = key;
      this.places = this.view.points.map((point) => {
        const weights = this.ids.map((id) => numeric(valueOf(point.candidate, id)));
        const sum = weights.reduce((a, b) => a + b, 0);
        const [px, py] = sum > 0 ? at(point, weights.map((weight) => weight / sum)) : [NaN, NaN];
        return { point, key: point.candidate.key, shape: point.shape, px, py };
      }).filter(({ px, py }) => Number.isFinite(px) && Number.isFinite(py));
    }
    const layers = [[], [], []];
    for (const place of this.places) layers[!place.point.match ? 0 : place.point.onFront ? 2 : 1].push(place);
    const fill = ({ point }) => point.fill ?? (point.onFront ? colours.front : colours.dominated);
    const box = { left: 0, top: 0, right, bottom };
    drawMany(pen, layers[0], () => colours.dominated, () => 3.6, 0.2, box);
    drawMany(pen, layers[1], fill, () => 3.6, 1, box);
    for (const place of layers[2]) pen.marker(place.shape, place.px, place.py, 5.5, { fill: fill(place), stroke: colours.ink, width: 1.2 });
    this.top.now();
  }

  paintTop(pen) {
    for (const [key, stroke] of [[this.state?.selected, "#D55E00"], [this.state?.compare, "#009E73"], [this.hovered, theme().ink]]) {
      const found = key && this.places?.find((one) => one.key === key);
      if (found) pen.marker("circle", found.px, found.py, 9, { stroke, width: 2.2 });
    }
  }

  nearest(x, y) {
    let best = null;
    let least = 12;
    for (const one of this.places ?? []) {
      const distance = Math.hypot(one.px - x, one.py - y);
      if (distance < least) [least, best] = [distance, one];
    }
    return best;
  }
}

function lastName(id) {
  return split(id)[1].split(".").at(-1);
}
