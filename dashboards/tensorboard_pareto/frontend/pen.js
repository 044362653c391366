// One set of strokes for two papers: a canvas for the screen, SVG text for export.

import { OUTLINES, stampAll, tracePath } from "./stamps.js";

/** Draws on a canvas' 2-D context. */
export class CanvasPen {
  constructor(context) {
    this.context = context;
  }

  line(points, { stroke, width = 1, dash = [], alpha = 1 }) {
    const c = this.context;
    c.globalAlpha = alpha;
    c.strokeStyle = stroke;
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
    c.stroke();
    c.setLineDash([]);
    c.globalAlpha = 1;
  }

  polygon(points, { fill, alpha = 1 }) {
    const c = this.context;
    c.globalAlpha = alpha;
    c.fillStyle = fill;
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
    c.closePath();
    c.fill();
    c.globalAlpha = 1;
  }

  /** shape: circle, square, diamond, triangle, cross. */
  marker(shape, x, y, r, { fill, stroke, width = 1, alpha = 1 }) {
    const c = this.context;
    c.globalAlpha = alpha;
    tracePath(c, shape, x, y, r);
    if (fill) {
      c.fillStyle = fill;
      c.fill();
    }
    if (stroke) {
      c.strokeStyle = stroke;
      c.lineWidth = width;
      c.stroke();
    }
    c.globalAlpha = 1;
  }

  /** Groups of filled markers `{shape, r, fill, places}`; thousands are blended into the picture's pixels by `stamps.js`. */
  dots(groups, alpha, box) {
    stampAll(this.context, groups, alpha, box);
  }

  /** Many lines of one colour in one stroke. */
  lines(lines, { stroke, width = 1, alpha = 1 }) {
    const c = this.context;
    c.globalAlpha = alpha;
    c.strokeStyle = stroke;
    c.lineWidth = width;
    c.beginPath();
    for (const points of lines) points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
    c.stroke();
    c.globalAlpha = 1;
  }

  ellipse(x, y, a, b, angle, { stroke, fill, width = 1, alpha = 1 }) {
    const c = this.context;
    c.beginPath();
    c.ellipse(x, y, a, b, angle, 0, 2 * Math.PI);
    c.globalAlpha = alpha * 0.2;
    c.fillStyle = fill;
    c.fill();
    c.globalAlpha = alpha;
    c.strokeStyle = stroke;
    c.lineWidth = width;
    c.stroke();
    c.globalAlpha = 1;
  }

  /** align: start, middle, end; halo: a colour drawn round the letters. */
  text(text, x, y, { fill, size = 11, align = "start", weight = 400, rotate = 0, halo = null, alpha = 1 }) {
    const c = this.context;
    c.save();
    c.globalAlpha = alpha;
    c.translate(x, y);
    c.rotate((rotate * Math.PI) / 180);
    c.font = `${weight} ${size}px ${FONT}`;
    c.textAlign = align === "middle" ? "center" : align;
    if (halo) {
      c.strokeStyle = halo;
      c.lineWidth = 4;
      c.lineJoin = "round";
      c.strokeText(text, 0, 0);
    }
    c.fillStyle = fill;
    c.fillText(text, 0, 0);
    c.restore();
  }

  clip(x, y, width, height, draw) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, width, height);
    this.context.clip();
    draw();
    this.context.restore();
  }
}

/** Writes SVG; `toString()` gives the document. */
export class SvgPen {
  constructor(width, height, ground) {
    this.parts = [];
    this.size = [width, height];
    this.clips = 0;
    this.polygon([[0, 0], [width, 0], [width, height], [0, height]], { fill: ground });
  }

  line(points, { stroke, width = 1, dash = [], alpha = 1 }) {
    const dashes = dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : "";
    this.parts.push(`<polyline points="${list(points)}" fill="none" stroke="${stroke}" stroke-width="${width}"${opacity(alpha)}${dashes}/>`);
  }

  polygon(points, { fill, alpha = 1 }) {
    this.parts.push(`<polygon points="${list(points)}" fill="${fill}"${opacity(alpha)}/>`);
  }

  marker(shape, x, y, r, { fill, stroke, width = 1, alpha = 1 }) {
    const style = `fill="${fill || "none"}" stroke="${stroke || "none"}" stroke-width="${width}"${opacity(alpha)}`;
    if (shape === "circle") {
      this.parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${short(r)}" ${style}/>`);
      return;
    }
    const path = OUTLINES[shape].map(([move, dx, dy]) => `${move ? "M" : "L"}${short(x + dx * r)} ${short(y + dy * r)}`).join("");
    this.parts.push(`<path d="${path}${shape === "cross" ? "" : "Z"}" ${style}/>`);
  }

  dots(groups, alpha) {
    for (const { shape, r, fill, places } of groups) for (const { px, py } of places) this.marker(shape, px, py, r, { fill, alpha });
  }

  ellipse(x, y, a, b, angle, { stroke, fill, width = 1, alpha = 1 }) {
    const turn = `transform="rotate(${short((angle * 180) / Math.PI)} ${short(x)} ${short(y)})"`;
    const size = `cx="${short(x)}" cy="${short(y)}" rx="${short(a)}" ry="${short(b)}"`;
    this.parts.push(`<ellipse ${size} ${turn} fill="${fill}" fill-opacity="0.2" stroke="${stroke}" stroke-width="${width}"${opacity(alpha)}/>`);
  }

  text(text, x, y, { fill, size = 11, align = "start", weight = 400, rotate = 0, halo = null, alpha = 1 }) {
    const turn = rotate ? ` transform="rotate(${rotate} ${short(x)} ${short(y)})"` : "";
    const ring = halo ? ` stroke="${halo}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"` : "";
    this.parts.push(
      `<text x="${short(x)}" y="${short(y)}" fill="${fill}" font-size="${size}" font-weight="${weight}" ` +
        `text-anchor="${align}"${turn}${ring}${opacity(alpha)}>${escape(text)}</text>`,
    );
  }

  clip(x, y, width, height, draw) {
    const id = `clip${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"/></clipPath>`);
    this.parts.push(`<g clip-path="url(#${id})">`);
    draw();
    this.parts.push("</g>");
  }

  toString() {
    const [width, height] = this.size;
    const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${escape(FONT)}">`;
    return `${head}\n${this.parts.join("\n")}\n</svg>\n`;
  }
}

export const FONT = "Roboto, Noto Sans, Helvetica, Arial, sans-serif";

/** The shapes by which sweeps are told apart. */
export const SHAPES = ["circle", "square", "diamond", "triangle"];

function list(points) {
  return points.map(([x, y]) => `${short(x)},${short(y)}`).join(" ");
}

function short(value) {
  return Number(value.toFixed(2));
}

function opacity(alpha) {
  return alpha === 1 ? "" : ` opacity="${short(alpha)}"`;
}

function escape(text) {
  const plain = String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "");
  return plain.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
