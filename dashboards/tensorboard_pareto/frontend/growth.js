// Hypervolume over time, and the slider that replays how the front grew.

import { button, el } from "./dom.js";
import { Pane } from "./pane.js";
import { extent, format, scale } from "./scale.js";
import { CATEGORIES, theme } from "./theme.js";

export class Growth {
  /** `seek(n)` shows the first n candidates; 0 means all, also those still to come. */
  constructor(host, seek) {
    this.seek = seek;
    this.play = button("▶", () => this.toggle(), { class: "icon", title: "Replay the growth of the front", "aria-label": "Replay" });
    this.slider = el("input", {
      type: "range", min: 0, max: 1, value: 1, step: 1, class: "until", "aria-label": "Candidates shown",
      on: { input: () => this.moved() },
    });
    this.label = el("span", { class: "until-label", "data-role": "until" });
    this.chart = el("div", { class: "growth-chart" }, this.slider);
    host.append(this.play, this.chart, this.label);
    this.pane = new Pane(this.chart, (pen, width, height) => this.paint(pen, width, height));
    this.timer = null;
  }

  update(view) {
    this.view = view;
    const count = view.members.length;
    this.slider.max = Math.max(count, 1);
    this.slider.value = view.until;
    this.slider.disabled = count < 2;
    const front = view.fronts[0];
    const volume = front?.hypervolume === null || !front ? "" : ` · hypervolume ${format(front.hypervolume)}`;
    this.label.textContent = `${view.until} of ${count}${volume}`;
    this.pane.redraw();
  }

  moved() {
    const value = Number(this.slider.value);
    this.seek(value >= this.view.members.length ? 0 : value);
  }

  toggle() {
    if (this.timer) return this.stop();
    const count = this.view.members.length;
    if (count < 2) return undefined;
    let at = this.view.until >= count ? 0 : this.view.until;
    const stride = Math.max(1, Math.round(count / 100));
    this.play.textContent = "❚❚";
    this.timer = setInterval(() => {
      at = Math.min(at + stride, count);
      this.seek(at >= count ? 0 : at);
      if (at >= count) this.stop();
    }, Math.max(40, Math.min(250, 6000 / count)));
    return undefined;
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "▶";
  }

  paint(pen, width, height) {
    if (!this.view) return;
    const colours = theme();
    const [left, right, top, bottom] = [9, width - 9, 5, height - 12];
    const count = Math.max(this.view.members.length, 2);
    const xs = scale(0, count, left, right);
    const [, high] = extent(this.view.fronts.flatMap((front) => front.history), 0.05);
    const ys = scale(0, Number.isFinite(high) && high > 0 ? high : 1, bottom, top);
    pen.line([[left, bottom], [right, bottom]], { stroke: colours.line });
    const place = new Map(this.view.members.map((candidate, i) => [candidate.key, i + 1]));
    for (const front of this.view.fronts) {
      const mine = this.view.members.filter((candidate) => candidate.sweep === front.sweep.id);
      const steps = [[xs.map(0), ys.map(0)]];
      front.history.forEach((value, i) => {
        const x = xs.map(place.get(mine[i]?.key) ?? i + 1);
        steps.push([x, steps.at(-1)[1]], [x, ys.map(value)]);
      });
      steps.push([right, steps.at(-1)[1]]);
      const stroke = this.view.fronts.length > 1 ? CATEGORIES[front.place % CATEGORIES.length] : colours.front;
      pen.line(steps, { stroke, width: 1.5 });
      pen.polygon([...steps, [right, bottom], [left, bottom]], { fill: stroke, alpha: 0.1 });
    }
    const now = xs.map(this.view.until);
    pen.line([[now, top], [now, bottom]], { stroke: colours.ink, alpha: 0.6 });
    pen.text("hypervolume", left + 3, top + 10, { fill: colours.soft, size: 10.5, halo: colours.halo });
  }
}
