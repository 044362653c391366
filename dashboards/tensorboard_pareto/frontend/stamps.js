// Marker shapes, and thousands of markers at once.
//
// A browser without a GPU needs some 10 µs for each drawImage or arc, which ten thousand candidates make felt under a
// brush. Blending a marker's few dozen pixels by hand takes a tenth of that.

export const OUTLINES = {
  square: [[1, -0.88, -0.88], [0, 0.88, -0.88], [0, 0.88, 0.88], [0, -0.88, 0.88]],
  diamond: [[1, 0, -1.25], [0, 1.25, 0], [0, 0, 1.25], [0, -1.25, 0]],
  triangle: [[1, 0, -1.2], [0, 1.1, 0.8], [0, -1.1, 0.8]],
  cross: [[1, -0.8, -0.8], [0, 0.8, 0.8], [1, 0.8, -0.8], [0, -0.8, 0.8]],
};
const STAMPS = new Map();

/** The outline of a marker as the context's current path. */
export function tracePath(context, shape, x, y, r) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else for (const [move, dx, dy] of OUTLINES[shape]) move ? context.moveTo(x + dx * r, y + dy * r) : context.lineTo(x + dx * r, y + dy * r);
  if (shape !== "circle" && shape !== "cross") context.closePath();
}

/**
 * Blend filled markers into an opaque canvas.
 * groups: `{shape, r, fill, places}` with `px`, `py` in CSS pixels; box: nothing is drawn outside of it.
 */
export function stampAll(context, groups, alpha, box) {
  const ratio = context.getTransform().a;
  const [left, top] = [Math.round(box.left * ratio), Math.round(box.top * ratio)];
  const [width, height] = [Math.round(box.right * ratio) - left, Math.round(box.bottom * ratio) - top];
  if (width < 1 || height < 1 || !groups.length) return;
  const image = context.getImageData(left, top, width, height);
  const { data } = image;
  for (const { shape, r, fill, places } of groups) {
    const { offsets, half, rgb: [red, green, blue] } = stampOf(shape, r, fill, ratio);
    const count = offsets.length / 3;
    const steps = new Int32Array(count);
    const shares = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      steps[i] = 4 * (offsets[3 * i + 1] * width + offsets[3 * i]);
      shares[i] = offsets[3 * i + 2] * alpha;
    }
    for (let k = 0; k < places.length; k++) {
      const x0 = Math.round(places[k].px * ratio) - left;
      const y0 = Math.round(places[k].py * ratio) - top;
      const inside = x0 >= half && y0 >= half && x0 < width - half && y0 < height - half;
      const from = 4 * (y0 * width + x0);
      for (let i = 0; i < count; i++) {
        if (!inside) {
          const x = x0 + offsets[3 * i];
          const y = y0 + offsets[3 * i + 1];
          if (x < 0 || y < 0 || x >= width || y >= height) continue;
        }
        const at = from + steps[i];
        const share = shares[i];
        data[at] += (red - data[at]) * share;
        data[at + 1] += (green - data[at + 1]) * share;
        data[at + 2] += (blue - data[at + 2]) * share;
      }
    }
  }
  context.putImageData(image, left, top);
}

/** The covered pixels of a marker round its centre, as x, y, coverage, none farther than `half`, and its colour. */
function stampOf(shape, r, fill, ratio) {
  const key = `${shape} ${r} ${fill} ${ratio}`;
  if (!STAMPS.has(key)) {
    if (STAMPS.size > 1000) STAMPS.clear();
    const half = Math.ceil(r * 1.3 * ratio) + 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 2 * half + 1;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(ratio, 0, 0, ratio, half + 0.5, half + 0.5);
    context.fillStyle = fill;
    tracePath(context, shape, 0, 0, r);
    context.fill();
    const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
    const offsets = [];
    for (let k = 0; k < data.length / 4; k++) if (data[4 * k + 3]) offsets.push((k % width) - half, Math.floor(k / width) - half, data[4 * k + 3] / 255);
    const centre = 4 * (half * width + half);
    STAMPS.set(key, { offsets: Float32Array.from(offsets), half, rgb: [...data.subarray(centre, centre + 3)] });
  }
  return STAMPS.get(key);
}
