// Small charts as inline SVG. Every mark has a <title>, every chart a label, and no figure is shown by colour alone.

const frame = (width, height, label, ...children) =>
  svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label }, children);

/** Parts of a whole, side by side: [{count, className, label}]. */
function stacked(parts, label) {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  let x = 0;
  const marks = parts
    .filter((part) => part.count)
    .map((part) => {
      const width = (100 * part.count) / total;
      const mark = svg(
        "rect",
        { x, y: 0, width, height: 10, class: part.className },
        svg("title", {}, `${part.label}: ${integer(part.count)} (${percent(part.count / total)})`),
      );
      x += width;
      return mark;
    });
  return svg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "stacked", role: "img", "aria-label": label },
    marks,
  );
}

const legend = (parts) =>
  el(
    "ul",
    { class: "legend" },
    parts.map((part) =>
      el("li", {}, el("span", { class: `key ${part.className}` }), part.label, " ", el("b", {}, integer(part.count))),
    ),
  );

/** Bars of a histogram whose bins are [edge, next edge), the last one open. */
function histogram({ title, unit, edges, counts, n, median }) {
  const [width, height, base] = [360, 150, 122];
  const step = width / counts.length;
  const highest = Math.max(...counts, 1);
  const plain = unit === "";
  const label = (at) => {
    if (at === counts.length - 1) return `${edges[at]}${plain ? " or more" : `${unit && ` ${unit}`} or more`}`;
    return plain ? `${edges[at]}` : `${edges[at]} to ${edges[at + 1]} ${unit}`;
  };
  const bars = counts.map((count, at) => {
    const tall = (count / highest) * (base - 18);
    return svg(
      "g",
      {},
      svg(
        "rect",
        { x: at * step + 1, y: base - tall, width: step - 2, height: tall, class: "bar", rx: 1.5 },
        svg("title", {}, `${label(at)}: ${integer(count)}`),
      ),
      count > 0 && svg("text", { x: (at + 0.5) * step, y: base - tall - 4, class: "small middle" }, integer(count)),
      svg(
        "text",
        { x: plain ? (at + 0.5) * step : at * step + 1, y: base + 14, class: plain ? "small middle" : "small" },
        plain && at === counts.length - 1 ? `${edges[at]}+` : edges[at],
      ),
    );
  });
  const middle = plain ? decimal(median, median % 1 ? 1 : 0) : `${decimal(median, median < 10 ? 2 : 0)} ${unit}`;
  return panel(
    title,
    `${integer(n)} values, median ${middle}`,
    frame(
      width,
      height,
      `${title}: ${counts.map((count, at) => `${label(at)} ${count}`).join(", ")}`,
      bars,
      svg("line", { x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5, class: "axis" }),
      svg("text", { x: width, y: height - 1, class: "small end" }, unit),
    ),
  );
}

