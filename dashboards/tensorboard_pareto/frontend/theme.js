// Light and dark as TensorBoard has it; colours that colour-blind people can tell apart.

/** Okabe and Ito's colours, without the black and the yellow that one of the two grounds swallows. */
export const CATEGORIES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#7F7F7F"];

// viridis at nine places; even in lightness, so that it also reads in grey
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(rgb);

const LIGHT = {
  dark: false, ground: "#ffffff", ink: "#212121", soft: "#616161", line: "#e0e0e0", axis: "#9e9e9e",
  front: "#0072B2", dominated: "#9a9a9a", aside: "#b8b8b8", anchor: "#B34700", knee: "#B5508C", halo: "#ffffff", shade: "#0072B2",
};
const DARK = {
  dark: true, ground: "#303030", ink: "#f5f5f5", soft: "#bdbdbd", line: "#484848", axis: "#8a8a8a",
  front: "#56B4E9", dominated: "#8f8f8f", aside: "#6c6c6c", anchor: "#F0A35E", knee: "#E79AC7", halo: "#303030", shade: "#56B4E9",
};

/** The colours of the current mode. */
export function theme() {
  return isDark() ? DARK : LIGHT;
}

/** The light colours, for pictures that go into papers. */
export function lightTheme() {
  return LIGHT;
}

/** Mark the page as dark or light now and whenever TensorBoard or the browser switches; calls back on a switch. */
export function followTheme(changed) {
  const apply = () => document.documentElement.classList.toggle("dark", isDark());
  const update = () => {
    apply();
    changed();
  };
  apply();
  const host = hostBody();
  if (host) new MutationObserver(update).observe(host, { attributes: true, attributeFilter: ["class"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}

/** Colour of a share in [0, 1]; NaN is grey. */
export function viridis(share, dark) {
  if (!Number.isFinite(share)) return "#9e9e9e";
  // the bright end would vanish on white, the dark end on black
  const [from, to] = dark ? [0.36, 1] : [0, 0.93];
  const place = (from + Math.min(Math.max(share, 0), 1) * (to - from)) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const mix = VIRIDIS[i].map((value, k) => Math.round(value + (VIRIDIS[i + 1][k] - value) * (place - i)));
  return `rgb(${mix.join(",")})`;
}

function isDark() {
  const host = hostBody();
  if (host) return host.classList.contains("dark-mode");
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** TensorBoard's own body when the tab is in its frame; null on a page of its own. */
function hostBody() {
  try {
    return window.parent !== window ? window.parent.document.body : null;
  } catch {
    return null; // framed by a page of another origin, which does not let us look
  }
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
