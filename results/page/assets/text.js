// Making elements. Text reaches the page as text nodes alone, so that no name in a record is markup.

const contents = JSON.parse(document.getElementById("contents").textContent);
const specifications = JSON.parse(document.getElementById("specifications").textContent);

// Returns an element with these attributes (false and null leave one out) and children.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

function rowAddress(ranking, row, column) {
  return `#row-${ranking}-${row}${column ? `/${encodeURIComponent(column)}` : ""}`;
}

function runAddress(run) {
  return `#run=${encodeURIComponent(run.id)}`;
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

// A column's heading; those of the CSV alone go by their names.
function headingOf(column) {
  return column.heading || column.name.replaceAll("_", " ");
}

// A row's text in a column; a column that says the same of all rows has one cell.
function cellOf(column, row) {
  return column.cells[column.cells.length === 1 ? 0 : row] ?? "";
}

// A name that may be broken after its punctuation where it is too long for a line.
function breakable(text) {
  return text.split(/(?<=[_:=,-])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
}

// A sentence whose `names` are set as code.
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}
