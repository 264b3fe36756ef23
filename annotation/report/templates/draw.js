// Pages with everybody's boxes on them. Boxes are SVG in page pixels; their letters are HTML, so they keep their size.

const REGION = { page: 0, x0: 1, y0: 2, x1: 3, y1: 4, role: 5, origin: 6, quad: 7, votes: 6 };
const TALL = 2.2;
const PICTURED = new Set(DATA.pictured);

/** Everything drawn for a question: [{key, className, tag, name, status, lead, regions, votes}]. */
function layersOf(question) {
  const judged = question.judged.map(([layer, status, lead, regions]) => ({
    key: DATA.layers[layer].kind,
    layer,
    className: hue(layer),
    tag: DATA.layers[layer].tag,
    name: DATA.layers[layer].name,
    status,
    lead,
    regions,
  }));
  if (!question.verdict && !question.evidence.length) return judged;
  const evidence = {
    key: "evidence",
    className: "hue-evidence",
    tag: "✓",
    name: "adjudicated",
    status: question.verdict?.status ?? null,
    lead: null,
    regions: question.evidence,
  };
  return [...judged, evidence];
}

/** Pages of a question that carry a box of some layer, and its answer page; in order. */
function pagesWithBoxes(question, layers) {
  const pages = new Set(layers.flatMap((layer) => layer.regions.map((region) => region[REGION.page])));
  if (question.answer_page !== null) pages.add(question.answer_page);
  if (!pages.size) pages.add(0);
  return [...pages].filter((page) => page in question.pages).sort((a, b) => a - b);
}

function outline(region) {
  const [, x0, y0, x1, y1] = region;
  if (region.length < REGION.quad + 8) return svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
  const corners = region.slice(REGION.quad);
  return svg("polygon", { points: [0, 2, 4, 6].map((at) => `${corners[at]},${corners[at + 1]}`).join(" ") });
}

/** Whether a layer's boxes are evidence: drafts and verdicts that deny evidence may still hold prefilled ones. */
const counts = (layer) => layer.key === "evidence" || DATA.statuses[layer.status] === "evidence";

function describe(layer, region) {
  const role = DATA.roles[region[REGION.role]];
  const more =
    layer.key === "evidence" ? plural(region[REGION.votes], "vote") : (DATA.origins[region[REGION.origin]] ?? "");
  const idle = counts(layer) ? "" : `not counted: ${words(DATA.statuses[layer.status])}`;
  return [layer.name, role, more, idle].filter(Boolean).join(", ");
}

function drawn(layer, region) {
  const shape = outline(region);
  shape.setAttribute("class", `shape role-${DATA.roles[region[REGION.role]]}`);
  const halo = shape.cloneNode();
  halo.setAttribute("class", "halo");
  return svg("g", { class: `region ${layer.className} ${counts(layer) ? "" : "idle"}`, "data-layer": layer.key }, halo, shape, svg("title", {}, describe(layer, region)));
}

function letter(layer, region, page, crowd) {
  const tag = el("span", { class: `tag ${layer.className}`, title: describe(layer, region) }, layer.tag);
  // Letters of boxes that start at about the same place stand side by side.
  const place = `${Math.round((40 * region[REGION.x0]) / page.width)} ${Math.round((60 * region[REGION.y0]) / page.height)}`;
  const before = crowd.get(place) ?? 0;
  crowd.set(place, before + 1);
  tag.style.left = `calc(${(100 * region[REGION.x0]) / page.width}% + ${before * 19}px)`;
  tag.style.top = `max(15px, ${(100 * region[REGION.y0]) / page.height}%)`;
  return tag;
}

