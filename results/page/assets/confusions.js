// Which classes a run mistakes for which: the matrix, each class, reliability, and the most confident mistakes.

// results/page/confusions.py says what `run.confusions` holds.
function confusionsSection(run, record, ranking) {
  const confusions = run.confusions;
  if (!confusions) return null;
  const title = element("h3", {}, "Confusions");
  if (confusions.problem) return element("section", {}, title, element("p", { class: "bad" }, confusions.problem));
  const folder = run.record?.replace(/\/?record\.json$/, "") || "RUN";
  const command = element("code", {}, `python -m results.confusions ${decoded(folder)}`);
  if (confusions.left_out) {
    const note = "The confusions of all runs would make this page too large. To see those of this run: ";
    return element("section", {}, title, element("p", {}, note, command));
  }
  const matrix = confusions.matrix && matrixFigure(confusions.matrix);
  const many = byThreshold(confusions.classes);
  const narrow = confusions.matrix?.names.length <= 12;
  const error = confusions.calibration_error;
  const right = confusions.classes.length > 1 && many ? "right in every label" : "right";
  const summary =
    `On the ${confusions.split} split ${confusions.right.toLocaleString("en")} of ${plural(confusions.examples, "example")} are ${right}` +
    (error === null ? "" : `; the expected calibration error is ${percentText(error)}%`) +
    ". In full: ";
  return element(
    "section",
    { class: "confusions" },
    title,
    element("p", { class: "note" }, summary, command),
    narrow ? null : matrix,
    many ? classesTable(confusions) : null, // too many columns to stand beside another
    element(
      "div",
      { class: "grid" },
      narrow || !many ? element("div", {}, narrow ? matrix : null, many ? null : classesTable(confusions)) : null,
      element("div", {}, confusions.pairs.length && !confusions.matrix ? pairsTable(confusions.pairs) : null, reliabilityFigure(confusions)),
    ),
    mistakesFigure(confusions),
  );
}

// Whether each label is decided for itself: binary and multi_label.
function byThreshold(classes) {
  return classes.some(({ threshold }) => threshold !== null);
}

function percentText(share) {
  return share === null ? "–" : (100 * share).toFixed(share === 1 || share === 0 ? 0 : 1);
}

function confusionTable(caption, head, rows, kind = "") {
  return element(
    "figure",
    {},
    element("figcaption", {}, caption),
    element(
      "div",
      { class: `scroller fit ${kind}`, role: "region", "aria-label": caption, tabindex: 0 },
      element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)),
    ),
  );
}

// A cell is colored by its share of the row, the examples of a class; a mistake relative to the worst mistake.
function matrixFigure({ names, counts }) {
  const shares = counts.map((row) => {
    const examples = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => (examples ? count / examples : 0));
  });
  const worst = Math.max(...shares.flatMap((row, i) => row.filter((_, j) => j !== i)));
  const upright = names.some((name) => name.length > 6) && names.length > 2;
  const head = names.map((name) => element("th", { scope: "col", title: name }, element("span", {}, name)));
  head.unshift(element("th", { scope: "col", class: "text corner" }, "true ↓ predicted →"));
  const rows = names.map((name, row) => {
    const cells = counts[row].map((count, column) => {
      const share = shares[row][column];
      const right = row === column;
      const title = `${name} predicted as ${names[column]}: ${count} (${percentText(share)}% of ${name})`;
      const kind = count ? (right ? "right" : "wrong") : "none";
      const style = `--share: ${(right ? share : share / (worst || 1)).toFixed(3)}`;
      return element("td", { class: kind, title, style }, count ? count.toLocaleString("en") : "·");
    });
    return element("tr", {}, element("th", { scope: "row", class: "text", title: name }, name), cells);
  });
  return confusionTable("Confusion matrix, examples", head, rows, upright ? "matrix upright" : "matrix");
}

function pairsTable(pairs) {
  const head = ["true class", "predicted", "examples"].map((text, i) =>
    element("th", { scope: "col", class: i < 2 ? "text" : null }, text),
  );
  const rows = pairs.map(({ label, predicted, examples }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", class: "text" }, label),
      element("td", { class: "text" }, predicted),
      element("td", {}, examples.toLocaleString("en")),
    ),
  );
  return confusionTable("Confused most", head, rows);
}

function classesTable({ classes, all_classes: all }) {
  const thresholds = byThreshold(classes);
  const columns = [
    ["examples", (c) => (c.true_positives + c.false_negatives).toLocaleString("en"), "how many are of the class"],
    ["accuracy %", (c) => percentText(c.recall), "recall: the share of the class that was recognized"],
    ["precision %", (c) => percentText(c.precision), "the share of the predictions of the class that is right"],
    ["F1 %", (c) => percentText(c.f1), "the harmonic mean of precision and recall"],
  ];
  if (thresholds) {
    columns[1][0] = "recall %";
    columns.push(
      ["AP %", (c) => percentText(c.average_precision), "average precision, over all thresholds"],
      ["threshold", (c) => c.threshold.toFixed(3), "confidence from which a label is decided on, chosen on the validation split"],
      ["TP", (c) => c.true_positives.toLocaleString("en"), "true positives"],
      ["FN", (c) => c.false_negatives.toLocaleString("en"), "false negatives"],
      ["FP", (c) => c.false_positives.toLocaleString("en"), "false positives"],
      ["TN", (c) => c.true_negatives.toLocaleString("en"), "true negatives"],
    );
  }
  const head = columns.map(([name, , doc]) => element("th", { scope: "col", title: doc }, name));
  head.unshift(element("th", { scope: "col", class: "text" }, thresholds ? "label" : "class"));
  const rows = classes.map((each) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", class: "text" }, each.name),
      columns.map(([, of]) => element("td", {}, of(each))),
    ),
  );
  const kind = thresholds ? "label" : "class";
  const caption =
    classes.length < all
      ? `The ${classes.length} classes with the lowest recall, of ${all.toLocaleString("en")}`
      : `Each ${kind} on its own`;
  return confusionTable(caption, head, rows);
}

