// A run: its whole record, and what lies beside it.

const SECTION_TITLES = {
  metrics: "Metrics",
  timings: "Timings, seconds",
  throughput: "Throughput",
  budget: "Budget",
  model: "Model",
  dataset: "Dataset",
  git: "Code",
  hardware: "Machine",
  software: "Software",
  config: "Configuration",
};
const APART = new Set(["command", "error"]); // shown on their own, not in a list

// What a run's part shows, in this order: functions from (run, record, ranking) to an element or null.
// `record` is a list of [path, value]. What stands beside a record comes by `PARTS` of
// results/page/contents.py.
const RUN_SECTIONS = [errorSection, commandSection, confusionsSection, recordSections, runCurves];

function showRun(run) {
  const ranking = contents.rankings[run.ranking];
  const row = rowOf(ranking, run);
  const record = recordOf(run, ranking);
  const fact = (...path) => record.find(([at]) => at.join("\n") === path.join("\n"))?.[1];
  const address = rowAddress(run.ranking, row);
  return [
    element("p", {}, element("a", { href: address }, "← ", ranking.rows[row].name)),
    element("h2", { tabindex: -1 }, breakable(run.id)),
    element(
      "p",
      { class: run.status === "completed" ? "note" : "bad" },
      `${run.status.replaceAll("_", " ")}, seed ${run.seed}, finished ${fact("finished_at")}`,
    ),
    run.record
      ? element("p", {}, element("a", { href: run.record }, "record.json"), " is the record that this page is made from")
      : null,
    ...RUN_SECTIONS.map((section) => section(run, record, ranking)),
  ];
}

function rowOf(ranking, run) {
  const place = contents.runs.indexOf(run);
  return ranking.rows.findIndex(({ first, runs }) => first <= place && place < first + runs);
}

// Returns the record as [path, value]: what the ranking's runs share, with this run's differences.
function recordOf(run, ranking) {
  const absent = new Set(run.absent ?? []);
  return ranking.fields
    .map((path, i) => [path, i in run.differing ? run.differing[i] : ranking.shared[i], absent.has(i)])
    .filter(([, value, gone]) => value !== undefined && !gone)
    .map(([path, value]) => [path, value]);
}

function errorSection(run, record) {
  const error = record.find(([path]) => path.length === 1 && path[0] === "error")?.[1];
  return error ? element("section", {}, element("h3", {}, "Error"), element("pre", { class: "bad" }, error)) : null;
}

function commandSection(run, record) {
  const command = record.find(([path]) => path.length === 1 && path[0] === "command")?.[1];
  return element("section", {}, element("h3", {}, "Command"), element("pre", { tabindex: 0 }, command));
}

function runCurves(run, record, ranking) {
  const metrics = metricsOf(ranking, [run]);
  if (!metrics.length) return null;
  const charts = metrics.map((metric) => [metric, ...emptyFigure(ranking.metrics[metric], ranking.metrics[metric])]);
  setTimeout(() => {
    for (const [metric, , chart] of charts) {
      if (!chart.isConnected) return;
      const data = curveData([run], metric, () => ranking.rows[rowOf(ranking, run)].name);
      draw(chart, `${metricKind(metric)}-examples`, data, { y_title: ranking.metrics[metric] });
    }
  });
  return element(
    "section",
    {},
    element("h3", {}, "Learning curves"),
    element("div", { class: "grid" }, charts.map(([, figure]) => figure)),
  );
}

function recordSections(run, record) {
  const groups = new Map(Object.keys(SECTION_TITLES).map((name) => [name, []]));
  const rest = [];
  for (const [path, value] of record) {
    if (path.length === 1) {
      if (!APART.has(path[0])) rest.push([path[0], value]);
      continue;
    }
    if (!groups.has(path[0])) groups.set(path[0], []);
    groups.get(path[0]).push([path.slice(1).join("."), value]);
  }
  const sections = [...groups, ["Run", rest]].filter(([, fields]) => fields.length);
  return element(
    "div",
    { class: "sections" },
    sections.map(([name, fields]) =>
      element(
        "section",
        { class: fields.length > 20 ? "long" : null },
        element("h3", {}, SECTION_TITLES[name] ?? name.replaceAll("_", " ")),
        element("dl", {}, fields.flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, valueText(value))])),
      ),
    ),
  );
}

function valueText(value) {
  if (value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
