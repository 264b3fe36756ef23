// The sections around the questions: progress, agreement, findings, statistics.

const body = (section) => document.querySelector(`#${section} .body`);
const MISSING = "Not measured: it takes two annotators who finished the same question.";

const atLeast = (counts, least) => counts.slice(least).reduce((sum, count) => sum + count, 0);

const tile = (figure, label, note) =>
  el("div", { class: "tile" }, el("div", { class: "figure" }, figure), el("div", { class: "label" }, label), note && el("div", { class: "note" }, note));

const doneParts = (counts) =>
  counts.map((count, at) => ({ count, className: `step-${Math.min(at, 4)}`, label: at ? `done by ${at}` : "not done" }));

const ORIGIN_LABELS = { accepted: "accepted as proposed", moved: "proposed, then changed", new: "new" };
const originParts = (origins) =>
  DATA.origins.map((name) => ({ count: origins[name], className: `origin-${name}`, label: ORIGIN_LABELS[name] }));

/** Show the questions that a setting of the filters leaves. */
const filterLink = (setting, ...content) =>
  el("button", { type: "button", class: "link", onclick: () => showFiltered(setting) }, content);

function showProgress() {
  const { progress, adjudication } = DATA;
  const begun = atLeast(progress.done_by, 1);
  const twice = atLeast(progress.done_by, 2);
  const alpha = DATA.agreement && boxAlpha();
  body("progress").append(
    el(
      "div",
      { class: "tiles" },
      tile(integer(progress.questions), "questions", plural(progress.sources.length, "source and split", "sources and splits")),
      tile(percent(progress.questions ? begun / progress.questions : null), "done by an annotator", `${integer(begun)} questions`),
      tile(percent(progress.questions ? twice / progress.questions : null), "done by two or more", `${integer(twice)} questions`),
      tile(integer(adjudication.decided), "adjudicated", [plural(adjudication.boxes, "box", "boxes"), waiting() > 0 && `, ${integer(waiting())} in conflict`]),
      alpha && tile(decimal(alpha.value), "alpha over boxes", `95 %: ${interval(alpha)}`),
      tile(integer(DATA.findings.serious), "errors and warnings", "from validation"),
    ),
    panel(
      "Questions by the number of annotators who finished them",
      null,
      stacked(doneParts(progress.done_by), "Questions by number of annotators"),
      legend(doneParts(progress.done_by)),
      el("p", { class: "note" }, `${plural(progress.with_skip, "question was", "questions were")} skipped by somebody; ${integer(progress.with_draft)} ${progress.with_draft === 1 ? "has" : "have"} unfinished work.`),
    ),
    annotatorTable(),
    el("div", { class: "columns" }, sourceTable(), el("div", {}, timelinePanel(), adjudicationPanel())),
  );
}

function annotatorTable() {
  const { annotators } = DATA.progress;
  if (!annotators.length) return empty("Nobody has judged a question yet.");
  return table(
    "What each annotator did",
    ["annotator", "done", "skipped", "unfinished", "without evidence", ["median time", "Median lead time of a finished question"], ["hours", "Sum of the lead times of finished questions"], ["boxes a question", "Mean over questions with status evidence"], "boxes by origin", "active"],
    annotators.map((row, layer) => [
      filterLink({ annotator: layer }, who(layer)),
      integer(row.done),
      integer(row.statuses.skipped),
      integer(row.statuses.unfinished),
      integer(row.done - row.statuses.evidence),
      duration(row.median_lead_s),
      row.hours === null ? DASH : decimal(row.hours, 1),
      decimal(row.boxes_a_question, 2),
      row.boxes ? [stacked(originParts(row.origins), "Boxes by origin"), shares(row.origins)] : DASH,
      days(row),
    ]),
  );
}

function days({ first_day: first, last_day: last }) {
  if (!first) return DASH;
  return first === last ? first : `${first} to ${last.slice(0, 5) === first.slice(0, 5) ? last.slice(5) : last}`;
}