/** The page as a sheet of paper: its picture (once it is near the view), boxes, letters (`repeat`: on every box). */
function sheet(pageNumber, pageIndex, layers, { repeat = true } = {}) {
  const page = DATA.pages[pageNumber];
  const node = el("div", { class: "sheet" });
  node.style.aspectRatio = `${page.width} / ${page.height}`;
  const view = svg("svg", { viewBox: `0 0 ${page.width} ${page.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const crowd = new Map();
  const tags = [];
  // What lies at the back comes first: gold is a highlighter, an adjudicated box a dark frame around the others.
  const order = ["gold", "evidence", "proposal", "person"];
  for (const layer of [...layers].sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key))) {
    const regions = layer.regions.filter((region) => region[REGION.page] === pageIndex);
    view.append(...regions.map((region) => drawn(layer, region)));
    if (layer.key === "gold") continue;
    tags.push(...(repeat ? regions : regions.slice(0, 1)).map((region) => letter(layer, region, page, crowd)));
  }
  node.append(view, ...tags);
  whenSeen(node, () => {
    const uri = pictureOf(pageNumber);
    if (uri) node.prepend(el("img", { src: uri, alt: "", decoding: "async" }));
    else node.classList.add("bare");
  });
  return node;
}

/** What a change of zoom keeps in the middle, as shares of the page: what is there, else (all is seen) the boxes. */
function middleOf(scroller, paper, page, regions) {
  const mean = (low, high, size) => regions.reduce((sum, region) => sum + (region[low] + region[high]) / 2 / size, 0) / regions.length;
  const along = (seen, scrolled, whole, low, high, size) => {
    if (whole > seen + 1) return (scrolled + seen / 2) / whole;
    return regions.length ? mean(low, high, size) : 0.5;
  };
  return {
    x: along(scroller.clientWidth, scroller.scrollLeft, paper.offsetWidth, REGION.x0, REGION.x1, page.width),
    y: along(scroller.clientHeight, scroller.scrollTop, paper.offsetHeight, REGION.y0, REGION.y1, page.height),
  };
}

/** A page with its caption and zoom; the first box of a tall page is scrolled to. */
function pageFigure(question, pageIndex, layers) {
  const number = question.pages[pageIndex];
  const page = DATA.pages[number];
  const caption = `Page ${pageIndex + 1} of ${question.pages.length}`;
  if (!page.width) return el("figure", {}, el("figcaption", {}, `${caption}: `, said(page.id), " is not in the workspace"));
  const paper = sheet(number, pageIndex, layers);
  const tall = page.height / page.width > TALL;
  const scroller = el("div", { class: "scroller", tabindex: 0, role: "group", "aria-label": caption }, paper);
  const regions = layers.flatMap((layer) => layer.regions.filter((region) => region[REGION.page] === pageIndex));
  const resize = (zoom) => {
    const middle = middleOf(scroller, paper, page, regions);
    const base = tall ? "min(100%, 420px)" : `min(100%, ${(78 * page.width) / page.height}vh)`;
    paper.style.width = `calc(${base} * ${zoom})`;
    scroller.scrollLeft = middle.x * paper.offsetWidth - scroller.clientWidth / 2;
    scroller.scrollTop = middle.y * paper.offsetHeight - scroller.clientHeight / 2;
  };
  resize(1);
  const zoom = el("input", { type: "range", min: 1, max: 4, step: 0.25, value: 1, "aria-label": `Zoom of ${caption}`, oninput: (event) => resize(event.target.value) });
  if (tall) {
    requestAnimationFrame(() => {
      const first = Math.min(...regions.map((region) => region[REGION.y0]));
      if (regions.length) scroller.scrollTop = (first / page.height) * paper.offsetHeight - 60;
    });
  }
  return el(
    "figure",
    { class: "page", "data-page": pageIndex },
    el(
      "figcaption",
      {},
      el("b", {}, caption),
      pageIndex === question.answer_page && el("span", { class: "badge" }, "answer page of the source"),
      said(page.id, { class: "muted" }),
      el("span", { class: "muted" }, `page index ${pageIndex}, ${integer(page.width)} × ${integer(page.height)} px`),
      PICTURED.has(number) ? null : el("span", { class: "muted" }, "no picture in this report"),
      el("label", { class: "zoom" }, "Zoom ", zoom),
    ),
    scroller,
  );
}
