// Puts the panes together: data comes in by polling, every change of state draws what it touches.

import { button, el, replace } from "./dom.js";
import { savePng, saveSvg, saveTable } from "./exporting.js";
import { Growth } from "./growth.js";
import { Mix } from "./mix.js";
import { Panel } from "./panel.js";
import { Parallel } from "./parallel.js";
import { ScatterPane } from "./scatterpane.js";
import { State } from "./state.js";
import { Store } from "./store.js";
import { Table } from "./table.js";
import { followTheme, theme } from "./theme.js";
import { Toolbar } from "./toolbar.js";
import { computeView } from "./view.js";
import { empty, help, notices } from "./words.js";
import { listenToKeys } from "./keys.js";

const POLL_MS = 2500;
const SOON_MS = 200;

export class App {
  constructor(root, source) {
    this.root = root;
    this.source = source;
    this.store = new Store();
    this.state = new State(() => this.refresh());
    this.build();
    followTheme(() => this.redrawAll());
    listenToKeys(this);
    this.poll();
  }

  build() {
    const part = (name) => el("div", { class: name });
    this.parts = Object.fromEntries(["bar", "notices", "scatter", "growth", "tabs", "below", "side", "toast"].map((name) => [name, part(name)]));
    const { bar, notices: told, scatter, growth, tabs, below, side, toast } = this.parts;
    this.main = el("main", {}, el("div", { class: "plots" }, scatter, growth, tabs, below), side);
    this.blank = el("div", { class: "blank" }, "Reading the log directory …");
    replace(this.root, bar, told, this.blank, this.main, toast);
    this.main.hidden = true;
    bar.hidden = true;
    const hover = (key) => this.hover(key);
    const choose = (key, extend) => this.choose(key, extend);
    const set = (values) => (values === null ? this.state.reset() : this.state.set(values));
    this.toolbar = new Toolbar(bar, {
      set, help: () => help(this.root),
      saveTable: () => saveTable(this.view, this.values, this.store),
      saveSvg: () => saveSvg(this.view, this.values, this.store),
      savePng: () => savePng(this.view, this.values, this.store),
      copyLink: () => this.copyLink(),
    });
    this.scatter = new ScatterPane(scatter, {
      hover, choose,
      brush: (filters, done) => this.filter({ ...this.values.filters, ...filters }, done),
      zoom: (zoom) => set({ zoom }),
      reset: () => set({ zoom: [], filters: {} }),
    });
    this.growth = new Growth(growth, (until) => set({ until }));
    this.panel = new Panel(side, this.source, { choose, hover, compare: (key) => set({ compare: key }), tell: (text) => this.tell(text) });
    this.panes = {
      parameters: [Parallel, { hover, filter: (id, range, done) => this.filter(withRange(this.values.filters, id, range), done) }],
      mix: [Mix, { hover, choose, corners: (mix) => set({ mix }) }],
      table: [Table, { hover, choose, sort: (sort) => set({ sort }) }],
    };
  }

  get values() {
    return this.state.values;
  }

  async poll() {
    let busy = false;
    try {
      const news = await this.source.poll();
      ({ busy = false } = news);
      // before the log directory has been read for the first time there is nothing to say yet
      const changed = (!busy || this.store.loaded || news.candidates.length > 0) && this.store.take(news);
      this.root.dataset.polls = String(Number(this.root.dataset.polls ?? 0) + 1);
      this.offline(false);
      if (changed) this.refresh();
    } catch (error) {
      this.offline(true, error);
    }
    if (this.source.live) setTimeout(() => this.poll(), busy ? SOON_MS : document.hidden ? 4 * POLL_MS : POLL_MS);
  }

  /** Draw what the data and the state say now. */
  refresh() {
    if (!this.store.loaded) return;
    const some = this.store.all.length > 0;
    this.main.hidden = !some;
    this.parts.bar.hidden = !some;
    this.blank.hidden = some;
    this.root.dataset.candidates = String(this.store.all.length);
    if (!some) {
      replace(this.blank, ...empty(this.store.problems));
      this.root.dataset.ready = "empty";
      return;
    }
    this.view = computeView(this.store, this.values, this.view, theme().dark);
    replace(this.parts.notices, ...notices(this.view, this.store, (values) => this.state.set(values)));
    this.toolbar.update(this.view, this.values, this.store);
    this.scatter.update(this.view, this.values);
    this.growth.update(this.view);
    this.panel.update(this.view, this.values, this.store);
    this.showBelow();
    // behind the panes' own requests: the picture is on the screen when the time-out runs
    if (this.root.dataset.ready !== "true") requestAnimationFrame(() => setTimeout(() => performance.mark("pareto-picture")));
    this.root.dataset.ready = "true";
  }

  showBelow() {
    const names = { parameters: "Parameters", mix: "Domain mix", table: "Table" };
    const shown = names[this.values.below] ? this.values.below : "parameters";
    if (shown !== this.below) {
      this.below = shown;
      replace(this.parts.below);
      this.parts.below.className = `below ${shown}`;
      const [Kind, actions] = this.panes[shown];
      this.lower = new Kind(this.parts.below, actions);
    }
    replace(this.parts.tabs, ...Object.entries(names).map(([name, label]) => button(label, () => this.state.set({ below: name }), {
      class: name === shown ? "tab on" : "tab", "aria-pressed": String(name === shown), "data-tab": name,
    })));
    this.lower.update(this.view, this.values, this.store);
  }

  /** While a brush moves, only the points' match and the two linked panes change; the address follows at the end. */
  filter(filters, done) {
    if (done) {
      this.state.set({ filters });
      return;
    }
    this.values.filters = filters;
    this.view = computeView(this.store, this.values, this.view, theme().dark);
    this.scatter.update(this.view, this.values);
    if (this.below !== "table") this.lower.update(this.view, this.values, this.store);
  }

  hover(key) {
    this.scatter.showHover(key);
    this.lower.showHover?.(key);
  }

  /** Choose a candidate, or with `extend` compare it with the chosen one. */
  choose(key, extend) {
    if (extend && key && this.values.selected && key !== this.values.selected) this.state.set({ compare: key });
    else this.state.set({ selected: key, compare: key === this.values.compare || !key ? "" : this.values.compare });
  }

  /** The next candidate along the front. */
  walk(by) {
    const front = this.view?.fronts.flatMap((one) => one.points) ?? [];
    if (!front.length) return;
    const at = front.findIndex((point) => point.candidate.key === this.values.selected);
    const next = at < 0 ? (by > 0 ? 0 : front.length - 1) : (at + by + front.length) % front.length;
    this.choose(front[next].candidate.key, false);
  }

  async copyLink() {
    const link = this.state.link();
    try {
      await navigator.clipboard.writeText(link);
      this.tell("The link is in the clipboard.");
    } catch {
      this.tell(link); // browsers only open the clipboard to secure pages
    }
  }

  tell(text) {
    const { toast } = this.parts;
    replace(toast, text);
    toast.classList.add("shown");
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => toast.classList.remove("shown"), 6000);
  }

  offline(yes, error) {
    if (yes && !this.wasOffline) this.tell(`TensorBoard does not answer (${error.message}); trying again.`);
    this.wasOffline = yes;
    this.root.classList.toggle("offline", yes);
  }

  redrawAll() {
    if (this.view) this.refresh();
  }
}

function withRange(filters, id, range) {
  const next = { ...filters };
  if (range === null) delete next[id];
  else next[id] = range;
  return next;
}
