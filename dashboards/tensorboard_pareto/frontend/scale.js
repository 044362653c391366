// Numbers to pixels, ticks, and numbers to text.

/** A scale from values to pixels: `map(value)`, `invert(pixel)`, `ticks` about `apart` pixels from each other, `log`. */
export function scale(low, high, from, to, log = false, apart = 72) {
  if (!(Number.isFinite(low) && Number.isFinite(high))) [low, high] = [0, 1];
  if (low === high) {
    const pad = Math.abs(low) * 0.1 || 0.5;
    [low, high] = log && low > 0 ? [low / 2, low * 2] : [low - pad, high + pad];
  }
  log = log && low > 0;
  const f = log ? Math.log10 : (value) => value;
  const [a, b] = [f(low), f(high)];
  const map = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  const invert = (pixel) => {
    const value = a + ((pixel - from) / (to - from)) * (b - a);
    return log ? 10 ** value : value;
  };
  const count = Math.max(2, Math.floor(Math.abs(to - from) / apart));
  return { map, invert, low, high, log, ticks: log ? logTicks(low, high, count) : linearTicks(low, high, count) };
}

/** The interval of finite numbers, widened by a share on both sides. */
export function extent(values, share = 0.06, log = false) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [NaN, NaN];
  if (log) {
    const factor = (high / low) ** share;
    return [low / factor, high * factor];
  }
  const pad = (high - low) * share;
  return [low - pad, high + pad];
}

function linearTicks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high, count) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  if (ticks.length < 2) return linearTicks(low, high, count);
  const decades = ticks.filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
  return ticks.length > count && decades.length > 1 ? decades : ticks;
}

/** A number in few characters: four significant digits, powers of ten where they are shorter. */
export function format(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return minus(String(value));
  if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(Math.max(0, digits - 2)).replace(/\.?0+e/, "e").replace("e+", "e"));
  return minus(String(Number(value.toPrecision(digits))));
}

/** A figure with its interval. */
export function formatInterval({ mean, low, high }) {
  const bounds = Number.isFinite(low) && Number.isFinite(high) ? ` [${format(low)}, ${format(high)}]` : "";
  return format(mean) + bounds;
}

function minus(text) {
  return text.replace(/^-/, "−");
}
