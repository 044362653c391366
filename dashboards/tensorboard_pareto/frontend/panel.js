// The right-hand side: the front as a list, or what is known of the chosen candidate.

import { button, el, replace, download } from "./dom.js";
import { showCurves } from "./curves.js";
import { Player } from "./player.js";
import { format, formatInterval } from "./scale.js";
import { shorten } from "./scatter.js";
import { split, valueOf } from "./store.js";

const CHOSEN = "#D55E00";
const COMPARED = "#009E73";
const MOST_ROWS = 300;

export class Panel {
  /** `actions`: choose(key, extend), compare(key), hover(key). */
  constructor(host, source, actions) {
    this.host = host;
    this.source = source;
    this.actions = actions;
    this.shown = "";
  }

  update(view, state, store) {
    const candidate = store.get(state.selected);
    const other = store.get(state.compare);
    const key = candidate ? JSON.stringify([candidate.key, candidate.time, other?.key, other?.time]) : "";
    if (candidate && key === this.shown) {
      this.mark(view, candidate);
      return;
    }
    this.shown = key;
    if (candidate) this.showCandidate(candidate, other, view);
    else this.showFront(view, state);
  }

  showFront(view, state) {
    this.player?.stop();
    this.player = null;
    replace(this.host, ...view.fronts.flatMap((front) => frontList(front, view, state, this.actions)),
      view.fronts.length ? aside(view) : null);
  }

  mark(view, candidate) {
    const point = view.points.find((one) => one.candidate.key === candidate.key);
    this.badge.textContent = badge(candidate, point, view);
  }

  async showCandidate(candidate, other, view) {
    const point = view.points.find((one) => one.candidate.key === candidate.key);
    this.badge = el("span", { class: "badge" }, badge(candidate, point, view));
    const videos = el("div", { class: "videos" });
    const curves = el("div", { class: "curves" });
    const close = button("✕", () => this.actions.choose("", false), { class: "icon", title: "Back to the front (Esc)", "aria-label": "Close" });
    const save = button("spec.yaml", () => this.save(candidate), { title: "Download this candidate's settings" });
    const drop = other ? button("✕", () => this.actions.compare(""), { class: "icon", "aria-label": "Stop comparing" }) : null;
    this.player?.stop();
    this.player = new Player(videos);
    replace(this.host,
      el("div", { class: "panel-head" },
        el("h2", { "data-role": "candidate" }, el("span", { class: "dot", style: `background:${CHOSEN}` }), candidate.name), save, close),
      el("p", { class: "sub" }, this.badge, ` ${candidate.kind} · step ${candidate.step}${candidate.seed === null ? "" : ` · seed ${candidate.seed}`}${candidate.trial ? ` · ${candidate.trial}` : ""}`),
      other ? el("p", { class: "sub" }, el("span", { class: "dot", style: `background:${COMPARED}` }), `against ${other.name} `, drop)
        : el("p", { class: "note" }, "Ctrl-click another candidate (or press c on it) to compare."),
      el("section", {}, el("h3", {}, "Videos"), videos),
      el("section", {}, el("h3", {}, "Figures"), figures(candidate, other, view)),
      el("section", {}, el("h3", {}, "Setting"), settings(candidate, other)),
      el("section", {}, el("h3", {}, "Training"), curves));
    await Promise.all([this.fillVideos(candidate, other), this.fillCurves(curves, candidate, other)]);
  }

  async fillVideos(candidate, other) {
    const { player } = this;
    const chosen = [candidate, other].filter(Boolean);
    const found = await this.asked(Promise.all(chosen.map((one) => this.source.videos(one))));
    if (player === this.player && found) player.show(chosen.map((one, i) => ({ label: one.name, videos: found[i] })));
  }

  async fillCurves(host, candidate, other) {
    const chosen = [candidate, other].filter(Boolean);
    const found = await this.asked(Promise.all(chosen.map((one) => this.source.curves(one))));
    if (host.isConnected && found) showCurves(host, chosen.map((one, i) => ({ label: one.name, colour: [CHOSEN, COMPARED][i], curves: found[i] })));
  }

  async save(candidate) {
    const text = await this.asked(this.source.settings(candidate));
    if (text === null) return;
    if (text) download(`${candidate.name}-spec.yaml`, text, "text/yaml");
    else this.actions.tell("No settings were written for this candidate.");
  }

  /** The answer, or null once the reader has been told that there is none. */
  async asked(promise) {
    try {
      return await promise;
    } catch (error) {
      this.actions.tell(`TensorBoard did not answer: ${error.message}`);
      return null;
    }
  }
}

