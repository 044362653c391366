// Entry point: TensorBoard calls `render` in the frame of the tab, the saved page calls it with its data.

import { App } from "./app.js";
import { el } from "./dom.js";
import { LiveSource, StaticSource } from "./source.js";

/** Build the tab; with `data` from the page itself, else from TensorBoard's backend. */
export async function render(data = null) {
  if (data === null) {
    const sheet = el("link", { rel: "stylesheet", href: "style.css" });
    const loaded = new Promise((resolve) => sheet.addEventListener("load", resolve, { once: true }));
    document.head.append(sheet);
    // a canvas that is measured before its style would be drawn twice
    await loaded;
  }
  document.title = "Pareto";
  const root = el("div", { class: "pareto" });
  document.body.append(root);
  return new App(root, data === null ? new LiveSource() : new StaticSource(data));
}
