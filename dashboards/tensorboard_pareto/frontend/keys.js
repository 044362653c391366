// The keyboard: see the list in `words.js`.

import { help } from "./words.js";

export function listenToKeys(app) {
  document.addEventListener("keydown", (event) => {
    if (!app.view || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { tagName, type } = event.target;
    if (tagName === "SELECT" || tagName === "TEXTAREA" || (tagName === "INPUT" && type !== "checkbox")) return;
    if (event.key === " " && (tagName === "BUTTON" || tagName === "SUMMARY")) return;
    const action = ACTIONS[event.key];
    if (!action) return;
    event.preventDefault();
    action(app, app.values);
  });
}

const ACTIONS = {
  ArrowRight: (app) => app.walk(1),
  ArrowLeft: (app) => app.walk(-1),
  Escape: (app, values) => {
    if (values.selected) app.choose("", false);
    else if (Object.keys(values.filters).length) app.state.set({ filters: {} });
    else app.state.set({ zoom: [] });
  },
  c: (app, values) => {
    const key = app.scatter.hovered;
    if (key && values.selected && key !== values.selected) app.state.set({ compare: key });
  },
  " ": (app) => app.panel.player?.toggle(),
  ",": (app) => app.panel.player?.step(-1),
  ".": (app) => app.panel.player?.step(1),
  s: (app, values) => app.state.set({ x: app.view.axes.y.id, y: app.view.axes.x.id, logx: values.logy, logy: values.logx, zoom: [] }),
  l: (app, values) => app.state.set({ logx: !values.logx, zoom: [] }),
  L: (app, values) => app.state.set({ logy: !values.logy, zoom: [] }),
  b: (app, values) => app.state.set({ bars: !values.bars }),
  d: (app, values) => app.state.set({ dominated: !values.dominated }),
  1: (app) => app.state.set({ below: "parameters" }),
  2: (app) => app.state.set({ below: "mix" }),
  3: (app) => app.state.set({ below: "table" }),
  "?": (app) => help(app.root),
};
