// From data and state to what is drawn: axes, fronts, colours, who is aside and why. Pure functions without a document.

import { extent } from "./scale.js";
import { hypervolume, hypervolumeHistory, knee, nonDominated, compare } from "./front.js";
import { getter, protocolDifferences, split, valueOf } from "./store.js";
import { CATEGORIES, viridis } from "./theme.js";
import { SHAPES } from "./pen.js";

/**
 * Everything that the panes need; see the fields at the end of `baseView`.
 * While only filters move, as under a brush, the rest of the last view is kept.
 */
export function computeView(store, state, last, dark) {
  const key = JSON.stringify([store.version, dark, ...BASE.map((name) => state[name])]);
  const view = last?.key === key ? last : { ...baseView(store, state, last, dark), key };
  view.matches = filterOf(state.filters);
  for (const point of view.points) point.match = view.matches(point.candidate);
  return view;
}

const SHADES = 48;
const BASE = ["x", "y", "third", "thirdAs", "colour", "logx", "logy", "sweeps", "until", "seeds"];

function baseView(store, state, last, dark) {
  const { sweeps, refused } = chosenSweeps(store, state);
  const axes = chosenAxes(store, state, sweeps);
  const all = sweeps.flatMap((sweep) => sweep.candidates).sort((a, b) => a.time - b.time);
  const foreign = all.filter((candidate) => candidate.foreign);
  const members = all.filter((candidate) => !candidate.foreign);
  const until = state.until > 0 ? Math.min(state.until, members.length) : members.length;
  const shown = members.slice(0, until);
  const column = axes.third && state.thirdAs === "colour" ? axes.third.id : state.colour || defaultColour(store, axes);
  const colour = colouring(store.column(column), dark);
  const shapes = new Map(sweeps.map((sweep, i) => [sweep.id, SHAPES[i % SHAPES.length]]));
  const points = [];
  const missing = [];
  const merged = state.seeds ? state.seeds === "merged" : sweeps.some((sweep) => sweep.setup.pool_seeds);
  for (const candidate of merged ? mergeSeeds(shown, axes) : shown) {
    const x = numeric(valueOf(candidate, axes.x.id));
    const y = numeric(valueOf(candidate, axes.y.id));
    if (!Number.isFinite(x) || !Number.isFinite(y) || (axes.x.log && x <= 0) || (axes.y.log && y <= 0)) {
      missing.push(candidate);
      continue;
    }
    points.push({ candidate, x, y, match: true, onFront: false, fill: colour?.of(candidate) ?? null, shape: shapes.get(candidate.sweep) });
  }
  const histories = last?.historyKey === historyKey(store, sweeps, axes) ? last.histories : new Map();
  const fronts = sweeps.map((sweep, place) => frontOf(sweep, place, points, axes, members, histories));
  const sizes = axes.third && state.thirdAs === "size" ? sizing(points, axes.third) : null;
  return { sweeps, refused, axes, merged, members, shown, until, points, missing, foreign, fronts, colour, sizes, histories, historyKey: historyKey(store, sweeps, axes) };
}

/** The growth of the hypervolume does not depend on how far the slider has gone. */
function historyKey(store, sweeps, axes) {
  return JSON.stringify([store.version, sweeps.map((sweep) => sweep.id), axes.x.id, axes.y.id, axes.third?.id]);
}

/** Selected sweeps of one protocol, the latest by default; and those that were refused, with the differing fields. */
function chosenSweeps(store, state) {
  const all = [...store.sweeps.values()];
  const wanted = state.sweeps.map((id) => store.sweeps.get(id)).filter(Boolean);
  if (!wanted.length && all.length) wanted.push(all.reduce((a, b) => (b.latest > a.latest ? b : a)));
  const sweeps = [];
  const refused = [];
  for (const sweep of wanted) {
    const first = sweeps[0];
    if (first && (first.protocol?.hash ?? "") !== (sweep.protocol?.hash ?? "")) {
      refused.push({ sweep, against: first, differences: protocolDifferences(first.protocol, sweep.protocol) });
    } else {
      sweeps.push(sweep);
    }
  }
  return { sweeps, refused };
}

