(() => {
"use strict";
// Everything is drawn already. This switches, sorts, filters, and moves labels; text of strangers only ever becomes a
// text node.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const field = (name) => one(`[name="${name}"]`);
const chosen = (name) => one(`[name="${name}"]:checked`)?.value;

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** With so many digits; what is half-way between two numbers becomes the even one, as Python has it. */
function fixed(value, digits) {
  const half = Math.abs(value) * 2 ** (digits + 1);
  if (half % 2 !== 1) return value.toFixed(digits);
  const below = Math.floor(Math.abs(value) * 10 ** digits);
  return ((Math.sign(value) * (below + (below % 2))) / 10 ** digits).toFixed(digits);
}

/** `.812`, `-.03`, `1.00`: as the tables of the program write numbers. */
function short(value, digits) {
  const text = fixed(value, digits).replace(/^-(?=[0.]*$)/, "");
  return /^-?0\./.test(text) ? text.replace("0.", ".") : fixed(value, digits - 1);
}
const interval = (low, high, digits = 2) => (low === null ? "" : `${short(low, digits)}–${short(high, digits)}`);

// ---- curves ----
const views = all(".view");
const boxes = all(".legend input[data-line]");
const first = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.line));
const current = () => views.find((view) => !view.hidden);
const lineOf = (view, line) => one(`.line[data-line="${line}"]`, view);

/** Places near the wanted ones, in order, `gap` apart: neighbours that collide are pooled at their mean. */
function spread(wanted, gap, low, high) {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a] - wanted[b]);
  const step = Math.min(gap, (high - low) / Math.max(1, wanted.length - 1));
  const mean = (pool) => pool.reduce((sum, value) => sum + value, 0) / pool.length;
  const pools = [];
  order.forEach((index, place) => {
    pools.push([wanted[index] - step * place]);
    while (pools.length > 1 && mean(pools.at(-2)) > mean(pools.at(-1))) pools.push([...pools.splice(-2).flat()]);
  });
  const places = [];
  const flat = pools.flatMap((pool) => pool.map(() => mean(pool)));
  flat.forEach((value, place) => {
    const most = high - step * (wanted.length - 1);
    places[order[place]] = Math.min(Math.max(value, low), most) + step * place;
  });
  return places;
}

const pointsOf = new Map();
/** Points of a line in the drawing's units, as its path has them. */
function points(line) {
  if (!pointsOf.has(line)) {
    const numbers = one(".stroke", line).getAttribute("d").match(/-?[\d.]+/g).map(Number);
    const at = line.dataset.at.split(" ").map(Number);
    pointsOf.set(line, at.map((budget, index) => ({ budget, x: numbers[2 * index], y: numbers[2 * index + 1] })));
  }
  return pointsOf.get(line);
}

function showLines() {
  const on = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.line));
  for (const view of views) {
    const lines = all(".line", view);
    for (const line of lines) {
      if (on.has(line.dataset.line)) line.removeAttribute("display");
      else line.setAttribute("display", "none");
    }
    const shown = lines.filter((line) => on.has(line.dataset.line));
    const ends = shown.map((line) => points(line).at(-1));
    const places = spread(ends.map((end) => end.y), DATA.plot.gap, DATA.plot.top, DATA.plot.bottom);
    shown.forEach((line, index) => {
      one(".label", line).setAttribute("y", places[index].toFixed(1));
      const leader = `M${ends[index].x + 5} ${ends[index].y}L${DATA.plot.label - 4} ${places[index].toFixed(1)}`;
      one(".leader", line).setAttribute("d", leader);
    });
  }
}

function showView() {
  const axis = chosen("axis") ?? "budget";
  for (const view of views) view.hidden = view.dataset.metric !== chosen("metric") || view.dataset.axis !== axis;
  if (!current()) {
    // A score that no selector has over this budget: say so by going back.
    one('[name="axis"]').checked = true;
    showView();
  }
  quiet();
}

const tip = document.getElementById("tip");
function quiet() {
  tip.hidden = true;
  for (const view of views) {
    view.classList.toggle("focus", Boolean(one(".pinned", view)));
    all(".active", view).forEach((line) => line.classList.remove("active"));
  }
}

function point(view, line) {
  quiet();
  line?.classList.add("active");
  view.classList.toggle("focus", Boolean(line ?? one(".pinned", view)));
}

