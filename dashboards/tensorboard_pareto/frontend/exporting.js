// Taking things home: the table as CSV, the picture as SVG or PNG.

import { download } from "./dom.js";
import { CanvasPen, SvgPen } from "./pen.js";
import { drawScatter, layOut } from "./scatter.js";
import { split, valueOf } from "./store.js";
import { lightTheme } from "./theme.js";
import { rowsOf } from "./table.js";
import { colouring } from "./view.js";

const SIZE = [960, 620];

/** The candidates that pass the filters, with all columns, in the order of the table. */
export function saveTable(view, state, store) {
  download(`${nameOf(view)}.csv`, tableText(view, state, store), "text/csv");
}

export function tableText(view, state, store) {
  const ids = store.columns.filter((column) => !["step", "seed", "kind", "sweep"].includes(column.id)).map((column) => column.id);
  const head = ["sweep", "candidate", "trial", "step", "seed", "kind", "status", "front"];
  for (const id of ids) {
    const [kind, name] = split(id);
    head.push(...(kind === "metric" ? [name, `${name}.low`, `${name}.high`, `${name}.n`] : [kind === "cost" ? `cost.${name}` : name]));
  }
  const lines = [head];
  for (const { candidate, onFront } of rowsOf(view, state)) {
    const line = [candidate.sweepTitle, candidate.name, candidate.trial, candidate.step, candidate.seed, candidate.kind, candidate.status, onFront];
    for (const id of ids) {
      const [kind, name] = split(id);
      const figure = candidate.metrics[name];
      if (kind === "metric") line.push(figure?.mean, figure?.low, figure?.high, figure?.n);
      else line.push(valueOf(candidate, id));
    }
    lines.push(line);
  }
  return `${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** The scatter with its own size and light colours, as it is zoomed now. */
export function saveSvg(view, state, store) {
  const pen = new SvgPen(...SIZE, lightTheme().ground);
  draw(pen, view, state, store);
  download(`${nameOf(view)}.svg`, pen.toString(), "image/svg+xml");
}

export function savePng(view, state, store) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = SIZE.map((side) => side * 2);
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  const pen = new CanvasPen(context);
  const [width, height] = SIZE;
  pen.polygon([[0, 0], [width, 0], [width, height], [0, height]], { fill: lightTheme().ground });
  draw(pen, view, state, store);
  canvas.toBlob((blob) => download(`${nameOf(view)}.png`, blob, "image/png"), "image/png");
}

function draw(pen, view, state, store) {
  const colour = view.colour && colouring(store.column(view.colour.id), false);
  const copy = { ...view, colour, points: view.points.map((point) => ({ ...point, fill: colour?.of(point.candidate) ?? null })) };
  const moved = new Map(view.points.map((point, i) => [point, copy.points[i]]));
  copy.fronts = view.fronts.map((front) => ({ ...front, points: front.points.map((point) => moved.get(point)), knee: front.knee && moved.get(front.knee) }));
  const layout = layOut(copy, state, ...SIZE);
  copy.layout = layout;
  drawScatter(pen, layout, copy, state, lightTheme());
}

function nameOf(view) {
  return `pareto-${view.sweeps.map((sweep) => sweep.title).join("-") || "front"}`;
}

/** One CSV cell. A text that a spreadsheet would run as a formula gets an apostrophe before it. */
function cell(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return "";
  if (typeof value !== "string") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
