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
  // in lexicographic order nothing is dominated by a later one
  const front = [];
  for (const i of order) {
    if (front.some((j) => dominates(costs[j], costs[i]))) continue;
    kept[i] = true;
    front.push(i);
  }
  return kept;
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
  const sorted = [...costs].sort(compare);
  let total = 0;
  let low = refY;
  for (const [x, y] of sorted) {
    if (y >= low) continue;
    total += (refX - x) * (low - y);
    low = y;
  }
  return total;
}

/** Slices along the third cost: each slab has the area of what has been met so far. */
function volume(costs, reference) {
  const sorted = [...costs].sort((a, b) => a[2] - b[2]);
  let total = 0;
  let met = [];
  for (let i = 0; i < sorted.length; i++) {
    const flat = sorted[i].slice(0, 2);
    if (!met.some((other) => other[0] <= flat[0] && other[1] <= flat[1])) {
      met = met.filter((other) => !(flat[0] <= other[0] && flat[1] <= other[1]));
      met.push(flat);
    }
    const top = i + 1 < sorted.length ? sorted[i + 1][2] : reference[2];
    if (top > sorted[i][2]) total += area(met, reference) * (top - sorted[i][2]);
  }
  return total;
}

/**
 * The hypervolume after each cost vector in turn; a vector is null for a candidate that does not count.
 * Of very many candidates it is computed a few hundred times, and held in between.
 */
export function hypervolumeHistory(costs, reference) {
  let front = [];
  let current = 0;
  let stale = false;
  const stride = Math.ceil(costs.length / (reference.length === 2 ? 2000 : 200));
  return costs.map((cost, i) => {
    if (cost !== null && !front.some((other) => dominates(other, cost) || compare(other, cost) === 0)) {
      front = front.filter((other) => !dominates(cost, other));
      front.push(cost);
      stale = true;
    }
    if (stale && ((i + 1) % stride === 0 || i === costs.length - 1)) {
      current = hypervolume(front, reference);
      stale = false;
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
