// The candidates as a table: sorted by any column, only those that pass the filters, a part of them in the document.

import { el, replace } from "./dom.js";
import { format, formatInterval } from "./scale.js";
import { split, valueOf } from "./store.js";
import { numeric } from "./view.js";

const MOST_ROWS = 200;

export class Table {
  /** `actions`: choose(key, extend), hover(key), sort(id). */
  constructor(host, actions) {
    this.actions = actions;
    this.host = el("div", { class: "table-scroll", tabindex: 0 });
    host.append(this.host);
  }

  update(view, state, store) {
    const points = rowsOf(view, state);
    const axes = [view.axes.x, view.axes.y, view.axes.third].filter(Boolean).map((axis) => axis.id);
    const rest = store.columns.filter((column) => !axes.includes(column.id) && (column.varied || split(column.id)[0] === "metric") && !["sweep", "kind"].includes(column.id));
    const columns = [...axes.map((id) => store.column(id)).filter(Boolean), ...rest].slice(0, 24);
    const [sortId, down] = state.sort.startsWith("-") ? [state.sort.slice(1), true] : [state.sort, false];
    const head = (id, label) => el("th", { scope: "col", "aria-sort": sortId === id ? (down ? "descending" : "ascending") : "none" },
      el("button", { type: "button", on: { click: () => this.actions.sort(sortId === id && !down ? `-${id}` : id) } }, label, sortId === id ? (down ? " ▾" : " ▴") : ""));
    const body = points.slice(0, MOST_ROWS).map((point) => {
      const { candidate } = point;
      return el("tr", {
        "data-candidate": candidate.name, class: [point.onFront ? "front" : "", candidate.key === state.selected ? "selected" : ""].join(" ").trim(), tabindex: 0,
        on: {
          click: (event) => this.actions.choose(candidate.key, event.ctrlKey || event.metaKey),
          keydown: (event) => event.key === "Enter" && this.actions.choose(candidate.key, false),
          pointerenter: () => this.actions.hover(candidate.key),
          pointerleave: () => this.actions.hover(null),
        },
      },
      el("th", { scope: "row" }, candidate.name),
      el("td", {}, point.onFront ? "front" : candidate.status === "finished" ? "" : candidate.status),
      el("td", {}, candidate.kind),
      ...columns.map((column) => cell(candidate, column.id)));
    });
    replace(this.host,
      el("table", {}, el("thead", {}, el("tr", {}, head("name", "candidate"), head("status", "status"), head("kind", "kind"), ...columns.map((column) => head(column.id, column.label)))), el("tbody", {}, ...body)),
      points.length > MOST_ROWS ? el("p", { class: "note" }, `${MOST_ROWS} of ${points.length} rows; filter or sort to see others, or export all as CSV.`) : null);
  }
}

/** Points that pass the filters, in the chosen order; the front first without one. */
export function rowsOf(view, state) {
  const points = view.points.filter((point) => point.match);
  const [id, down] = state.sort.startsWith("-") ? [state.sort.slice(1), -1] : [state.sort, 1];
  if (!id) return points.sort((a, b) => Number(b.onFront) - Number(a.onFront) || (a.onFront ? a.x - b.x : 0));
  return points.sort((a, b) => down * order(valueOf(a.candidate, id), valueOf(b.candidate, id)));
}

function cell(candidate, id) {
  const [kind, name] = split(id);
  if (kind === "metric" && candidate.metrics[name]) {
    const { mean } = candidate.metrics[name];
    return el("td", { class: "number", title: formatInterval(candidate.metrics[name]) }, format(mean));
  }
  const value = valueOf(candidate, id);
  return el("td", { class: typeof value === "number" ? "number" : "" }, value === undefined ? "" : format(value));
}

function order(a, b) {
  const [x, y] = [numeric(a), numeric(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return String(a ?? "") < String(b ?? "") ? -1 : 1;
  if (Number.isNaN(x)) return 1;
  if (Number.isNaN(y)) return -1;
  return x - y;
}
