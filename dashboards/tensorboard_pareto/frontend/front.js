// Fronts, hypervolumes and knees of cost vectors (all minimised). Pure functions without a document.

/** Which of n cost vectors of length 2 or 3 no other one dominates; equal ones do not dominate each other. */
export function nonDominated(costs) {
  const kept = new Array(costs.length).fill(false);
  if (!costs.length) return kept;
  const order = costs.map((_, i) => i).sort((a, b) => compare(costs[a], costs[b]));
  if (costs[0].length === 2) {
    let bestX = Infinity;
    let bestY = Infinity;
    for (const i of order) {
      const [x, y] = costs[i];
      if (bestY < y || (bestY === y && bestX < x)) continue;
      kept[i] = true;
      if (y < bestY) [bestX, bestY] = [x, y];
    }
    return kept;
  }
  // in lexicographic order nothing is dominated by a later one; of the earlier ones only the other two costs matter
  const stairs = new Stairs();
  for (const i of order) {
    const [, y, z] = costs[i];
    const earlier = stairs.under(y, z);
    if (earlier && dominates(earlier, costs[i])) continue;
    kept[i] = true;
    if (!earlier) stairs.insert(y, z, costs[i]);
  }
  return kept;
}

/** Pairs none of which is nowhere better than another: the first values rise, the second fall. */
class Stairs {
  constructor() {
    this.steps = [];
  }

  /** How many steps have a first value of at most `first`. */
  upTo(first) {
    let [low, high] = [0, this.steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle].first <= first) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What was inserted at a step that is nowhere above this pair, or null. */
  under(first, second) {
    const step = this.steps[this.upTo(first) - 1];
    return step && step.second <= second ? step.what : null;
  }

  /** Put a pair in that no step is under; gives the steps above it, which it replaces, and its place. */
  insert(first, second, what) {
    let at = this.upTo(first);
    if (at && this.steps[at - 1].first === first) at--;
    let end = at;
    while (end < this.steps.length && this.steps[end].second >= second) end++;
    return [this.steps.splice(at, end - at, { first, second, what }), at];
  }
}

/** Whether a is nowhere worse than b and somewhere better. */
export function dominates(a, b) {
  let better = false;
  for (let k = 0; k < a.length; k++) {
    if (a[k] > b[k]) return false;
    if (a[k] < b[k]) better = true;
  }
  return better;
}

/** Order by the first cost, then the second, then the third. */
export function compare(a, b) {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return a[k] - b[k];
  return 0;
}

/** Area or volume that is dominated by the cost vectors and dominates the reference. */
export function hypervolume(costs, reference) {
  const inside = costs.filter((cost) => cost.every((value, k) => value < reference[k]));
  if (!inside.length) return 0;
  return reference.length === 2 ? area(inside, reference) : volume(inside, reference);
}

function area(costs, [refX, refY]) {
  const covered = new Area(refX, refY);
  for (const [x, y] of costs) covered.add(x, y);
  return covered.total;
}

/** The area that pairs dominate, up to a reference that all of them dominate; grows with each pair. */
class Area {
  constructor(refX, refY) {
    [this.refX, this.refY] = [refX, refY];
    this.stairs = new Stairs();
    this.total = 0;
  }

  add(x, y) {
    const { stairs } = this;
    if (stairs.under(x, y)) return;
    const [above, at] = stairs.insert(x, y, true);
    let left = x;
    let top = at ? stairs.steps[at - 1].second : this.refY;
    for (const { first, second } of above) {
      this.total += (first - left) * (top - y);
      [left, top] = [first, second];
    }
    this.total += ((stairs.steps[at + 1]?.first ?? this.refX) - left) * (top - y);
  }
}

/** Slices along the third cost: each has the area of what has been met so far. */
function volume(costs, [refX, refY, refZ]) {
  const sorted = [...costs].sort((a, b) => a[2] - b[2]);
  const met = new Area(refX, refY);
  let total = 0;
  sorted.forEach(([x, y, z], i) => {
    met.add(x, y);
    total += met.total * ((i + 1 < sorted.length ? sorted[i + 1][2] : refZ) - z);
  });
  return total;
}

/**
 * The hypervolume after each cost vector in turn; a vector is null for a candidate that does not count.
 * Of three costs and very many candidates it is computed a few hundred times, and held in between.
 */
export function hypervolumeHistory(costs, reference) {
  return reference.length === 2 ? areaHistory(costs, reference) : volumeHistory(costs, reference);
}

function areaHistory(costs, [refX, refY]) {
  const covered = new Area(refX, refY);
  return costs.map((cost) => {
    if (cost !== null && cost[0] < refX && cost[1] < refY) covered.add(cost[0], cost[1]);
    return covered.total;
  });
}

function volumeHistory(costs, reference) {
  let front = [];
  let fresh = [];
  let current = 0;
  const stride = Math.ceil(costs.length / 200);
  return costs.map((cost, i) => {
    if (cost !== null) fresh.push(cost);
    if (fresh.length && ((i + 1) % stride === 0 || i === costs.length - 1)) {
      const all = [...front, ...fresh];
      const kept = nonDominated(all);
      front = all.filter((_, k) => kept[k]);
      fresh = [];
      current = hypervolume(front, reference);
    }
    return current;
  });
}

/**
 * Position of the knee among non-dominated costs, or -1: costs scaled so that the front spans [0, 1], the one farthest
 * from the chord (plane) through the ends on its better side; with none there or fewer than three, the nearest to the ideal.
 */
export function knee(costs) {
  if (!costs.length) return -1;
  const m = costs[0].length;
  const low = range(m).map((k) => Math.min(...costs.map((c) => c[k])));
  const span = range(m).map((k) => Math.max(...costs.map((c) => c[k])) - low[k] || 1);
  const scaled = costs.map((c) => c.map((value, k) => (value - low[k]) / span[k]));
  if (costs.length >= 3) {
    const rolled = (c, j) => range(m).map((k) => c[(k + j) % m]);
    const ends = range(m).map((j) => scaled.reduce((best, c) => (compare(rolled(c, j), rolled(best, j)) < 0 ? c : best)));
    const normal = solve(ends);
    if (normal) {
      const length = Math.hypot(...normal);
      const distance = scaled.map((c) => (1 - c.reduce((sum, value, k) => sum + value * normal[k], 0)) / length);
      const best = distance.indexOf(Math.max(...distance));
      if (distance[best] > 1e-9) return best;
    }
  }
  const norm = scaled.map((c) => Math.hypot(...c));
  return norm.indexOf(Math.min(...norm));
}

/** The vector a with E a = 1 for a square matrix E, or null where there is no single one. */
function solve(matrix) {
  const m = matrix.length;
  const rows = matrix.map((row) => [...row, 1]);
  for (let k = 0; k < m; k++) {
    const pivot = range(m - k).map((i) => i + k).reduce((best, i) => (Math.abs(rows[i][k]) > Math.abs(rows[best][k]) ? i : best), k);
    if (Math.abs(rows[pivot][k]) < 1e-12) return null;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < m; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= m; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  return rows.map((row, k) => row[m] / row[k]);
}

function range(n) {
  return Array.from({ length: n }, (_, i) => i);
}
