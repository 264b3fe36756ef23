// One question: what was asked, who said what, its pages with everybody's boxes.

const detail = document.getElementById("detail");
// Shown until somebody says otherwise; the choice holds from question to question.
const visible = { person: true, evidence: true, gold: true, proposal: false };
const hidden = new Set();

const isShown = (layer) => visible[layer.key] && !hidden.has(layer.layer);

function showDetail(place) {
  state.current = place;
  const question = DATA.questions[place];
  const layers = layersOf(question);
  const pages = el("div", { class: "pages" });
  const redraw = () => {
    const open = pagesWithBoxes(question, layers);
    const rest = question.pages.length - open.length;
    pages.replaceChildren(
      ...open.map((page) => pageFigure(question, page, layers.filter(isShown))),
      rest > 0 ? el("p", { class: "note" }, `${plural(rest, "more page")} of this question without boxes.`) : "",
    );
    forgetGone();
  };
  detail.replaceChildren(heading(question), figures(question), legendOf(layers, redraw), findingsOf(place), pages);
  detail.scrollTop = 0;
  redraw();
  markCurrent();
}

function heading(question) {
  const facts = [DATA.sources[question.source], DATA.splits[question.split], DATA.docs[question.doc], ...question.kinds];
  return el(
    "header",
    {},
    el(
      "div",
      { class: "steps" },
      el("button", { type: "button", "data-step": -1, onclick: () => step(-1), title: "Key K" }, "‹ Before"),
      el("button", { type: "button", "data-step": 1, onclick: () => step(1), title: "Key J" }, "Next ›"),
      said(question.id, { class: "muted id" }),
    ),
    el("h3", {}, said(question.text || "(no question text)")),
    el("p", { class: "answers" }, el("span", { class: "muted" }, question.answers.length > 1 ? "Answers " : "Answer "), question.answers.length ? question.answers.map((answer) => said(answer, { class: "answer" })) : "(none given)"),
    el("p", { class: "facts" }, facts.map((fact) => said(fact, { class: "badge" }))),
  );
}

function figures(question) {
  const { agreement, verdict } = question;
  const shown = agreement
    ? MEASURES.filter(([key]) => agreement[key] !== null && key in agreement).map(([key, label, what]) => el("span", { title: what }, `${label} `, el("b", {}, decimal(agreement[key]))))
    : [el("span", { class: "muted" }, "Not compared: fewer than two finished judgements.")];
  return el(
    "div",
    { class: "strip" },
    agreement && el("span", { title: "1 less the dispute: F1 over pairs of annotators, 0 where their statuses differ" }, "agreement ", el("b", {}, percent(1 - agreement.dispute))),
    shown,
    verdict && verdictText(verdict),
  );
}

function verdictText({ open, status, by, policy }) {
  if (open !== null) return el("span", {}, "in conflict: ", el("b", {}, DATA.open[open][1]), " (", said(policy), ")");
  return el("span", {}, "adjudicated: ", el("b", {}, words(DATA.statuses[status])), " by ", said(by), " (", said(policy), ")");
}

function legendOf(layers, redraw) {
  if (!layers.length) return empty("Nobody has judged this question.");
  const item = (layer) => {
    const box = el("input", { type: "checkbox", onchange: (event) => toggle(layer, event.target.checked, redraw) });
    box.checked = isShown(layer);
    const status = layer.status === null ? null : words(DATA.statuses[layer.status]);
    const facts = [status, plural(layer.regions.length, "box", "boxes"), layer.lead !== null && duration(layer.lead)];
    return el(
      "li",
      {},
      el("label", {}, box, el("span", { class: `chip ${layer.className}` }, layer.tag), said(layer.name), el("span", { class: "muted" }, facts.filter(Boolean).join(" · "))),
    );
  };
  return el(
    "fieldset",
    { class: "layers" },
    el("legend", {}, "Boxes shown"),
    el("ul", {}, layers.map(item)),
    el("p", { class: "note" }, "Solid: answer. Dashed: support. Dark frame: adjudicated. Yellow: gold."),
  );
}

function toggle(layer, shown, redraw) {
  if (layer.key === "person") {
    if (shown) hidden.delete(layer.layer);
    else hidden.add(layer.layer);
  } else visible[layer.key] = shown;
  redraw();
}

function findingsOf(place) {
  const { findings } = DATA.questions[place];
  if (!findings.length) return "";
  const rows = DATA.findings.rows.filter((row) => row.question === place);
  return el(
    "div",
    { class: "strip warn" },
    el(
      "ul",
      { class: "plain" },
      findings.map((at) => {
        const code = DATA.findings.codes[at];
        const messages = rows.filter((row) => row.code === at);
        return el(
          "li",
          {},
          el("span", { class: `severity ${code.severity}` }, code.severity),
          " ",
          el("code", {}, said(code.code)),
          " ",
          messages.length ? messages.map((row) => [said([row.where, row.message].filter(Boolean).join(": ")), "; "]) : [said(code.what), "; "],
          el("span", { class: "muted" }, "remedy: ", said(code.remedy)),
        );
      }),
    ),
  );
}

/** Go to the question before or after, through the pages of the list. */
function step(by) {
  const at = state.found.indexOf(state.current) + by;
  if (!(at in state.found)) return;
  const page = Math.floor(at / ROWS);
  if (page !== state.page) {
    state.page = page;
    showList();
  }
  // At once: the event of the new address comes later than the next press of a key that is held down.
  const held = detail.querySelector(".steps").contains(document.activeElement);
  showDetail(state.found[at]);
  if (held) detail.querySelector(`[data-step="${by}"]`).focus();
  location.hash = address(state.found[at]);
  list.querySelector("a[aria-current]")?.scrollIntoView({ block: "nearest" });
}