function shares(origins) {
  const total = DATA.origins.reduce((sum, name) => sum + origins[name], 0);
  if (!total) return null;
  const parts = DATA.origins.map((name) => `${percent(origins[name] / total)} ${name}`);
  if (origins.deleted) parts.push(`${integer(origins.deleted)} removed`);
  return el("div", { class: "note" }, parts.join(", "));
}

const sourceTable = () =>
  table(
    "Sources",
    ["source", "split", "questions", "annotators", ["by 1+", "Finished by an annotator"], ["by 2+", "Finished by two or more: agreement can be measured"], "decided"],
    DATA.progress.sources.map((row) => [
      filterLink({ source: DATA.sources.indexOf(row.source), split: DATA.splits.indexOf(row.split) }, said(row.source)),
      row.split,
      integer(row.questions),
      stacked(doneParts(row.done_by), "Questions by number of annotators"),
      percent(atLeast(row.done_by, 1) / row.questions),
      percent(atLeast(row.done_by, 2) / row.questions),
      percent(row.decided / row.questions),
    ]),
  );

const timelinePanel = () =>
  DATA.progress.days.length ? panel("Finished questions a day", null, timeline(DATA.progress.days)) : null;

/** Questions that neither votes nor a person decided. */
const waiting = () => Object.values(DATA.adjudication.open).reduce((sum, count) => sum + count, 0);

const openReasons = () =>
  el(
    "ul",
    { class: "plain" },
    DATA.open.map(([name, what], place) => {
      const count = DATA.adjudication.open[name];
      return count && el("li", { title: what }, filterLink({ verdict: `open${place}` }, dashed(name)), " ", el("b", {}, integer(count)));
    }),
  );

function adjudicationPanel() {
  const { adjudication } = DATA;
  if (!adjudication.decided && !waiting()) return panel("Adjudication", "Nothing adjudicated yet: pinpoint adjudicate.");
  const listed = (counts, name = (key) => key) =>
    el("ul", { class: "plain" }, Object.entries(counts).map(([key, count]) => el("li", {}, said(name(key)), " ", el("b", {}, integer(count)))));
  return panel(
    "Adjudication",
    `${integer(adjudication.decided)} of ${integer(DATA.progress.questions)} questions decided, ${integer(waiting())} waiting for somebody`,
    el(
      "div",
      { class: "columns tight" },
      el("div", {}, el("h4", {}, "Verdict"), listed(adjudication.statuses, words)),
      waiting() > 0 && el("div", {}, el("h4", {}, "In conflict"), openReasons()),
      el("div", {}, el("h4", {}, "Decided by"), listed(adjudication.decided_by)),
      el("div", {}, el("h4", {}, "Policy"), listed(adjudication.policies)),
      el("div", {}, el("h4", {}, "Votes for a box"), listed(adjudication.votes, (votes) => `${votes} votes:`)),
    ),
  );
}

const boxAlpha = () => DATA.agreement.overall.sweep.find((entry) => entry.iou === DATA.agreement.settings.iou).alpha;
const interval = ({ low, high }) => (low === null ? DASH : `${decimal(low)} to ${decimal(high)}`);

const MEASURES = [
  ["f1", "F1", "Mean pairwise F1 of the boxes at the IoU threshold"],
  ["pairwise_iou", "pairwise IoU", "Total IoU of the best assignment over the larger number of boxes"],
  ["matched_iou", "matched IoU", "Mean IoU of the boxes that match at the IoU threshold"],
  ["union_iou", "union IoU", "IoU of the marked regions as a whole"],
  ["word_jaccard", "word Jaccard", "Jaccard index of the words inside the boxes"],
  ["status_share", "same status", "Share of annotator pairs with the same status"],
];

