// A board: in each ranking its rows, the record over time, and the rules. Rows lead to pages of their own.

const main = document.getElementById("main");
const chooser = document.getElementById("ranking");
const tableStates = new Map();

function showRanking(index) {
  const ranking = contents.rankings[index];
  if (!tableStates.has(index)) tableStates.set(index, newTableState(ranking));
  const addressOf = (row) => ranking.rows[row].page;
  return [
    element("h2", { tabindex: -1 }, ranking.title),
    element("ul", { class: "facts" }, ranking.description.map((line) => element("li", {}, line))),
    makeTable(ranking, tableStates.get(index), addressOf, () => {}),
    element("p", { class: "note" }, contents.legend),
    historySection(ranking),
    glossary(ranking),
  ];
}

// The record over time, and who raised it when.
function historySection(ranking) {
  if (!ranking.history.length) return null;
  const [figure, chart] = emptyFigure(ranking.score, `${ranking.score} of the best row over time`);
  setTimeout(() => {
    if (!chart.isConnected) return;
    const [x_min, x_max, y_min, y_max] = ranking.domain;
    const signals = { x_min, x_max, y_min, y_max, y_title: ranking.score };
    draw(chart, "record", ranking.record, signals, ({ page }) => {
      if (page) location.assign(page);
    });
  });
  const heads = ["accepted", "model", ranking.score, "by", "checked"];
  const lines = ranking.history.map((each) =>
    element(
      "tr",
      {},
      element("td", { class: "text" }, each.at),
      element("th", { scope: "row", class: "text" }, element("a", { href: each.page }, breakable(each.name))),
      element("td", {}, each.score),
      element("td", { class: "text" }, each.by),
      element("td", { class: "text checked" }, element("a", { href: each.report }, each.checked)),
    ),
  );
  const earlier = ranking.records - ranking.history.length;
  const kind = (i) => (i === 2 ? null : "text");
  return element(
    "section",
    {},
    element("h3", {}, "The record"),
    figure,
    element(
      "div",
      { class: "scroller history", role: "region", "aria-label": "Who raised the record when", tabindex: 0 },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, heads.map((text, i) => element("th", { scope: "col", class: kind(i) }, text)))),
        element("tbody", {}, lines),
      ),
    ),
    earlier ? element("p", { class: "note" }, `${plural(earlier, "earlier record")} in board.json`) : null,
  );
}

function rulesSection() {
  return element(
    "section",
    {},
    element("h3", {}, "Rules"),
    element("dl", {}, contents.rules.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
  );
}

function show(first) {
  const asked = Number(location.hash.match(/^#ranking-(\d+)$/)?.[1] ?? 0);
  const index = contents.rankings[asked] ? asked : 0;
  forgetCharts();
  const made = contents.rankings.length ? showRanking(index) : [element("p", {}, "No bundle was accepted so far.")];
  const about = contents.description ? element("p", {}, contents.description) : null;
  main.replaceChildren(...[about, ...made, rulesSection()].filter(Boolean));
  chooser.value = String(index);
  if (!first) scrollTo(0, 0);
}

if (contents.rankings.length > 1) {
  chooser.append(...contents.rankings.map(({ title }, i) => element("option", { value: i }, title)));
  chooser.parentElement.hidden = false;
  chooser.addEventListener("change", () => (location.hash = `#ranking-${chooser.value}`));
}
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the ranking's
  main.focus();
});
addEventListener("hashchange", () => show(false));
show(true);