function svgElement(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

// Guo et al. 2017, figure 1: the share that is right in each bin of confidence, and below it how many are in the bin.
function reliabilityFigure({ reliability, split, classes }) {
  const many = byThreshold(classes);
  const share = many ? "has the label %" : "right %";
  const [left, top, side, gap, low] = [44, 8, 280, 10, 46];
  const width = side / reliability.length;
  const most = Math.max(1, ...reliability.map(({ examples }) => examples));
  const x = (at) => left + side * at;
  const y = (at) => top + side * (1 - at);
  const bottom = top + side + gap + low;
  const text = (at, down, anchor, words, kind = "") =>
    svgElement("text", { x: at, y: down, "text-anchor": anchor, class: kind }, words);
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].flatMap((at) => [
    svgElement("line", { x1: left, x2: left + side, y1: y(at), y2: y(at), class: "grid" }),
    text(left - 6, y(at) + 4, "end", String(100 * at)),
    text(x(at), bottom + 14, "middle", String(100 * at)),
  ]);
  const bins = reliability.map(({ examples, confidence, right }, i) => {
    if (!examples) return null;
    const start = left + i * width + 1;
    const high = (low * examples) / most;
    const tip =
      `${plural(examples, "decision")} with a mean confidence of ${percentText(confidence)}%: ` +
      `${percentText(right)}% ${many ? "have the label" : "are right"}`;
    return svgElement(
      "g",
      {},
      svgElement("title", {}, tip),
      svgElement("rect", { x: start, y: y(right), width: width - 2, height: side * right, class: "bar" }),
      svgElement("line", { x1: start, x2: start + width - 2, y1: y(confidence), y2: y(confidence), class: "sure" }),
      svgElement("rect", { x: start, y: bottom - high, width: width - 2, height: high, class: "count" }),
      svgElement("rect", { x: start, y: top, width: width - 2, height: bottom - top, fill: "transparent" }),
    );
  });
  const label = `Reliability on the ${split} split: see the table below`;
  const drawing = svgElement(
    "svg",
    { viewBox: `0 0 ${left + side + 12} ${bottom + 36}`, role: "img", "aria-label": label },
    ticks,
    svgElement("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "ideal" }),
    bins,
    svgElement("line", { x1: left, x2: left + side, y1: bottom, y2: bottom, class: "grid" }),
    text(left + side / 2, bottom + 31, "middle", "confidence %", "title"),
    svgElement(
      "text",
      { transform: `translate(12 ${top + side / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" },
      share,
    ),
    text(left - 6, bottom, "end", "count"),
  );
  const filled = reliability.filter(({ examples }) => examples);
  const head = ["examples", "confidence %", share].map((name) => element("th", { scope: "col" }, name));
  const rows = filled.map(({ examples, confidence, right }) =>
    element(
      "tr",
      {},
      element("td", {}, examples.toLocaleString("en")),
      element("td", {}, percentText(confidence)),
      element("td", {}, percentText(right)),
    ),
  );
  return element(
    "figure",
    { class: "reliability" },
    element("figcaption", {}, "Reliability"),
    drawing,
    element(
      "p",
      { class: "note" },
      `A bar is the share that ${many ? "has the label" : "is right"}, the line across it the mean confidence. Where ` +
        "they meet, on the dashed diagonal, confidence can be trusted. Below: how many decisions are in the bin.",
    ),
    element("details", {}, element("summary", {}, "The numbers"), confusionTable("Reliability in numbers", head, rows)),
  );
}

function mistakesFigure({ mistakes, all_mistakes: all, sheet, split }) {
  if (!mistakes.length) return null;
  const title =
    mistakes.length < all
      ? `The ${mistakes.length} most confident of ${plural(all, "mistake")}`
      : `${plural(all, "mistake")}, the most confident first`;
  const items = mistakes.map((each) => {
    const shown = `example ${each.index} of the ${split} split`;
    return element(
      "li",
      { title: shown },
      sheet && each.tile != null ? tile(sheet, each.tile, shown) : null,
      element("div", {}, each.label, " → ", element("b", {}, each.predicted)),
      element("div", { class: "doc" }, `${percentText(each.confidence)}% confident`),
    );
  });
  const list = element("ul", { class: "tiles" }, items);
  if (sheet) list.style.setProperty("--sheet", `url(${sheet.png})`);
  return element(
    "figure",
    {},
    element("figcaption", {}, title),
    element("p", { class: "note" }, "True label → prediction, and how confident the model was."),
    list,
  );
}

// One picture, a square of the sheet.
function tile({ side, columns, rows }, place, label) {
  const share = (at, number) => (number > 1 ? (100 * at) / (number - 1) : 0);
  const [across, down] = [share(place % columns, columns), share(Math.floor(place / columns), rows)];
  const style =
    `background: var(--sheet) ${across.toFixed(3)}% ${down.toFixed(3)}% / ${100 * columns}% ${100 * rows}%`;
  const kind = side < 64 ? "tile pixels" : "tile";
  return element("div", { class: kind, role: "img", "aria-label": label, style });
}