function chosenAxes(store, state, sweeps) {
  const objectives = (sweeps.find((sweep) => sweep.setup.objectives?.length)?.setup.objectives ?? []).map((name) => `metric:${name}`);
  const metrics = store.columns.filter((column) => split(column.id)[0] === "metric").map((column) => column.id);
  const numbers = store.columns.filter((column) => column.numeric).map((column) => column.id);
  const usual = objectives.filter((id) => store.column(id)).length >= 2 ? objectives : guessed(metrics, numbers);
  const known = (id) => (store.column(id)?.numeric ? id : "");
  const x = known(state.x) || usual[0] || "step";
  const y = known(state.y) || usual.find((id) => id !== x) || usual[1] || x;
  const rest = usual.find((id) => id !== x && id !== y && objectives.includes(id)) ?? "";
  const third = state.third === "none" ? "" : known(state.third) || rest;
  const axis = (id, log) => {
    const column = store.column(id) ?? { id, label: id };
    return { id, label: column.label, log: log && column.low > 0, direction: store.direction(id, sweeps), unit: store.unit(id, sweeps) };
  };
  const reference = sweeps.find((sweep) => Object.keys(sweep.setup.reference ?? {}).length)?.setup.reference ?? {};
  return { x: axis(x, state.logx), y: axis(y, state.logy), third: third && third !== x && third !== y ? axis(third, false) : null, reference };
}

/** Without a setup: looks against motion where the names say so, else the first two metrics. */
function guessed(metrics, numbers) {
  const looks = metrics.find((id) => /fidelity|fvd|fid|psnr|ssim|lpips/.test(id));
  const motion = metrics.find((id) => id !== looks && /agents|ego|ade|fde|epe|dynamics/.test(id));
  if (looks && motion) return [looks, motion];
  return metrics.length >= 2 ? metrics : [...metrics, ...numbers.filter((id) => !metrics.includes(id))];
}

/** The front of one sweep among its finished points; null axes directions (a parameter) give none. */
function frontOf(sweep, place, points, axes, members, histories) {
  const used = [axes.x, axes.y, ...(axes.third ? [axes.third] : [])];
  const result = { sweep, place, points: [], knee: null, reference: null, given: false, hypervolume: null, history: [], used };
  if (used.some((axis) => axis.direction === null)) return result;
  const signs = used.map((axis) => (axis.direction === "min" ? 1 : -1));
  const costOf = (candidate) => {
    if (candidate.status !== "finished") return null;
    const values = used.map((axis) => numeric(valueOf(candidate, axis.id)));
    return values.every(Number.isFinite) ? values.map((value, k) => value * signs[k]) : null;
  };
  const own = points.filter((point) => point.candidate.sweep === sweep.id && costOf(point.candidate));
  const costs = own.map((point) => costOf(point.candidate));
  const kept = nonDominated(costs);
  const order = own.map((_, i) => i).filter((i) => kept[i]).sort((a, b) => compare(costs[a], costs[b]));
  for (const i of order) own[i].onFront = true;
  result.points = order.map((i) => own[i]);
  const best = knee(order.map((i) => costs[i]));
  result.knee = best < 0 ? null : result.points[best];
  const mine = members.filter((candidate) => candidate.sweep === sweep.id);
  const [reference, given] = referenceOf(used, axes.reference, signs, mine.map(costOf).filter(Boolean));
  if (reference) {
    result.reference = reference.map((value, k) => value * signs[k]);
    result.given = given;
    result.hypervolume = hypervolume(order.map((i) => costs[i]), reference);
    if (!histories.has(sweep.id)) histories.set(sweep.id, hypervolumeHistory(mine.map(costOf), reference));
    result.history = histories.get(sweep.id);
  }
  return result;
}

/** The given reference point where it covers all objectives; else the worst of all, moved out by a tenth of the range. */
function referenceOf(used, given, signs, costs) {
  const names = used.map((axis) => split(axis.id)[1]);
  const values = names.map((name) => numeric(given[name]));
  if (values.every(Number.isFinite)) return [values.map((value, k) => value * signs[k]), true];
  if (!costs.length) return [null, false];
  return [
    signs.map((_, k) => {
      const column = costs.map((cost) => cost[k]);
      const [low, high] = extent(column, 0);
      return high + 0.1 * (high - low || Math.abs(high) || 1);
    }),
    false,
  ];
}

