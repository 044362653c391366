// A canvas that follows its host's size and the screen's resolution.

import { CanvasPen } from "./pen.js";
import { theme } from "./theme.js";

/** An opaque pane can be read back quickly, which `stamps.js` needs. Calls `draw(pen, width, height)` whenever `redraw()` is asked for or the size changes, once a frame at most. */
export class Pane {
  constructor(host, draw, { className = "", opaque = false } = {}) {
    this.draw = draw;
    this.canvas = document.createElement("canvas");
    this.canvas.className = className;
    this.opaque = opaque;
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
    const context = this.canvas.getContext("2d", this.opaque ? { alpha: false, willReadFrequently: true } : {});
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.opaque) {
      context.fillStyle = theme().ground;
      context.fillRect(0, 0, width, height);
    } else {
      context.clearRect(0, 0, width, height);
    }
    this.draw(new CanvasPen(context), width, height);
  }
}

/** Position of a pointer event within an element. */
export function place(event, element) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
