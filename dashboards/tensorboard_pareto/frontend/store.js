// The candidates that have arrived, by sweep, and their columns.

const SPECIAL = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
const FIRST = /^(replay\.frequency|rho|ρ)$/;

/** Keeps candidates by key; `version` moves with every change. */
export class Store {
  constructor() {
    this.byKey = new Map();
    this.setups = {};
    this.problems = [];
    this.version = 0;
    this.loaded = false;
  }

  /** Take what a source's `poll` gave; returns whether anything changed. */
  take({ reset, candidates, setups, problems }) {
    const before = this.version;
    if (reset && this.byKey.size) {
      this.byKey.clear();
      this.version++;
    }
    for (const raw of candidates) {
      const candidate = parse(raw);
      this.byKey.set(candidate.key, candidate);
      this.version++;
    }
    const text = JSON.stringify([setups, problems]);
    if (text !== this.told) {
      this.told = text;
      this.setups = setups;
      this.problems = problems;
      this.version++;
    }
    if (!this.loaded) this.version++;
    this.loaded = true;
    if (this.version === before) return false;
    this.arrange();
    return true;
  }

  get(key) {
    return this.byKey.get(key);
  }

  /** Candidates in order of time, in sweeps; columns of what they have. */
  arrange() {
    this.all = [...this.byKey.values()].sort((a, b) => a.time - b.time || (a.key < b.key ? -1 : 1));
    this.sweeps = new Map();
    for (const candidate of this.all) {
      const id = sweepOf(candidate, this.setups);
      candidate.sweep = id;
      if (!this.sweeps.has(id)) this.sweeps.set(id, { id, candidates: [], setup: {}, latest: 0 });
      const sweep = this.sweeps.get(id);
      sweep.candidates.push(candidate);
      sweep.latest = candidate.time;
      if (this.setups[candidate.run]) sweep.setup = this.setups[candidate.run];
    }
    for (const sweep of this.sweeps.values()) {
      sweep.title = sweep.setup.title || (sweep.id === "." ? "all runs" : sweep.id);
      settleProtocol(sweep);
    }
    disambiguate([...this.sweeps.values()]);
    this.columns = columnsOf(this.all);
    this.byId = new Map(this.columns.map((column) => [column.id, column]));
  }

  column(id) {
    return this.byId?.get(id);
  }

  /** Better direction of a metric in a sweep: min, max, or null for what is neither. */
  direction(id, sweeps) {
    const [kind, name] = split(id);
    if (kind === "cost") return "min";
    if (kind !== "metric") return null;
    for (const sweep of sweeps) {
      const told = sweep.setup.directions?.[name];
      if (told) return told;
      if (sweep.candidates.some((candidate) => candidate.maximise.has(name))) return "max";
    }
    return "min";
  }

  unit(id, sweeps) {
    const [kind, name] = split(id);
    const unit = kind === "metric" ? sweeps.map((sweep) => sweep.setup.units?.[name]).find(Boolean) : "";
    return unit && unit !== "1" ? unit : "";
  }
}

/** The value of a candidate in a column: a number, a string, a boolean, or undefined. */
export function valueOf(candidate, id) {
  return getter(id)(candidate);
}

/** `valueOf` for one column, made once for many candidates. */
export function getter(id) {
  if (!GETTERS.has(id)) GETTERS.set(id, makeGetter(id));
  return GETTERS.get(id);
}

const GETTERS = new Map();

function makeGetter(id) {
  const [kind, name] = split(id);
  if (kind === "metric") return (candidate) => candidate.metrics[name]?.mean;
  if (kind === "parameter") return (candidate) => candidate.parameters[name];
  if (kind === "cost") return (candidate) => candidate.cost[name];
  if (kind === "sweep") return (candidate) => candidate.sweepTitle;
  return (candidate) => candidate[kind];
}

export function split(id) {
  const at = id.indexOf(":");
  return at < 0 ? [id, id] : [id.slice(0, at), id.slice(at + 1)];
}

/** Dotted names of fields in which two protocols differ, with both values. */
export function protocolDifferences(a, b) {
  const [here, there] = [flat(a?.fields ?? {}), flat(b?.fields ?? {})];
  const keys = [...new Set([...Object.keys(here), ...Object.keys(there)])].sort();
  const differ = keys.filter((key) => here[key] !== there[key]).map((key) => [key, here[key] ?? "–", there[key] ?? "–"]);
  return differ.length ? differ : [["hash", a?.hash ?? "none", b?.hash ?? "none"]];
}

