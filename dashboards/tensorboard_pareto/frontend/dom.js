// Building elements. Text only ever becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children.
 * Attributes: `class`, `data-*`, `aria-*` and others as they are; `on` maps event names to listeners; properties that are
 * `true` become empty attributes, those that are false, null or undefined are left out.
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG elements. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put new children into an element. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A drop-down of `[value, label]` pairs, or of `{group, items}` with such pairs inside. */
export function select(value, options, change, attributes = {}) {
  const node = el("select", { ...attributes, on: { change: () => change(node.value) } });
  const option = ([id, label]) => el("option", { value: id, selected: id === value }, label);
  for (const entry of options) {
    if (entry.group === undefined) node.append(option(entry));
    else if (entry.items.length) node.append(el("optgroup", { label: entry.group }, ...entry.items.map(option)));
  }
  node.value = value;
  return node;
}

/** A button with a text. */
export function button(label, action, attributes = {}) {
  return el("button", { type: "button", ...attributes, on: { click: action } }, label);
}

/** Offer bytes or text for download. */
export function download(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: fileName(name) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A name that every file system takes. */
export function fileName(text) {
  return text.replace(/[^\p{L}\p{N}._@+-]+/gu, "-").replace(/^[.-]+/, "").slice(0, 120) || "download";
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
