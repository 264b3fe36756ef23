// Elements and numbers. Text of strangers only ever becomes a text node: nothing here parses markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DASH = "–";

let parsedPictures = null;
/** Data URI of a page's picture, or undefined. They are parsed when the first one is wanted. */
function pictureOf(page) {
  parsedPictures ??= JSON.parse(document.getElementById("pictures").textContent);
  return parsedPictures[page];
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An HTML element: attributes, listeners (`onclick: ...`), then children; strings become text. */
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, likewise. */
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Text of a stranger: its direction cannot leak into what stands beside it. */
const said = (text, attributes = {}) => el("bdi", attributes, text);

const integer = (value) => value.toLocaleString("en-US");
const percent = (value, digits = 0) => (value === null ? DASH : `${(100 * value).toFixed(digits)} %`);
const decimal = (value, digits = 2) => (value === null || value === undefined ? DASH : value.toFixed(digits));
const plural = (count, one, many = `${one}s`) => `${integer(count)} ${count === 1 ? one : many}`;
const words = (name) => name.replaceAll("_", " ");
const dashed = (name) => name.replaceAll("-", " ");

function duration(seconds) {
  if (seconds === null) return DASH;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Class that carries a layer's colour; people's colours repeat after eight, their letters do not. */
function hue(layer) {
  const { kind } = DATA.layers[layer];
  return kind === "person" ? `hue-${layer % 8}` : `hue-${kind}`;
}

/** An annotator's letter on their colour. */
function chip(layer, title = DATA.layers[layer].name) {
  return el("span", { class: `chip ${hue(layer)}`, title }, DATA.layers[layer].tag);
}

const who = (layer) => el("span", { class: "who" }, chip(layer), said(DATA.layers[layer].name));

/** A table; a head cell is a text or [text, explanation]; a row is an array of cells, the first one its head. */
function table(caption, head, rows, className = "") {
  const cell = (text) => (Array.isArray(text) ? el("abbr", { title: text[1] }, text[0]) : text);
  return el(
    "div",
    { class: "tablebox", tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      { class: className },
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, cell(text))))),
      el(
        "tbody",
        {},
        rows.map((cells) =>
          el("tr", {}, cells.map((value, at) => (at ? el("td", {}, value) : el("th", { scope: "row" }, value)))),
        ),
      ),
    ),
  );
}

/** A figure with a heading. */
const panel = (title, note, ...content) =>
  el("div", { class: "panel" }, el("h3", {}, title), note && el("p", { class: "note" }, note), content);

const empty = (text) => el("p", { class: "empty" }, text);

/** Call `show` once when the element first comes near the view. */
const seen = new Map();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) reveal(entry.target);
  },
  { rootMargin: "300px" },
);

function reveal(node) {
  watcher.unobserve(node);
  seen.get(node)?.();
  seen.delete(node);
}

function whenSeen(node, show) {
  seen.set(node, show);
  watcher.observe(node);
}

/** Forget elements that have left the document. */
function forgetGone() {
  for (const node of seen.keys()) {
    if (!node.isConnected) {
      watcher.unobserve(node);
      seen.delete(node);
    }
  }
}

addEventListener("beforeprint", () => [...seen.keys()].forEach(reveal));