/** A record as it is used here. Its mappings are changed in place: making ten thousand anew would be half of the time. */
function parse(raw) {
  const { metrics, parameters } = raw;
  const cost = raw.cost ?? {};
  for (const name in metrics) {
    const [mean, low, high, n] = metrics[name];
    metrics[name] = { mean: number(mean), low: number(low), high: number(high), n };
  }
  for (const name in parameters) {
    const value = parameters[name];
    if (typeof value === "string" && value in SPECIAL) parameters[name] = SPECIAL[value];
    else if (value !== null && typeof value === "object") parameters[name] = JSON.stringify(value);
  }
  for (const name in cost) cost[name] = number(cost[name]);
  return {
    key: `${raw.run}\n${raw.name}`,
    name: String(raw.name), run: String(raw.run), label: raw.sweep ?? null, trial: raw.trial ?? "", setting: raw.setting ?? null, kind: String(raw.kind ?? "trial"),
    status: String(raw.status ?? "finished"), seed: raw.seed ?? null, step: raw.step ?? 0, time: number(raw.time),
    protocol: raw.protocol ?? null, maximise: new Set(raw.maximise ?? []), metrics, parameters, cost,
  };
}

function number(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && value in SPECIAL ? SPECIAL[value] : NaN;
}

/** Named by the candidate; else its run where that run is set up as a sweep; else the directory around the run. */
function sweepOf(candidate, setups) {
  if (candidate.label) return candidate.label;
  if (setups[candidate.run]) return candidate.run;
  const parent = candidate.run.includes("/") ? candidate.run.slice(0, candidate.run.lastIndexOf("/")) : ".";
  return parent;
}

/** The sweep's protocol is that of its setup, else of its first candidate; candidates of another one are set aside. */
function settleProtocol(sweep) {
  sweep.protocol = sweep.setup.protocol ?? sweep.candidates.find((candidate) => candidate.protocol)?.protocol ?? null;
  for (const candidate of sweep.candidates) {
    const own = candidate.protocol;
    candidate.foreign = Boolean(own && sweep.protocol && own.hash !== sweep.protocol.hash);
  }
}

function disambiguate(sweeps) {
  const count = new Map();
  for (const sweep of sweeps) count.set(sweep.title, (count.get(sweep.title) ?? 0) + 1);
  for (const sweep of sweeps) {
    if (count.get(sweep.title) > 1 && sweep.title !== sweep.id) sweep.title = `${sweep.title} (${sweep.id})`;
    for (const candidate of sweep.candidates) candidate.sweepTitle = sweep.title;
  }
}

function columnsOf(candidates) {
  const kinds = { parameter: new Map(), metric: new Map(), cost: new Map(), own: new Map() };
  const see = (kind, name, value) => {
    let column = kinds[kind].get(name);
    if (!column) {
      const id = kind === "own" ? name : `${kind}:${name}`;
      column = { id, label: name, numeric: true, values: new Set(), low: Infinity, high: -Infinity, varied: false };
      kinds[kind].set(name, column);
    }
    if (typeof value === "number") {
      if (Number.isFinite(value)) {
        if (value < column.low) column.low = value;
        if (value > column.high) column.high = value;
      }
    } else if (value !== undefined && value !== null) {
      column.numeric = false;
    }
    if (column.values.size < 200) column.values.add(value);
  };
  for (const candidate of candidates) {
    for (const name in candidate.parameters) see("parameter", name, candidate.parameters[name]);
    for (const name in candidate.metrics) see("metric", name, candidate.metrics[name].mean);
    for (const name in candidate.cost) see("cost", name, candidate.cost[name]);
    see("own", "step", candidate.step);
    if (candidate.seed !== null) see("own", "seed", candidate.seed);
    see("own", "kind", candidate.kind);
    see("own", "sweep", candidate.sweepTitle);
  }
  const found = Object.values(kinds).flatMap((columns) => [...columns.values()]);
  for (const column of found) {
    column.varied = column.values.size > 1;
    column.categories = column.numeric ? [] : [...column.values].filter((value) => value !== undefined && value !== null).map(String).sort();
  }
  const order = ["parameter", "metric", "cost", "step", "seed", "kind", "sweep"];
  const place = (column) => [order.indexOf(split(column.id)[0]), FIRST.test(column.label) ? 0 : 1];
  return found.sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1] || (a.label < b.label ? -1 : 1));
}

function flat(value, prefix = "", into = {}) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flat(inner, prefix ? `${prefix}.${key}` : key, into);
  } else {
    into[prefix] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return into;
}
