// The sortable, filterable table of one ranking.

const LEFT_ALIGNED = new Set(["model", "status", "checked", "verdict", "by", "accepted"]);
const FIRST_ROWS = 500; // more as one scrolls: a browser is slow to lay out ten thousand
const NEAR = 1500; // pixels above the last row at which the next ones are drawn

const LONGEST_LINE = { model: 24, status: 20 }; // characters: longer texts are broken

// Returns what a table begins with: the order of the ranking, and the columns that fit.
function newTableState(ranking) {
  const phone = innerWidth < 640;
  const width = document.documentElement.clientWidth - (phone ? 24 : 32);
  const shown = new Set(fitting(ranking, Math.min(width, 1248), phone).map((c) => c.name));
  return { column: null, descending: false, filter: "", shown };
}

// Returns the columns that people see in about so many pixels, the others dropped as on a terminal:
// by their `drop`, largest first; those of 0 stay.
function fitting(ranking, width, phone) {
  const pixels = (column) => {
    const longest = phone && column.name === "model" ? 12 : LONGEST_LINE[column.name] ?? 100;
    const lengths = column.cells.slice(0, FIRST_ROWS).map((text) => Math.min(text.length, longest));
    const padding = phone ? 12 : 18;
    // A heading is bold, and has the arrows of its order behind it.
    const heading = 8.6 * headingOf(column).length + 20;
    return Math.max(heading, 7.6 * Math.max(...lengths)) + padding;
  };
  const columns = ranking.columns.filter((c) => c.shown && c.cells.some((text) => text !== ""));
  const needed = () => columns.reduce((sum, column) => sum + pixels(column), 0);
  while (needed() > width && columns.some((column) => column.drop)) {
    const most = Math.max(...columns.map((column) => column.drop));
    columns.splice(columns.findIndex((column) => column.drop === most), 1);
  }
  return columns;
}

// Returns the indices of the rows that the filter leaves, in the order they are sorted.
function visibleRows(ranking, state) {
  // Of texts alone: digits of a number are no words.
  const texts = ranking.columns.filter((column) => state.shown.has(column.name) && !column.numbers);
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = ranking.rows
    .map((_, row) => row)
    .filter((row) => {
      const text = texts.map((column) => cellOf(column, row)).join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  const column = ranking.columns.find((each) => each.name === state.column);
  if (!column) return kept;
  const value = (row) => sortValue(column, row);
  const sign = state.descending ? -1 : 1;
  return kept.sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === second) return a - b;
    if (first === null) return 1; // what was not measured is last either way
    if (second === null) return -1;
    if (column.numbers) return sign * (first - second);
    return sign * String(first).localeCompare(String(second), "en", { numeric: true });
  });
}

// What a row sorts by in a column; null where there is nothing.
function sortValue(column, row) {
  if (Array.isArray(column.numbers)) return column.numbers[row];
  const text = cellOf(column, row);
  if (text === "") return null;
  return column.numbers ? Number(text) : text;
}

