// The list of questions: filters, order, pages of the list. Only the rows of one page are ever in the document.

const ROWS = 50;
const form = document.getElementById("filters");
const list = document.getElementById("list");
const SHORT = { no_evidence: "none", unanswerable: "unans.", wrong_answer: "wrong", skipped: "skip", unfinished: "draft" };

const state = { found: [], page: 0, current: null };

/** What the filters ask of a question, computed once. */
const INDEX = DATA.questions.map((question) => ({
  text: fold([question.id, question.text, ...question.answers, DATA.docs[question.doc]].join("\n")),
  people: question.judged.filter(([layer]) => DATA.layers[layer].kind === "person"),
  boxes: question.judged.reduce((sum, [layer, , , regions]) => sum + (DATA.layers[layer].kind === "person" ? regions.length : 0), 0),
  lead: Math.max(-1, ...question.judged.map(([, , lead]) => lead ?? -1)),
  agreement: question.agreement ? 1 - question.agreement.dispute : null,
}));

/** Case, accents and widths do not matter in a search. */
function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

const compare = (a, b) => (a < b ? -1 : Number(a > b));
const byNumber = (key, missing) => (a, b) => (INDEX[b][key] ?? missing) - (INDEX[a][key] ?? missing);
const ORDERS = {
  disputed: ["most disputed", null],
  agreed: ["most agreed", byNumber("agreement", -1)],
  table: ["order of the workspace", (a, b) => DATA.questions[a].place - DATA.questions[b].place],
  id: ["id", (a, b) => compare(DATA.questions[a].id, DATA.questions[b].id)],
  findings: ["findings", (a, b) => DATA.questions[b].findings.length - DATA.questions[a].findings.length],
  boxes: ["number of boxes", byNumber("boxes", 0)],
  lead: ["lead time", byNumber("lead", -1)],
};

function setUpFilters() {
  const options = (name, all, entries) =>
    form.elements[name].append(all === null ? "" : el("option", { value: "" }, all), ...entries.map(([value, label]) => el("option", { value }, label)));
  const numbered = (names) => names.map((name, place) => [place, words(name)]);
  options("source", "all", DATA.sources.map((name, place) => [place, name]));
  options("split", "all", numbered(DATA.splits));
  const people = DATA.layers.map((layer, place) => [place, `${layer.tag} · ${layer.name}`, layer.kind]);
  options("annotator", "anybody", people.filter(([, , kind]) => kind === "person"));
  options("status", "any", [...numbered(DATA.statuses), ["differ", "statuses differ"], ["undone", "done by nobody"], ["single", "done by one only"]]);
  options("verdict", "any", [
    ["yes", "decided"],
    ["no", "not decided"],
    ["open", "in conflict"],
    ...DATA.open.map(([name], place) => [`open${place}`, `in conflict: ${dashed(name)}`]).filter((_, place) => DATA.adjudication.open[DATA.open[place][0]]),
    ...DATA.deciders.map((name, place) => [`by${place}`, `decided by ${name}`]),
  ]);
  options("finding", "any", [["any", "with a finding"], ["none", "without findings"], ...DATA.findings.codes.map((code, place) => [place, code.code])]);
  options("sort", null, Object.entries(ORDERS).map(([value, [label]]) => [value, label]));
  form.addEventListener("input", applyFilters);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(applyFilters));
}

function wanted() {
  const value = (name) => form.elements[name].value;
  const number = (name) => (value(name) === "" ? null : Number(value(name)));
  return {
    terms: fold(value("text")).split(/\s+/).filter(Boolean),
    source: number("source"),
    split: number("split"),
    annotator: number("annotator"),
    status: value("status"),
    verdict: value("verdict"),
    finding: value("finding"),
    low: number("low"),
    high: number("high"),
    disputed: form.elements.disputed.checked,
  };
}

const DONE = DATA.done.map((name) => DATA.statuses.indexOf(name));

function statusFits(people, status) {
  if (status === "") return true;
  const done = people.filter(([, given]) => DONE.includes(given));
  if (status === "differ") return new Set(done.map(([, given]) => given)).size > 1;
  if (status === "undone") return done.length === 0;
  if (status === "single") return done.length === 1;
  return people.some(([, given]) => given === Number(status));
}

function verdictFits(question, verdict) {
  if (verdict === "") return true;
  const waits = question.verdict?.open ?? null;
  const decided = question.verdict !== null && waits === null;
  if (verdict === "yes" || verdict === "no") return (verdict === "yes") === decided;
  if (verdict.startsWith("by")) return decided && question.verdict.by === DATA.deciders[Number(verdict.slice(2))];
  return waits !== null && (verdict === "open" || waits === Number(verdict.slice(4)));
}

