// The most disputed questions as cards, and what a click, a key or an address does.

const CARDS = 12;

function showDisputed() {
  const places = DATA.questions.map((_, place) => place).filter((place) => DATA.questions[place].disputed);
  if (!places.length) {
    body("disputed").append(empty(DATA.agreement ? "No question is disputed." : MISSING));
    return;
  }
  const more = el("button", { type: "button", onclick: () => showFiltered({ disputed: true }) }, `${DATA.disputed > places.length ? "The listed" : "All"} ${plural(places.length, "disputed question")}`);
  body("disputed").append(
    el("p", { class: "lead" }, `${plural(DATA.disputed, "question")} with different statuses or an agreement of at most 50 %. Worst first.${DATA.disputed > places.length ? ` The first ${integer(places.length)} are listed.` : ""}`),
    el("ul", { class: "cards" }, places.slice(0, CARDS).map(card)),
    places.length > CARDS ? more : "",
  );
}

function card(place) {
  const question = DATA.questions[place];
  const layers = layersOf(question).filter((layer) => layer.key === "person");
  const counts = new Map();
  for (const region of layers.flatMap((layer) => layer.regions)) counts.set(region[REGION.page], (counts.get(region[REGION.page]) ?? 0) + 1);
  const page = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0]?.[0] ?? 0;
  const number = question.pages[page];
  const known = number !== undefined && DATA.pages[number].width > 0;
  const window = el("div", { class: "window" }, known ? sheet(number, page, layers, { repeat: false }) : "");
  if (known) fitWindow(window, DATA.pages[number]);
  return el(
    "li",
    {},
    el(
      "a",
      { class: "card", href: address(place) },
      window,
      el("span", { class: "qtext" }, said(question.text || "(no question text)")),
      el(
        "span",
        { class: "meta" },
        el("span", { class: "score low" }, percent(1 - question.agreement.dispute)),
        layers.map((layer) => el("span", { class: "judged" }, chip(layer.layer), SHORT[DATA.statuses[layer.status]] ?? plural(layer.regions.length, "box", "boxes"))),
        question.pages.length > 1 && el("span", { class: "muted" }, `page ${page + 1} of ${question.pages.length}`),
      ),
    ),
  );
}

/** A wide page fills the card's window, a portrait one is whole, a tall one shows its width. */
function fitWindow(window, { width, height }) {
  const shape = height / width;
  window.firstChild.style.width = shape > TALL ? "62%" : `${Math.min(100, 112 / shape)}%`;
}

function follow() {
  const { hash } = location;
  if (!hash.startsWith("#q=")) return;
  let id;
  try {
    id = decodeURIComponent(hash.slice(3));
  } catch {
    return; // an address that somebody cut short
  }
  const place = PLACES.get(id);
  if (place === undefined) return;
  const inside = detail.contains(document.activeElement) || list.contains(document.activeElement);
  if (place !== state.current) showDetail(place);
  if (!state.found.includes(place)) showFiltered({});
  // From elsewhere in the report, or where list and question stand one above the other, go to the question.
  if (!inside || matchMedia("(max-width: 1000px)").matches) {
    detail.scrollIntoView({ block: "start" });
    detail.focus({ preventScroll: true });
  }
}

const PLACES = new Map(DATA.questions.map((question, place) => [question.id, place]).reverse());

addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
});

setUpFilters();
sayLeftOut();
showProgress();
showAgreement();
showDisputed();
showFindings();
showStatistics();
applyFilters();
if (state.found.length) showDetail(state.found[0]);
follow();
document.documentElement.dataset.ready = "true";