function describe(view, line, at) {
  const index = Number(line.dataset.line);
  const { metric, axis } = view.dataset;
  const found = DATA.scores[metric][index][at.budget];
  const place = DATA.scores[axis][index][at.budget];
  const score = `${short(found[0], 3)}${found[1] === null ? "" : ` [${short(found[1], 3)}, ${short(found[2], 3)}]`}`;
  tip.replaceChildren(
    make("b", {}, DATA.names[index]),
    make("span", {}, score),
    make("span", {}, `budget ${DATA.budgets[at.budget]}, ${axis === "budget" ? "realised" : "over layers"} ${short(place[0], 3)}`),
  );
  tip.hidden = false;
  const scale = view.clientWidth / view.firstElementChild.viewBox.baseVal.width;
  // Left of points in the right half, where the labels are.
  const left = at.x > 490 ? at.x * scale - tip.offsetWidth - 12 : at.x * scale + 12;
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(0, at.y * scale - tip.offsetHeight - 10)}px`;
}

function nearest(view, event) {
  const label = event.target.closest?.(".label")?.parentNode;
  if (label) return { line: label, at: points(label).at(-1) };
  const drawing = view.firstElementChild;
  const box = drawing.getBoundingClientRect();
  const scale = drawing.viewBox.baseVal.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  let best = { far: 26 };
  for (const line of all(".line:not([display])", view)) {
    for (const at of points(line)) {
      const far = Math.hypot(at.x - x, at.y - y);
      if (far < best.far) best = { far, line, at };
    }
  }
  return best;
}

for (const view of views) {
  view.addEventListener("pointermove", (event) => {
    const { line, at } = nearest(view, event);
    point(view, line);
    if (line) describe(view, line, at);
  });
  view.addEventListener("pointerleave", quiet);
  view.addEventListener("click", (event) => {
    const { line } = nearest(view, event);
    if (line) for (const other of views) lineOf(other, line.dataset.line)?.classList.toggle("pinned");
  });
}
for (const box of boxes) {
  box.addEventListener("change", showLines);
  const light = () => {
    const line = lineOf(current(), box.dataset.line);
    if (line && box.checked) point(current(), line);
  };
  box.addEventListener("focus", light);
  box.addEventListener("blur", quiet);
  box.parentNode.addEventListener("pointerenter", light);
  box.parentNode.addEventListener("pointerleave", quiet);
}
all("[data-lines]").forEach((button) =>
  button.addEventListener("click", () => {
    const which = button.dataset.lines;
    for (const box of boxes) box.checked = which === "all" || (which === "first" && first.has(box.dataset.line));
    showLines();
  }),
);
all('[name="metric"], [name="axis"]').forEach((radio) => radio.addEventListener("change", showView));
field("intervals").addEventListener("change", (event) => one(".plot").classList.toggle("bands", event.target.checked));

// ---- tables ----
function fill(cell, found, heated) {
  cell.replaceChildren(found ? short(found[0], 3) : "–");
  if (found && found[1] !== null) cell.append(make("small", {}, interval(found[1], found[2])));
  if (found) cell.dataset.value = found[0];
  else delete cell.dataset.value;
  cell.className = found && heated ? `h${Math.round(10 * Math.min(1, Math.max(0, found[0])))}` : "";
}

/** The best of every column in bold, oracles aside. */
function embolden(table) {
  const rows = all("tbody tr:not(.of-oracles)", table);
  for (let column = 1; column <= DATA.budgets.length; column += 1) {
    const values = rows.map((row) => Number(row.cells[column].dataset.value ?? -1));
    const best = Math.max(...values);
    rows.forEach((row, at) => row.cells[column].classList.toggle("best", best >= 0 && values[at] === best));
  }
}

function sort(table, column, descending) {
  const value = (row) => row.cells[column].dataset.value;
  const sign = descending ? -1 : 1;
  const compare = (a, b) => {
    if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
    if (column === 0) return sign * value(a).localeCompare(value(b));
    return sign * (Number(value(a)) - Number(value(b)));
  };
  table.tBodies[0].append(...[...table.rows].filter((row) => row.parentNode === table.tBodies[0]).sort(compare));
}

/** Sort again as the marked column says, after its cells have changed. */
function sortAgain(table) {
  const head = one("th[aria-sort]", table);
  if (head) sort(table, head.cellIndex, head.getAttribute("aria-sort") === "descending");
}

for (const table of all(".sortable")) {
  for (const button of all(".sort", table)) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : head.cellIndex > 0;
      all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, head.cellIndex, descending);
    });
  }
}

const main = one(".main");
field("table-metric").addEventListener("change", (event) => {
  const metric = event.target.value;
  for (const row of main.tBodies[0].rows) {
    DATA.scores[metric][Number(row.dataset.line)].forEach((found, at) => {
      fill(row.cells[at + 1], found, metric !== "precision");
    });
  }
  document.getElementById("table-score").textContent = event.target.selectedOptions[0].textContent;
  embolden(main);
  sortAgain(main);
});
field("filter").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...main.tBodies[0].rows];
  for (const row of rows) row.hidden = !words.every((word) => row.dataset.text.includes(word));
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = words.length ? `${left} of ${rows.length} selectors` : "";
});
embolden(main);

field("strata-budget").addEventListener("change", (event) => {
  const budget = Number(event.target.value);
  for (const table of all("table.heat")) {
    const strata = DATA.columns.map(([dimension, place]) => DATA.strata[dimension][place]);
    for (const row of table.tBodies[0].rows) {
      strata.forEach((scores, at) => fill(row.cells[at + 1], scores[Number(row.dataset.line)][budget], true));
    }
    sortAgain(table);
  }
  for (const mini of all(".mini")) {
    const texts = all(".fifth", mini).map((fifth, at) => {
      const found = DATA.strata.position[at][Number(mini.dataset.line)][budget];
      const text = found ? short(found[0], 3) : "–";
      fifth.setAttribute("class", found ? `fifth h${Math.round(10 * found[0])}` : "fifth");
      one("text", fifth).textContent = text;
      return text;
    });
    const drawing = one("svg", mini);
    const name = DATA.names[Number(mini.dataset.line)];
    drawing.setAttribute("aria-label", `${name}, evidence recall from the top: ${texts.join(", ")}`);
  }
  all(".at").forEach((node) => { node.textContent = DATA.budgets[budget]; });
});

// ---- pairs ----
/** First minus second at every budget: each pair is stored once, so the other way round its sign is turned. */
function difference(metric, a, b) {
  const stored = DATA.differences[metric];
  if (`${a},${b}` in stored) return stored[`${a},${b}`];
  const turned = (found) => found && [-found[0], found[2] === null ? null : -found[2], found[1] === null ? null : -found[1]];
  return stored[`${b},${a}`]?.map(turned);
}

function verdict([, low, high]) {
  if (low === null) return "one document: no interval";
  if (low > 0 || high < 0) return "differs";
  return low === 0 && high === 0 ? "equal" : "undecided";
}

function whisker([mean, low, high], most) {
  const x = (value) => (70 + (62 * value) / most).toFixed(1);
  const drawing = make("svg:svg", { viewBox: "0 0 140 14", width: 140, height: 14, "aria-hidden": "true" });
  drawing.append(make("svg:path", { class: "zero", d: "M70 0V14" }));
  if (low !== null) drawing.append(make("svg:path", { class: "whisker", d: `M${x(low)} 7H${x(high)}` }));
  drawing.append(make("svg:circle", { cx: x(mean), cy: 7, r: 3.4 }));
  return drawing;
}

function showPair() {
  const [a, b] = [Number(field("first").value), Number(field("second").value)];
  const room = document.getElementById("pair");
  if (a === b) {
    room.replaceChildren(make("p", { class: "note" }, "Choose two different selectors."));
    return;
  }
  const columns = make("div", { class: "columns" });
  for (const [metric, title] of [["evidence_recall", "Evidence recall"], ["all_hit", "All boxes hit"]]) {
    const found = difference(metric, a, b);
    if (!found?.some(Boolean)) continue;
    const most = Math.max(...found.filter(Boolean).flat().map(Math.abs), 0.01);
    const body = make("tbody");
    found.forEach((score, at) => {
      if (!score) return;
      const says = verdict(score);
      body.append(
        make("tr", {},
          make("th", { scope: "row" }, DATA.budgets[at]),
          make("td", {}, `${score[0] > 0 ? "+" : ""}${short(score[0], 3)}`),
          make("td", {}, score[1] === null ? "" : `[${short(score[1], 3)}, ${short(score[2], 3)}]`),
          make("td", {}, whisker(score, most)),
          make("td", { class: `verdict${says === "differs" ? " differs" : ""}` }, says)),
      );
    });
    const heads = ["budget", "difference", "95 % interval", "", ""].map((text) => make("th", { scope: "col" }, text));
    columns.append(make("table", {}, make("caption", {}, title), make("thead", {}, make("tr", {}, ...heads)), body));
  }
  room.replaceChildren(columns.childNodes.length ? columns : make("p", { class: "note" }, "No question has both."));
}
field("first").addEventListener("change", showPair);
field("second").addEventListener("change", showPair);
document.getElementById("swap").addEventListener("click", () => {
  const [a, b] = [field("first").value, field("second").value];
  [field("first").value, field("second").value] = [b, a];
  showPair();
});
showPair();

// ---- examples ----
const zoom = document.getElementById("zoom");
for (const button of all(".enlarge")) {
  button.addEventListener("click", () => {
    const caption = one("figcaption", button.parentNode).textContent.trim();
    one("div", zoom).replaceChildren(make("p", {}, caption), one("svg", button).cloneNode(true));
    zoom.showModal();
  });
}
zoom?.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });

document.body.classList.add("scripted");
document.documentElement.dataset.ready = "";
})();