function showAgreement() {
  const { agreement } = DATA;
  if (!agreement) return body("agreement").append(empty(MISSING));
  const { overall, settings } = agreement;
  const series = [
    ["alpha", "alpha", "series-0", 0],
    ["alpha_marked", "alpha, marked", "series-1", 0],
    ["f1", "F1", "series-2", 0],
  ].map(([key, label, className]) => ({ label, className, points: overall.sweep.map((entry) => ({ x: entry.iou, ...entry[key] })) }));
  spread(series);
  return body("agreement").append(
    el("p", { class: "lead" }, `${plural(overall.questions, "question")} with two or more finished judgements (${integer(overall.judgements)} judgements); ${plural(agreement.single, "question")} with only one. Brackets are 95 % intervals over ${integer(settings.resamples)} resamples of the documents.`),
    el(
      "div",
      { class: "columns" },
      headline(overall, settings),
      panel("Boxes by IoU threshold", "Alpha corrects for chance; “marked” leaves out the text lines that nobody marked. Bands are 95 % intervals.", lines("Agreement on boxes by IoU threshold", "IoU threshold", series)),
    ),
    el("div", { class: "beside" }, pairMatrix(agreement.pairs, settings), annotatorAgreement(agreement.annotators)),
    sourceAgreement(agreement.sources, settings),
  );
}

/** Labels at the lines' ends that would lie on each other move apart. */
function spread(series) {
  const ends = series
    .map((one) => ({ one, at: one.points.filter((point) => point.value !== null).at(-1)?.value }))
    .filter(({ at }) => at !== undefined)
    .sort((a, b) => b.at - a.at);
  let last = -Infinity;
  for (const { one, at } of ends) {
    const y = Math.max(-at * 175, last + 13);
    one.shift = y + at * 175;
    last = y;
  }
}

function headline(overall, { iou }) {
  const at = overall.sweep.find((entry) => entry.iou === iou);
  const rows = [
    [`alpha, boxes (IoU ${iou})`, at.alpha, "Krippendorff's alpha over groups of matching boxes and the text lines nobody marked", -0.5],
    ["alpha, words", overall.alpha_words, "Krippendorff's alpha over words: none, support or answer", -0.5],
    ["alpha, status", overall.alpha_status, "Krippendorff's alpha over statuses", -0.5],
    ...MEASURES.map(([key, label, what]) => [label, overall[key], what, 0]),
  ];
  return table(
    "All compared questions",
    ["measure", "value", "95 % interval", "", "over"],
    rows.map(([label, found, what, from]) => [el("abbr", { title: what }, label), el("b", {}, decimal(found.value)), interval(found), whisker(found, from), integer(found.count)]),
    "figures",
  );
}

function pairMatrix(pairs, { iou }) {
  const layers = DATA.progress.annotators.map((_, layer) => layer);
  const found = new Map(pairs.flatMap((pair) => [[`${pair.first} ${pair.second}`, pair], [`${pair.second} ${pair.first}`, pair]]));
  const cell = (row, column) => {
    if (row === column) return el("span", { class: "muted" }, "·");
    const pair = found.get(`${row} ${column}`);
    if (!pair) return el("span", { class: "muted" }, DASH);
    const strength = pair.f1 === null ? 0 : Math.round(pair.f1 * 10);
    const title = `${plural(pair.questions, "question")}; union IoU ${decimal(pair.union_iou)}, words ${decimal(pair.word_jaccard)}, same status ${percent(pair.status_share)}`;
    return el("span", { class: `heat heat-${strength}`, title }, decimal(pair.f1));
  };
  return table(
    `Pairs of annotators: F1 at IoU ${iou}`,
    ["", ...layers.map((layer) => chip(layer))],
    layers.map((row) => [who(row), ...layers.map((column) => cell(row, column))]),
    "matrix",
  );
}

