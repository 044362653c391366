// What is shown, and its place in the address: `#pareto&p.pareto.x=…`, so that a link opens the same view.

const PREFIX = "p.pareto.";

export const DEFAULTS = {
  x: "", y: "", third: "", thirdAs: "size", colour: "", size: "", logx: false, logy: false,
  sweeps: [], selected: "", compare: "", until: 0, below: "parameters", seeds: "",
  bars: true, dominated: true, aside: true, fronts: true, filters: {}, axes: [], mix: [], sort: "", zoom: [],
};

/** The state, kept in step with the address bar. `set` changes it and tells the listener. */
export class State {
  constructor(changed) {
    this.changed = changed;
    this.values = { ...structuredClone(DEFAULTS), ...this.read() };
    host().addEventListener("hashchange", () => {
      const next = { ...structuredClone(DEFAULTS), ...this.read() };
      if (JSON.stringify(next) === JSON.stringify(this.values)) return;
      this.values = next;
      this.changed(this.values);
    });
  }

  set(values) {
    Object.assign(this.values, values);
    this.write();
    this.changed(values);
  }

  /** Back to the first view; what is loaded stays. */
  reset() {
    this.set(structuredClone(DEFAULTS));
  }

  /** The address of this view. */
  link() {
    this.write();
    return host().location.href;
  }

  read() {
    const values = {};
    for (const part of hash().split("&")) {
      const at = part.indexOf("=");
      if (!part.startsWith(PREFIX) || at < 0) continue;
      const name = part.slice(PREFIX.length, at);
      if (!Object.hasOwn(DEFAULTS, name)) continue;
      const value = decoded(part.slice(at + 1), DEFAULTS[name]);
      if (value !== undefined) values[name] = value;
    }
    return values;
  }

  write() {
    const others = hash().split("&").filter((part) => part && !part.startsWith(PREFIX));
    const own = [];
    for (const [name, value] of Object.entries(this.values)) {
      if (JSON.stringify(value) === JSON.stringify(DEFAULTS[name])) continue;
      const text = typeof value === "string" ? value : JSON.stringify(value);
      own.push(`${PREFIX}${name}=${encodeURIComponent(text)}`);
    }
    const next = `#${[...others, ...own].join("&")}`;
    const { location, history } = host();
    // another tab of TensorBoard may be in front by now; its address is not ours to change
    if (framed() && others[0] !== "pareto") return;
    if (next !== location.hash) history.replaceState(history.state, "", next);
  }
}

/** A value of the type of `like`, or undefined where the text is none. */
function decoded(text, like) {
  try {
    const plain = decodeURIComponent(text);
    if (typeof like === "string") return plain;
    const value = JSON.parse(plain);
    const same = typeof value === typeof like && Array.isArray(value) === Array.isArray(like) && value !== null;
    return same ? value : undefined;
  } catch {
    return undefined; // a mangled link shows the first view
  }
}

function framed() {
  return host() !== window;
}

/** The window whose address the user sees. */
function host() {
  try {
    if (window.parent !== window && window.parent.location.href) return window.parent;
  } catch {
    // framed by another origin: the frame's own address has to do
  }
  return window;
}

function hash() {
  return host().location.hash.replace(/^#/, "");
}