function findingFits(findings, finding) {
  if (finding === "") return true;
  if (finding === "any" || finding === "none") return (finding === "any") === (findings.length > 0);
  return findings.includes(Number(finding));
}

function fits(place, want) {
  const question = DATA.questions[place];
  const { text, agreement } = INDEX[place];
  // With an annotator chosen, the status is that annotator's.
  const people = INDEX[place].people.filter(([layer]) => want.annotator === null || layer === want.annotator);
  return (
    (want.source === null || question.source === want.source) &&
    (want.split === null || question.split === want.split) &&
    (want.annotator === null || people.length > 0) &&
    statusFits(people, want.status) &&
    verdictFits(question, want.verdict) &&
    findingFits(question.findings, want.finding) &&
    (want.low === null || (agreement !== null && 100 * agreement >= want.low - 1e-9)) &&
    (want.high === null || (agreement !== null && 100 * agreement <= want.high + 1e-9)) &&
    (!want.disputed || question.disputed) &&
    want.terms.every((term) => text.includes(term))
  );
}

function applyFilters() {
  const want = wanted();
  state.found = DATA.questions.map((_, place) => place).filter((place) => fits(place, want));
  const order = ORDERS[form.elements.sort.value][1];
  if (order) state.found.sort(order);
  state.page = 0;
  showList();
}

/** Set some filters, clear the others, and go there. */
function showFiltered(setting) {
  form.reset();
  for (const [name, value] of Object.entries(setting)) {
    const field = form.elements[name];
    if (field.type === "checkbox") field.checked = value;
    else field.value = String(value);
  }
  applyFilters();
  document.getElementById("questions").scrollIntoView();
}

const address = (place) => `#q=${encodeURIComponent(DATA.questions[place].id)}`;

/** A report of very many questions lists some of them, and says so. */
const SOME = DATA.questions.length < DATA.progress.questions;

function sayLeftOut() {
  const [listed, all] = [DATA.questions.length, DATA.progress.questions];
  if (SOME)
    document.getElementById("left-out").textContent =
      `Listed are ${integer(listed)} of ${plural(all, "question")}: the most disputed first, then those in the order of the workspace. Figures elsewhere are over all; pinpoint report --questions all lists every one.`;
}

function showList() {
  const { found, page } = state;
  const all = DATA.questions.length;
  document.getElementById("count").textContent =
    (found.length === all ? "" : `${integer(found.length)} of `) + plural(all, SOME ? "listed question" : "question");
  const rows = found.slice(page * ROWS, (page + 1) * ROWS);
  list.start = page * ROWS + 1;
  list.replaceChildren(...rows.map(listRow));
  if (!found.length) list.replaceChildren(el("li", { class: "empty" }, SOME ? "No listed question fits the filters." : "No question fits the filters."));
  showPager();
  markCurrent();
}

function listRow(place) {
  const question = DATA.questions[place];
  const { people, agreement } = INDEX[place];
  return el(
    "li",
    {},
    el(
      "a",
      { href: address(place), "data-place": place },
      el("span", { class: "qtext" }, said(question.text || "(no question text)")),
      el(
        "span",
        { class: "meta" },
        agreement !== null && el("span", { class: question.disputed ? "score low" : "score", title: "Agreement: 1 less the dispute" }, percent(agreement)),
        people.map(([layer, status, , regions]) =>
          el("span", { class: "judged" }, chip(layer), SHORT[DATA.statuses[status]] ?? plural(regions.length, "box", "boxes")),
        ),
        question.verdict && verdictBadge(question.verdict),
        question.findings.length > 0 && el("span", { class: "badge warn" }, plural(question.findings.length, "finding")),
        said(question.id, { class: "muted" }),
      ),
    ),
  );
}

function verdictBadge({ open, status }) {
  if (open === null) return el("span", { class: "badge", title: "adjudicated" }, `✓ ${words(DATA.statuses[status])}`);
  return el("span", { class: "badge warn", title: DATA.open[open][1] }, dashed(DATA.open[open][0]));
}

function showPager() {
  const pages = Math.ceil(state.found.length / ROWS);
  const go = (page) => () => {
    state.page = page;
    showList();
    list.scrollTop = 0;
  };
  const button = (label, page, title) =>
    el("button", { type: "button", "aria-label": title, disabled: page < 0 || page >= pages || page === state.page, onclick: go(page) }, label);
  document.getElementById("pager").replaceChildren(
    ...(pages > 1
      ? [
          button("«", 0, "First page"),
          button("‹", state.page - 1, "Page before"),
          el("span", {}, `${integer(state.page + 1)} of ${integer(pages)}`),
          button("›", state.page + 1, "Next page"),
          button("»", pages - 1, "Last page"),
        ]
      : []),
  );
}

function markCurrent() {
  for (const link of list.querySelectorAll("a")) {
    if (Number(link.dataset.place) === state.current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}
