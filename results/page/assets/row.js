// A row: all its numbers, beside those of each of its runs, with links to the runs.

const SAID_ABOVE = new Set(["rank", "model", "status", "run_ids"]);

function showRow(index, row, marked) {
  const ranking = contents.rankings[index];
  const runs = runsOf(ranking, row);
  const named = (name) => cellOf(ranking.columns.find((column) => column.name === name), row);
  const rank = named("rank");
  const several = runs.length > 1;
  const head = element(
    "tr",
    {},
    element("th", { scope: "col", class: "text" }, "measure"),
    element("th", { scope: "col" }, several ? "mean over seeds" : "value"),
    several ? runs.map((run) => element("th", { scope: "col" }, runLink(run, `seed ${run.seed}`))) : [],
    element("th", { scope: "col", class: "text" }, "what it is"),
  );
  const body = ranking.columns
    .filter((column) => !SAID_ABOVE.has(column.name) && cellOf(column, row) !== "")
    .map((column) => {
      const alone = several && column.by_run ? column.by_run[row] : null;
      return element(
        "tr",
        { class: column.name === marked ? "marked" : null, id: `measure-${column.name}` },
        element("th", { scope: "row", class: "text" }, headingOf(column)),
        element("td", {}, cellOf(column, row)),
        several ? runs.map((_, i) => element("td", {}, alone ? alone[i] : "")) : [],
        element("td", { class: "text doc" }, column.doc),
      );
    });
  return [
    element("p", {}, element("a", { href: `#ranking-${index}` }, "← ", ranking.title)),
    element("h2", { tabindex: -1 }, breakable(ranking.rows[row].name)),
    element("p", { class: "note" }, `${rank ? `Rank ${rank}` : "No rank"}: ${named("status")}`),
    element("h3", {}, plural(runs.length, "run")),
    element("ul", {}, runs.map((run) => element("li", {}, runLink(run, run.id), runOutcome(run)))),
    element("h3", {}, "All numbers of the row"),
    element(
      "div",
      { class: "scroller measures", role: "region", "aria-label": "Numbers", tabindex: 0 },
      element("table", {}, element("thead", {}, head), element("tbody", {}, body)),
    ),
  ];
}

function runLink(run, text) {
  return element("a", { href: runAddress(run) }, text);
}

function runOutcome(run) {
  if (run.status === "completed") return `, seed ${run.seed}: completed`;
  return element("span", { class: "bad" }, `, seed ${run.seed}: ${run.status.replaceAll("_", " ")}`);
}
