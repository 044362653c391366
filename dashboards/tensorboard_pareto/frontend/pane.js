// A canvas that follows its host's size and the screen's resolution.

import { CanvasPen } from "./pen.js";

/** Calls `draw(pen, width, height)` whenever `redraw()` is asked for or the size changes, once a frame at most. */
export class Pane {
  constructor(host, draw, className = "") {
    this.draw = draw;
    this.canvas = document.createElement("canvas");
    this.canvas.className = className;
    host.append(this.canvas);
    this.host = host;
    this.pending = false;
    new ResizeObserver(() => this.redraw()).observe(host);
  }

  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.now();
    });
  }

  now() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.draw(new CanvasPen(context), width, height);
  }
}

/** Position of a pointer event within an element. */
export function place(event, element) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