// Returns the table with its tools. `addressOf(row, column)` is where a row leads to, or its number in a column;
// `changed` is called with the visible rows, now and after every change. A long table scrolls by itself, and its rows
// are drawn as they come into sight.
function makeTable(ranking, state, addressOf, changed) {
  const head = element("thead");
  const body = element("tbody");
  const count = element("span", { class: "note", role: "status", "aria-live": "polite" });
  let rows = [];

  function sortBy(column) {
    if (state.column === column.name) state.descending = !state.descending;
    else {
      // The best accuracy and the fastest first; the first rank and the first letter.
      const ofRank = ["rank", "resampled_rank"].includes(column.name);
      state.descending = Boolean(column.numbers) && !ofRank;
      state.column = column.name;
    }
    update();
  }

  function drawHead() {
    const cells = shownColumns().map((column) => {
      const button = element("button", { type: "button", title: column.doc }, headingOf(column));
      button.addEventListener("click", () => sortBy(column));
      const kind = LEFT_ALIGNED.has(column.name) ? `text ${column.name}` : column.name;
      return element("th", { scope: "col", class: kind, "data-column": column.name }, button);
    });
    head.replaceChildren(element("tr", {}, cells));
  }

  function shownColumns() {
    return ranking.columns.filter((column) => state.shown.has(column.name));
  }

  function update() {
    for (const cell of head.querySelectorAll("th")) {
      const sorted = cell.dataset.column === state.column;
      const order = state.descending ? "descending" : "ascending";
      if (sorted) cell.setAttribute("aria-sort", order);
      else cell.removeAttribute("aria-sort");
    }
    rows = visibleRows(ranking, state);
    body.replaceChildren();
    drawMore();
    scroller.scrollTop = 0;
    const total = plural(ranking.rows.length, "row");
    count.textContent = rows.length === ranking.rows.length ? total : `${rows.length} of ${total}`;
    changed(rows);
  }

  function drawMore() {
    const columns = shownColumns();
    const next = rows.slice(body.childElementCount, body.childElementCount + FIRST_ROWS);
    body.append(...next.map((row) => tableRow(ranking, row, columns, addressOf)));
  }

  function redraw() {
    drawHead();
    update();
  }

  const filter = element("input", {
    type: "search",
    placeholder: "Filter: mobilenet 0.5",
    "aria-label": "Filter the rows by words in them",
    value: state.filter,
    oninput: (event) => {
      state.filter = event.target.value;
      update();
    },
  });
  const scroller = element(
    "div",
    {
      class: `scroller board${ranking.rows.length > FIRST_ROWS ? " tall" : ""}`,
      role: "region",
      "aria-label": "Ranking",
      tabindex: 0,
      onscroll: () => {
        if (scroller.scrollTop + scroller.clientHeight > scroller.scrollHeight - NEAR) drawMore();
      },
    },
    element("table", {}, head, body),
  );
  redraw();
  return element(
    "section",
    {},
    element("div", { class: "tools" }, filter, count, columnChooser(ranking, state, redraw)),
    scroller,
  );
}

function tableRow(ranking, row, columns, addressOf) {
  const { outcome } = ranking.rows[row];
  const ranked = cellOf(ranking.columns.find((column) => column.name === "rank"), row) !== "";
  const cells = columns.map((column) => {
    const text = cellOf(column, row);
    if (column.name === "model") {
      const link = element("a", { href: addressOf(row) }, breakable(text));
      return element("th", { scope: "row", class: "text model" }, link);
    }
    const left = LEFT_ALIGNED.has(column.name) ? "text " : "";
    if (column.links && text !== "") {
      const link = element("a", { href: column.links[row] }, text);
      return element("td", { class: `text ${column.name}` }, link);
    }
    if (!column.numbers || text === "") return element("td", { class: left + column.name }, text);
    // The model's link leads to the same place: one stop for the keyboard is enough.
    const attributes = { class: "number", tabindex: -1, href: addressOf(row, column.name) };
    return element("td", { class: left + column.name }, element("a", attributes, text));
  });
  const kind = ranked ? (outcome === "completed" ? null : "partly") : "unranked";
  return element("tr", { class: kind }, cells);
}

function columnChooser(ranking, state, redraw) {
  const boxes = ranking.columns
    .filter((column) => column.name !== "model" && column.cells.some((text) => text !== ""))
    .map((column) => {
      const box = element("input", {
        type: "checkbox",
        checked: state.shown.has(column.name),
        onchange: (event) => {
          if (event.target.checked) state.shown.add(column.name);
          else state.shown.delete(column.name);
          redraw();
        },
      });
      return element("label", { title: column.doc }, box, headingOf(column));
    });
  return element(
    "details",
    { class: "columns" },
    element("summary", {}, "Columns"),
    element("fieldset", { "aria-label": "Columns to show" }, boxes),
  );
}

// What each column that people see means.
function glossary(ranking) {
  const shown = ranking.columns.filter((column) => column.shown);
  return element(
    "details",
    {},
    element("summary", {}, "What the columns mean"),
    element(
      "dl",
      {},
      shown.flatMap((c) => [element("dt", {}, headingOf(c)), element("dd", {}, c.doc)]),
    ),
  );
}