/** Lines over a shared x, with bands of uncertainty: series [{label, className, points: [{x, value, low, high}]}]. */
function lines(label, xLabel, series) {
  const [width, height, left, base] = [460, 260, 34, 222];
  const all = series.flatMap((one) => one.points.flatMap((point) => [point.value, point.low ?? point.value]));
  const lowest = Math.min(0, Math.floor(5 * Math.min(...all)) / 5);
  const xs = series[0].points.map((point) => point.x);
  const [first, last] = [Math.min(...xs), Math.max(...xs)];
  const right = width - 96;
  const px = (x) => left + (last > first ? (x - first) / (last - first) : 0.5) * (right - left);
  const py = (value) => base - ((value - lowest) / (1 - lowest)) * (base - 14);
  const ticks = [];
  for (let at = Math.round(lowest * 5); at <= 5; at += 1) ticks.push(at / 5);
  const grid = ticks.map((value) => [
    svg("line", { x1: left, x2: right + 4, y1: py(value), y2: py(value), class: value === 0 ? "axis" : "grid" }),
    svg("text", { x: left - 6, y: py(value) + 4, class: "small end" }, value.toFixed(1)),
  ]);
  const drawn = series.map((one) => {
    const points = one.points.filter((point) => point.value !== null);
    const path = (key) => points.map((point) => `${px(point.x)} ${py(point[key] ?? point.value)}`);
    const band = points.some((point) => point.low !== null);
    const end = points.at(-1);
    return [
      band && svg("path", { d: `M${[...path("low"), ...path("high").reverse()].join("L")}Z`, class: `band ${one.className}` }),
      end && svg("path", { d: `M${path("value").join("L")}`, class: `line ${one.className}` }),
      points.map((point) =>
        svg(
          "circle",
          { cx: px(point.x), cy: py(point.value), r: 3.5, class: `dot ${one.className}` },
          svg("title", {}, `${one.label} at IoU ${point.x}: ${estimate(point)}`),
        ),
      ),
      end && svg("text", { x: px(end.x) + 8, y: py(end.value) + 4 + (one.shift ?? 0), class: `label ${one.className}` }, one.label),
    ];
  });
  return frame(
    width,
    height,
    label,
    grid,
    xs.map((x) => svg("text", { x: px(x), y: base + 16, class: "small middle" }, x.toFixed(2).replace(/0$/, ""))),
    svg("text", { x: (left + right) / 2, y: height - 4, class: "small middle" }, xLabel),
    drawn,
  );
}

/** A figure with its interval, in words. */
function estimate({ value, low, high }, digits = 2) {
  if (value === null) return DASH;
  return low === null ? decimal(value, digits) : `${decimal(value, digits)} [${decimal(low, digits)}, ${decimal(high, digits)}]`;
}

/** A dot with whiskers on a scale from `from` to 1. */
function whisker({ value, low, high }, from = 0) {
  const px = (at) => 5 + (130 * (Math.max(from, at) - from)) / (1 - from);
  return frame(
    140,
    16,
    estimate({ value, low, high }),
    svg("line", { x1: px(from), x2: px(1), y1: 8, y2: 8, class: "grid" }),
    from < 0 && svg("line", { x1: px(0), x2: px(0), y1: 1, y2: 15, class: "axis" }),
    low !== null && svg("line", { x1: px(low), x2: px(high), y1: 8, y2: 8, class: "whisker" }),
    value !== null && svg("circle", { cx: px(value), cy: 8, r: 4.5, class: "bar" }),
  );
}

/** Finished questions a day, one colour an annotator. */
function timeline(days) {
  const dates = days.map((day) => Date.parse(`${day.day}T00:00:00Z`) / 86_400_000);
  const [first, last] = [Math.min(...dates), Math.max(...dates)];
  const [width, height, base] = [580, 150, 122];
  const step = Math.min(40, width / (last - first + 1));
  const highest = Math.max(...days.map((day) => day.done.reduce((sum, count) => sum + count, 0)));
  const bars = days.map((day, at) => {
    let y = base;
    return day.done.map((count, layer) => {
      if (!count) return null;
      const tall = (count / highest) * (base - 16);
      y -= tall;
      const title = `${day.day}, ${DATA.layers[layer].name}: ${integer(count)}`;
      const box = { x: (dates[at] - first) * step, y, width: Math.max(1, step - 2), height: tall };
      return svg("rect", { ...box, class: `area ${hue(layer)}` }, svg("title", {}, title));
    });
  });
  const used = (last - first + 1) * step;
  return frame(
    width,
    height,
    `Finished questions a day from ${days[0].day} to ${days.at(-1).day}, at most ${highest}`,
    svg("text", { x: 0, y: 10, class: "small" }, `most in a day: ${integer(highest)}`),
    bars,
    svg("line", { x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5, class: "axis" }),
    svg("text", { x: 0, y: base + 16, class: "small" }, days[0].day),
    days.length > 1 && svg("text", { x: Math.max(used, 180), y: base + 16, class: "small end" }, days.at(-1).day),
  );
}
