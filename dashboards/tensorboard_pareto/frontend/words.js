// What the tab says in words: when there is nothing, what was refused, how to use it.

import { button, el } from "./dom.js";

/** Instead of the picture, when the log directory holds no candidate. */
export function empty(problems) {
  return [
    el("h2", {}, "No candidates yet"),
    el("p", {}, "This tab shows evaluated candidates of a search, one metric against another. They appear here by themselves as soon as they lie in the log directory. A DriveReplay sweep writes them; any other program does so with two lines:"),
    el("pre", {}, "from tensorboard_pareto import add_candidate\n\nadd_candidate(writer, {\"learning_rate\": 1e-4}, {\"fvd\": 231.0, \"ade\": 0.12})"),
    el("p", { class: "note" }, "writer is a SummaryWriter of torch or tensorboardX; its run must lie below the directory that TensorBoard was started on."),
    ...problems.map((problem) => el("p", { class: "problem" }, problem)),
  ];
}

/** What a reader has to know before believing the picture. */
export function notices(view, store, set) {
  const found = [];
  for (const { sweep, against, differences } of view.refused) {
    found.push(el("div", { class: "notice", "data-role": "refused" },
      el("b", {}, sweep.title), ` was judged by another protocol than ${against.title} and is not drawn with it: `,
      list(differences), " ",
      button("drop it", () => set({ sweeps: view.sweeps.map((one) => one.id) })),
      button("show it alone", () => set({ sweeps: [sweep.id], selected: "", compare: "", zoom: [] }))));
  }
  if (view.foreign.length) {
    found.push(el("div", { class: "notice", "data-role": "foreign" }, `${view.foreign.length} candidates were judged by another protocol than the rest of their sweep and are not drawn: ${view.foreign.slice(0, 4).map((one) => one.name).join(", ")}${view.foreign.length > 4 ? ", …" : ""}`));
  }
  if (store.problems.length) {
    found.push(el("details", { class: "notice", "data-role": "problems" }, el("summary", {}, `${store.problems.length} records could not be read`), ...store.problems.slice(0, 20).map((problem) => el("div", {}, problem))));
  }
  return found;
}

function list(differences) {
  const shown = differences.slice(0, 5).map(([field, there, here]) => `${field}: ${here} instead of ${there}`).join("; ");
  return `${shown}${differences.length > 5 ? `; and ${differences.length - 5} more` : ""}.`;
}

const KEYS = [
  ["← →", "walk along the front"], ["Esc", "close the candidate, then the filter, then the zoom"], ["c", "compare the hovered candidate with the chosen one"],
  ["space", "play or pause the videos"], [", .", "frame back, frame forward"], ["s", "swap the axes"], ["l, L", "logarithmic x, y"],
  ["b", "intervals on or off"], ["d", "dominated candidates on or off"], ["1 2 3", "parameters, domain mix, table"], ["?", "this list"],
];
const MOUSE = [
  ["click", "open a candidate"], ["Ctrl-click", "compare with the open one"], ["drag", "filter by a box, or by a range on a parameter's axis"],
  ["wheel, Shift-drag", "zoom, move"], ["double click", "whole picture, no filter"],
];

export function help(root) {
  const rows = (pairs) => pairs.map(([key, what]) => el("tr", {}, el("th", {}, key), el("td", {}, what)));
  const dialog = el("dialog", { class: "help" }, el("h2", {}, "Keyboard"), el("table", {}, ...rows(KEYS)), el("h2", {}, "Mouse"), el("table", {}, ...rows(MOUSE)),
    el("form", { method: "dialog" }, el("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
}