const annotatorAgreement = (annotators) =>
  table(
    "Each annotator beside the others",
    ["annotator", "compared", "F1", "union IoU", "words", "same status", ["vitality, boxes", "Alpha with everybody less alpha without this annotator; negative: the others agree better among themselves"], ["vitality, status", "The same of alpha over statuses"], ["untouched", "Share of pre-annotated boxes that came back as they were: high values may be anchoring"]],
    annotators.map((row) => [
      filterLink({ annotator: row.layer }, who(row.layer)),
      integer(row.compared),
      decimal(row.f1),
      decimal(row.union_iou),
      decimal(row.word_jaccard),
      percent(row.status_share),
      signed(row.vitality_boxes),
      signed(row.vitality_status),
      percent(row.untouched),
    ]),
  );

function signed(value) {
  if (value === null) return DASH;
  const text = `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  return el("span", { class: value < 0 ? "below" : "above" }, text);
}

const sourceAgreement = (sources, { iou }) =>
  table(
    "Agreement by source",
    ["source", "questions", `alpha, boxes (IoU ${iou})`, "alpha, words", "alpha, status", "F1", "union IoU", "word Jaccard", "same status"],
    sources.map(({ name, measures }) => [
      filterLink({ source: DATA.sources.indexOf(name) }, said(name)),
      integer(measures.questions),
      estimate(measures.sweep.find((entry) => entry.iou === iou).alpha),
      ...["alpha_words", "alpha_status", "f1", "union_iou", "word_jaccard", "status_share"].map((key) => estimate(measures[key])),
    ]),
  );

function showFindings() {
  const { codes, rows, listed } = DATA.findings;
  if (!codes.length) return body("findings").append(empty("Validation found nothing."));
  return body("findings").append(
    ...codes.map((code, place) => {
      const found = el("ul", { class: "plain" });
      // Thousands of rows that nobody has opened stay out of the document.
      const open = () => found.replaceChildren(...rows.filter((row) => row.code === place).map(findingItem));
      return el(
        "details",
        { class: `finding ${code.severity}`, ontoggle: open },
        el("summary", {}, el("span", { class: `severity ${code.severity}` }, code.severity), " ", el("code", {}, said(code.code)), " ", el("b", {}, integer(code.count)), " ", said(code.what, { class: "muted" })),
        el("p", {}, el("b", {}, "Why it matters: "), said(code.why)),
        el("p", {}, el("b", {}, "Remedy: "), said(code.remedy)),
        el("p", {}, filterLink({ finding: place }, "Show the questions")),
        found,
        code.count > listed && el("p", { class: "note" }, `The first ${listed} are listed; pinpoint validate WORKSPACE --code ${code.code} --json lists all.`),
      );
    }),
  );
}

const findingItem = ({ question, message, where }) =>
  el(
    "li",
    {},
    question === null ? said(where) : el("a", { href: address(question) }, said(DATA.questions[question].id)),
    question === null || !where ? ": " : [" ", said(where, { class: "muted" }), ": "],
    said(message),
  );

function showStatistics() {
  const groups = DATA.statistics;
  if (!groups.length) return body("statistics").append(empty("No boxes yet."));
  const shown = el("div", {});
  const show = (group) => {
    const roles = Object.entries(group.roles);
    const parts = roles.map(([name, count], at) => ({ count, className: `role-${at}`, label: name }));
    shown.replaceChildren(
      el("p", { class: "lead" }, `${integer(roles.reduce((sum, [, count]) => sum + count, 0))} boxes on ${plural(group.questions, "judged question")} with evidence.`),
      el("div", { class: "grid" }, group.charts.map(histogram), panel("Roles", null, stacked(parts, "Boxes by role"), legend(parts))),
    );
  };
  const choose = el(
    "select",
    { id: "group", onchange: (event) => show(groups[event.target.selectedIndex]) },
    groups.map((group) => el("option", {}, group.name)),
  );
  show(groups[0]);
  return body("statistics").append(el("label", {}, "Boxes of ", choose), shown);
}