function frontList(front, view, state, actions) {
  const { axes } = view;
  const used = front.used;
  const column = used.length < 3 && view.colour?.id.startsWith("parameter:") ? view.colour : null;
  const rows = front.points.slice(0, MOST_ROWS).map((point) => {
    const { candidate } = point;
    return el("tr", {
      "data-candidate": candidate.name, "data-kind": candidate.kind, class: point.match ? "" : "faint", tabindex: 0,
      on: {
        click: (event) => actions.choose(candidate.key, event.ctrlKey || event.metaKey),
        keydown: (event) => event.key === "Enter" && actions.choose(candidate.key, false),
        pointerenter: () => actions.hover(candidate.key), pointerleave: () => actions.hover(null),
      },
    },
    el("th", { scope: "row" }, candidate.name, point === front.knee ? el("span", { class: "knee" }, " knee") : ""),
    ...used.map((axis) => el("td", { class: "number" }, format(valueOf(candidate, axis.id)))),
    column ? el("td", { class: "number" }, format(valueOf(candidate, column.id), 3)) : null);
  });
  const reference = front.reference ? used.map((axis, k) => `${axis.label} ${format(front.reference[k])}`).join(", ") : "";
  const title = view.fronts.length > 1 ? `Front of ${front.sweep.title}` : "The front";
  const none = used.some((axis) => axis.direction === null) ? "A front needs metrics or costs on its axes: a parameter is neither better high nor low." : "No finished candidate has all of these figures yet.";
  return [
    el("div", { class: "panel-head" }, el("h2", {}, title), el("span", { class: "count", "data-role": "front-size" }, String(front.points.length))),
    front.hypervolume === null ? null
      : el("p", { class: "sub" }, "hypervolume ", el("b", { "data-role": "hypervolume", "data-value": String(front.hypervolume) }, format(front.hypervolume, 5)),
        el("span", { class: "soft" }, ` against ${reference}${front.given ? "" : " (the worst, moved out by a tenth of the range)"}`)),
    rows.length ? el("table", { class: "front-list", "data-role": "front" },
      el("thead", {}, el("tr", {}, el("th", {}, "candidate"), ...used.map((axis) => el("th", { title: axis.label }, shorten(axis.label, used.length > 2 ? 10 : 13), el("span", { class: "soft" }, axis.direction === "min" ? " ↓" : " ↑"))), column ? el("th", { title: column.label }, column.label.split(".").at(-1)) : null)),
      el("tbody", {}, ...rows)) : el("p", { class: "note" }, none),
    front.points.length > MOST_ROWS ? el("p", { class: "note" }, `The first ${MOST_ROWS}; all are in the table as CSV.`) : null,
  ];
}

/** Who is not on the picture, and why. */
function aside(view) {
  const count = (status) => view.shown.filter((candidate) => candidate.status === status).length;
  const parts = ["running", "stopped", "failed", "infeasible"].map((status) => [status, count(status)]).filter(([, n]) => n);
  const lines = [];
  if (parts.length) lines.push(`${parts.map(([status, n]) => `${n} ${status}`).join(", ")}: never on a front.`);
  if (view.missing.length) {
    const names = view.missing.slice(0, 5).map((candidate) => candidate.name).join(", ");
    lines.push(`${view.missing.length} without a finite value on these axes: ${names}${view.missing.length > 5 ? ", …" : ""}`);
  }
  return lines.length ? el("section", { "data-role": "aside" }, el("h3", {}, "Aside"), ...lines.map((line) => el("p", { class: "note" }, line))) : null;
}

function badge(candidate, point, view) {
  if (candidate.status !== "finished") return candidate.status;
  if (!point) return "not on these axes";
  if (view.fronts.some((front) => front.knee === point)) return "knee of the front";
  return point.onFront ? "on the front" : "dominated";
}

function figures(candidate, other, view) {
  const names = [...new Set([...Object.keys(candidate.metrics), ...Object.keys(other?.metrics ?? {})])];
  const first = [view.axes.x, view.axes.y, view.axes.third].filter(Boolean).map((axis) => split(axis.id)[1]);
  names.sort((a, b) => Number(first.includes(b)) - Number(first.includes(a)) || (a < b ? -1 : 1));
  // beside another candidate's figures there is no room for intervals; they are in the tip
  const show = (one, name) => {
    const figure = one.metrics[name];
    if (!figure) return "–";
    return other ? el("span", { title: formatInterval(figure) }, format(figure.mean)) : formatInterval(figure);
  };
  return table(names.map((name) => [name, show(candidate, name), other ? show(other, name) : null]));
}

function settings(candidate, other) {
  const names = [...new Set([...Object.keys(candidate.parameters), ...Object.keys(other?.parameters ?? {})])];
  const rows = names.map((name) => [name, format(candidate.parameters[name]), other ? format(other.parameters[name]) : null]);
  const costs = [...new Set([...Object.keys(candidate.cost), ...Object.keys(other?.cost ?? {})])];
  return table([...rows, ...costs.map((name) => [name, format(candidate.cost[name]), other ? format(other.cost[name]) : null])]);
}

function table(rows) {
  return el("table", { class: "facts" }, el("tbody", {}, ...rows.map(([name, mine, theirs]) =>
    el("tr", {}, el("th", { scope: "row" }, breakable(name)), el("td", {}, mine), theirs === null ? null : el("td", { class: "theirs" }, theirs)))));
}

/** A name that may go over to the next line behind a dot or an underscore. */
function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
}
