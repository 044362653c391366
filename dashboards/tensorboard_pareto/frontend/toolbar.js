// Controls above the picture.

import { button, el, replace, select } from "./dom.js";
import { split } from "./store.js";

const GROUPS = [["metric", "metrics"], ["cost", "costs"], ["parameter", "parameters"], ["step", "run"]];

export class Toolbar {
  /** `actions`: set(values), saveTable(), saveSvg(), savePng(), copyLink(), help(). */
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
    document.addEventListener("click", (event) => {
      for (const menu of host.querySelectorAll("details[open]")) if (!menu.contains(event.target)) menu.open = false;
    });
  }

  update(view, state, store) {
    const key = JSON.stringify([store.version, state, view.axes, view.colour?.id]);
    if (key === this.drawn) return;
    this.drawn = key;
    // an open menu that is redrawn by a poll must not close under the reader's hand
    const open = [...this.host.querySelectorAll("details[open]")].map((menu) => menu.dataset.menu);
    const focus = document.activeElement?.dataset?.control;
    const { set } = this.actions;
    const columns = (ids) => ids.map((column) => [column.id, column.label]);
    const numbers = GROUPS.map(([kind, group]) => ({ group, items: columns(store.columns.filter((column) => split(column.id)[0] === kind && column.numeric)) }));
    const anything = GROUPS.map(([kind, group]) => ({ group, items: columns(store.columns.filter((column) => split(column.id)[0] === kind)) }));
    anything.push({ group: "kind", items: columns(store.columns.filter((column) => ["seed", "kind", "sweep"].includes(column.id))) });
    const axis = (label, name, log) => el("label", { class: "field" }, el("span", {}, label),
      select(view.axes[name]?.id ?? "", numbers, (id) => set(id === other(view, name) ? { x: view.axes.y.id, y: view.axes.x.id, zoom: [] } : { [name]: id, zoom: [] }), { "data-control": name }),
      button("log", () => set({ [log]: !state[log], zoom: [] }), { class: state[log] ? "toggle on" : "toggle", "aria-pressed": String(state[log]), title: "Logarithmic axis" }));
    replace(this.host,
      this.sweepMenu(view, state, store),
      axis("x", "x", "logx"),
      button("⇄", () => set({ x: view.axes.y.id, y: view.axes.x.id, logx: state.logy, logy: state.logx, zoom: [] }), { class: "icon", title: "Swap the axes (s)", "aria-label": "Swap the axes" }),
      axis("y", "y", "logy"),
      el("label", { class: "field" }, el("span", {}, "third"),
        select(view.axes.third?.id ?? "none", [["none", "none"], ...numbers], (id) => set({ third: id }), { "data-control": "third" }),
        view.axes.third ? select(state.thirdAs, [["size", "as size"], ["colour", "as colour"]], (how) => set({ thirdAs: how }), { "data-control": "thirdAs", "aria-label": "Third objective shown as" }) : null),
      el("label", { class: "field" }, el("span", {}, "colour"), select(view.colour?.id ?? "none", [["none", "none"], ...anything], (id) => set({ colour: id, thirdAs: "size" }), { "data-control": "colour" })),
      el("span", { class: "grow" }),
      Object.keys(state.filters).length ? button(`clear filter`, () => set({ filters: {} }), { class: "toggle on", "data-control": "clear", title: "Show all again (Esc)" }) : null,
      state.zoom.length ? button("whole picture", () => set({ zoom: [] }), { class: "toggle on", "data-control": "unzoom" }) : null,
      this.showMenu(view, state),
      this.exportMenu(),
      button("?", () => this.actions.help(), { class: "icon", title: "Keyboard and mouse (?)", "aria-label": "Help" }));
    for (const name of open) this.host.querySelector(`details[data-menu="${name}"]`)?.setAttribute("open", "");
    if (focus) this.host.querySelector(`[data-control="${focus}"]`)?.focus();
  }

  sweepMenu(view, state, store) {
    const chosen = new Set(view.sweeps.map((sweep) => sweep.id));
    const refused = new Set(view.refused.map((one) => one.sweep.id));
    const all = [...store.sweeps.values()].sort((a, b) => b.latest - a.latest);
    if (all.length === 1) return el("strong", { class: "title", title: all[0].id }, all[0].title);
    const toggle = (id, on) => {
      const next = [...view.sweeps, ...view.refused.map((one) => one.sweep)].map((sweep) => sweep.id).filter((one) => one !== id);
      this.actions.set({ sweeps: on ? [...next, id] : next, selected: "", compare: "", until: 0, zoom: [] });
    };
    const items = all.slice(0, 400).map((sweep) => el("label", { class: "check", "data-sweep": sweep.id, "data-search": sweep.title.toLowerCase() },
      el("input", { type: "checkbox", checked: chosen.has(sweep.id) || refused.has(sweep.id), on: { change: (event) => toggle(sweep.id, event.target.checked) } }),
      el("span", { class: "name" }, sweep.title),
      el("span", { class: "soft" }, refused.has(sweep.id) ? "refused: other protocol" : String(sweep.candidates.length))));
    const search = el("input", { type: "search", placeholder: "find a sweep", "aria-label": "Find a sweep", on: { input: (event) => {
      const text = event.target.value.toLowerCase();
      for (const item of items) item.hidden = !item.dataset.search.includes(text);
    } } });
    const title = view.sweeps.map((sweep) => sweep.title).join(" + ") || "no sweep";
    return el("details", { class: "menu", "data-menu": "sweeps" }, el("summary", { title }, el("strong", { class: "title" }, title), el("span", { class: "soft" }, ` of ${all.length}`)),
      el("div", { class: "menu-body" }, all.length > 8 ? search : null, ...items));
  }

  showMenu(view, state) {
    const check = (label, name) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: state[name], "data-control": name, on: { change: (event) => this.actions.set({ [name]: event.target.checked }) } }), label);
    return el("details", { class: "menu right", "data-menu": "show" }, el("summary", {}, "show"),
      el("div", { class: "menu-body" },
        check("fronts and dominated area", "fronts"), check("intervals", "bars"), check("dominated candidates", "dominated"), check("running, stopped, failed, infeasible", "aside"),
        el("label", { class: "check" }, el("input", { type: "checkbox", checked: view.merged, "data-control": "seeds", on: { change: (event) => this.actions.set({ seeds: event.target.checked ? "merged" : "each" }) } }), "seeds of a setting as one, with ellipse"),
        button("back to the first view", () => this.actions.set(null))));
  }

  exportMenu() {
    const { actions } = this;
    return el("details", { class: "menu right", "data-menu": "export" }, el("summary", {}, "export"),
      el("div", { class: "menu-body" },
        button("table as CSV", () => actions.saveTable(), { "data-control": "csv" }), button("picture as SVG", () => actions.saveSvg(), { "data-control": "svg" }),
        button("picture as PNG", () => actions.savePng(), { "data-control": "png" }), button("copy the link to this view", () => actions.copyLink(), { "data-control": "link" })));
  }
}

function other(view, name) {
  return name === "x" ? view.axes.y.id : view.axes.x.id;
}
