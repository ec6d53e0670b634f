// A ranking: its table, accuracy against cost, learning curves, and what failed.

const OVER = [
  ["examples", "Training examples"],
  ["flops", "Training FLOPs"],
  ["seconds", "Seconds of training"],
];
const MOST_CURVES = 10; // models: one for each color
const MOST_POINTS = 6000; // of a chart
const tableStates = new Map();

function showRanking(index) {
  const ranking = contents.rankings[index];
  if (!tableStates.has(index)) tableStates.set(index, newTableState(ranking));
  const state = tableStates.get(index);
  const figures = scatterSection(index, ranking);
  const curves = curveSection(index, ranking);
  let waiting;
  const addressOf = (row, column) => rowAddress(index, row, column);
  const table = makeTable(ranking, state, addressOf, (rows) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      figures.update(rows);
      curves.update(rows);
    }, 120);
  });
  return [
    element("h2", { tabindex: -1 }, ranking.title),
    element("ul", { class: "facts" }, ranking.description.map((line) => element("li", {}, withCode(line)))),
    table,
    failureSection(ranking),
    figures.section,
    curves.section,
    ...ranking.beside.map(besideSection),
    glossary(ranking),
  ];
}

function scatterSection(index, ranking) {
  const charts = Object.entries(ranking.figures).map(([name, { title }]) => {
    const description = `${ranking.score} against ${title}; the table has the numbers`;
    return [name, ...emptyFigure(title[0].toUpperCase() + title.slice(1), description)];
  });
  let before;
  function update(rows) {
    const set = new Set(rows);
    const same = [...set].sort((a, b) => a - b).join();
    if (same === before) return; // sorting changes no figure
    before = same;
    for (const [name, , chart] of charts) {
      if (!chart.isConnected) return;
      const { points, domain } = ranking.figures[name];
      const [x_min, x_max, y_min, y_max] = domain;
      const signals = { x_min, x_max, y_min, y_max, y_title: ranking.score };
      const data = points.filter((point) => set.has(point.row));
      draw(chart, name, data, signals, ({ row }) => {
        if (row != null) location.hash = rowAddress(index, row);
      });
    }
  }
  const section = charts.length
    ? element(
        "section",
        {},
        element("h3", {}, "Accuracy against cost"),
        element(
          "p",
          { class: "note" },
          "The rows of the table. Colored points and the dotted line are the Pareto front: no model " +
            "beats one of them on one axis without losing on the other. Bars are 95% intervals over " +
            "seeds. Click a point to see its runs.",
        ),
        element("div", { class: "grid" }, charts.map(([, figure]) => figure)),
      )
    : null;
  return { section, update };
}

// Returns the data of the learning curves of these runs, thinned so that a chart stays quick.
function curveData(runs, metric, nameOf) {
  const having = runs.filter((run) => run.curve?.[metric]);
  const points = having.reduce((sum, run) => sum + run.curve.step.length, 0);
  const every = Math.ceil(points / MOST_POINTS);
  const thin = (values) => values.filter((_, i) => i % every === 0 || i === values.length - 1);
  return having.map((run) => {
    const kept = run.curve.step.map((_, i) => i).filter((i) => run.curve[metric][i] !== null);
    const column = (values) => thin(kept.map((i) => values[i]));
    return {
      run: run.id,
      name: nameOf(run),
      seed: run.seed,
      step: column(run.curve.step),
      seconds: column(run.curve.seconds),
      value: column(run.curve[metric]),
      examples_per_step: run.curve.examples_per_step,
      flops_per_step: run.curve.flops_per_step,
    };
  });
}

function metricKind(metric) {
  return metric.endsWith("/loss") ? "loss" : "fraction";
}

function runsOf(ranking, row) {
  const { first, runs } = ranking.rows[row];
  return contents.runs.slice(first, first + runs);
}

// The metrics that at least one run has a curve of.
function metricsOf(ranking, runs) {
  return Object.keys(ranking.metrics).filter((metric) => runs.some((run) => run.curve?.[metric]));
}

function curveSection(index, ranking) {
  const metrics = metricsOf(ranking, ranking.rows.flatMap((_, row) => runsOf(ranking, row)));
  if (!metrics.length) return { section: null, update() {} };
  const charts = OVER.map(([over, title]) => [
    over,
    ...emptyFigure(title, `Learning curves over ${title.toLowerCase()}`),
  ]);
  const note = element("p", { class: "note" });
  let rows = [];
  const chosen = element(
    "select",
    { id: "metric", onchange: redraw },
    metrics.map((metric) => element("option", { value: metric }, ranking.metrics[metric])),
  );
  function redraw() {
    const metric = chosen.value;
    const having = rows.filter((row) => runsOf(ranking, row).some((run) => run.curve?.[metric]));
    const shown = having.slice(0, MOST_CURVES);
    const data = shown.flatMap((row) =>
      curveData(runsOf(ranking, row), metric, () => ranking.rows[row].name),
    );
    note.textContent =
      (having.length > shown.length
        ? `The first ${MOST_CURVES} of ${having.length} models in the table, as it is sorted and filtered. `
        : "The models in the table. ") + "Each line is one seed.";
    for (const [over, , chart] of charts) {
      if (!chart.isConnected) return;
      const signals = { y_title: ranking.metrics[metric] };
      draw(chart, `${metricKind(metric)}-${over}`, data, signals, ({ run }) => {
        if (run != null) location.hash = runAddress({ id: run });
      });
    }
  }
  function update(visible) {
    rows = visible;
    redraw();
  }
  const section = element(
    "section",
    {},
    element("h3", {}, "Learning curves"),
    element("label", {}, "Show ", chosen),
    note,
    element("div", { class: "grid" }, charts.map(([, figure]) => figure)),
  );
  return { section, update };
}

function failureSection(ranking) {
  if (!ranking.failures.length) return null;
  return element(
    "section",
    {},
    element("h3", {}, "Runs that failed"),
    element(
      "ul",
      {},
      ranking.failures.map(([model, text]) =>
        element("li", {}, element("code", {}, model), `: ${text}`),
      ),
    ),
  );
}

// A table that stands beside the ranking: other test sets, published figures.
function besideSection({ title, notes, head, rows }) {
  const kind = (i) => (["", "model", "source"].includes(head[i]) ? "text" : null);
  const heads = head.map((text, i) => element("th", { scope: "col", class: kind(i) }, text));
  const lines = rows.map((row) =>
    element("tr", {}, row.map((text, i) => element("td", { class: kind(i) }, text))),
  );
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, heads)),
    element("tbody", {}, lines),
  );
  return element(
    "section",
    {},
    element("h3", {}, title),
    notes.map((note) => element("p", { class: "note" }, note)),
    element("div", { class: "scroller", role: "region", "aria-label": title, tabindex: 0 }, table),
  );
}