function defaultColour(store, axes) {
  const parameters = store.columns.filter((column) => column.id.startsWith("parameter:") && column.varied);
  return (parameters.find((column) => column.numeric) ?? parameters[0] ?? { id: axes.third?.id ?? "" }).id;
}

/** A column with `of(candidate)`, and `shade(share)` or `place` for the legend; null for one colour. */
export function colouring(column, dark) {
  if (!column) return null;
  if (column.numeric) {
    const span = column.high - column.low;
    const share = (value) => (span > 0 ? (value - column.low) / span : 0.5);
    // few shades, so that many points share one and are drawn together
    const palette = Array.from({ length: SHADES + 1 }, (_, i) => viridis(i / SHADES, dark));
    const shade = (part) => (Number.isFinite(part) ? palette[Math.round(part * SHADES)] : viridis(NaN));
    const get = getter(column.id);
    return { ...column, shade, of: (candidate) => shade(share(numeric(get(candidate)))) };
  }
  const place = new Map(column.categories.map((value, i) => [value, CATEGORIES[i % CATEGORIES.length]]));
  return { ...column, place, of: (candidate) => place.get(String(valueOf(candidate, column.id))) ?? "#9e9e9e" };
}

/** Radius by the third objective: the better, the larger. */
function sizing(points, axis) {
  const values = points.map((point) => numeric(valueOf(point.candidate, axis.id)));
  const [low, high] = extent(values, 0);
  return (candidate) => {
    const value = numeric(valueOf(candidate, axis.id));
    if (!Number.isFinite(value) || !(high > low)) return 4.5;
    const share = (value - low) / (high - low);
    return 3 + 6 * (axis.direction === "max" ? share : 1 - share);
  };
}

/** Whether a candidate passes all filters: `{column: [low, high]}` or `{column: [list of values]}` with strings. */
export function filterOf(filters) {
  const tests = Object.entries(filters).map(([id, range]) => {
    if (range.every((bound) => typeof bound === "number")) {
      const get = getter(id);
      const [low, high] = range;
      return (candidate) => {
        const value = get(candidate);
        return value >= low && value <= high;
      };
    }
    return (candidate) => range.includes(String(valueOf(candidate, id)));
  });
  return (candidate) => tests.every((test) => test(candidate));
}

/** Seeds of one setting as one candidate: means, and the spread of the seeds as interval and ellipse. */
function mergeSeeds(candidates, axes) {
  const used = [axes.x, axes.y, axes.third].filter(Boolean).map((axis) => axis.id);
  const groups = new Map();
  for (const candidate of candidates) {
    // a seed that has no place in the picture must not pull the others' mean along
    const counts = candidate.status === "finished" && used.every((id) => Number.isFinite(numeric(valueOf(candidate, id))));
    const group = groups.get(counts ? settingOf(candidate) : candidate.key) ?? [];
    group.push(candidate);
    groups.set(counts ? settingOf(candidate) : candidate.key, group);
  }
  return [...groups.values()].map((group) => (group.length === 1 ? group[0] : merge(group, axes)));
}

function settingOf(candidate) {
  const { sweep, step, setting, parameters } = candidate;
  if (setting !== null) return JSON.stringify([sweep, step, setting]);
  return JSON.stringify([sweep, step, candidate.kind === "replicate" ? "trial" : candidate.kind, parameters]);
}

function merge(group, axes) {
  // the first seed lends its name, as in the search's own front
  group.sort((a, b) => Number(a.kind === "replicate") - Number(b.kind === "replicate"));
  const metrics = {};
  for (const name of Object.keys(group[0].metrics)) {
    if (!group.every((candidate) => candidate.metrics[name])) continue;
    const values = group.map((candidate) => candidate.metrics[name].mean);
    const mean = average(values);
    const deviation = Math.sqrt(average(values.map((value) => (value - mean) ** 2)) * (values.length / (values.length - 1)));
    metrics[name] = { mean, low: mean - deviation, high: mean + deviation, n: values.length };
  }
  const pairs = group.map((c) => [numeric(valueOf(c, axes.x.id)), numeric(valueOf(c, axes.y.id))]);
  return { ...group[0], metrics, seeds: group, pairs };
}

function average(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function numeric(value) {
  return typeof value === "number" ? value : NaN;
}
