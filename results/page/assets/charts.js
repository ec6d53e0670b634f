// Charts: a specification of `specifications` with its data and signals, drawn by Vega as SVG.

const NARROW_BELOW = 440; // pixels of container: a phone
const WIDTHS = { wide: 500, narrow: 290 }; // as results/page/figures.py has them
const HEIGHTS = { wide: 300, narrow: 270 };
const drawn = new Map(); // container -> how to draw it again
const turns = new WeakMap(); // container -> what is to end before it is drawn into again
const dark = matchMedia("(prefers-color-scheme: dark)");

function themeSignals() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: color("ink"),
    muted: color("muted"),
    line: color("line"),
    accent: color("accent"),
    paper: color("paper"),
  };
}

// Draws specification `name` into `container`, which must be in the page, or nothing without data;
// `clicked` gets the datum of a mark that is clicked on.
function draw(container, ...asked) {
  // One after another: Vega-Embed ends later than it is called, and two would draw over each other.
  const turn = (turns.get(container) ?? Promise.resolve()).then(() => drawNow(container, ...asked));
  turns.set(container, turn);
}

async function drawNow(container, name, data, signals, clicked) {
  if (!container.isConnected) return;
  drawn.get(container)?.finalize();
  drawn.delete(container);
  if (!data.length) {
    container.replaceChildren();
    return;
  }
  const size = sizeFor(container);
  const specification = structuredClone(specifications[name]);
  specification.data[0].values = data;
  specification.width = WIDTHS[size];
  specification.height = HEIGHTS[size];
  const columns = size === "narrow" ? 1 : 3;
  const values = { ...themeSignals(), size, hover: true, legend_columns: columns, ...signals };
  for (const signal of specification.signals) {
    if (signal.name in values) signal.value = values[signal.name];
  }
  const { view, finalize } = await vegaEmbed(container, specification, {
    mode: "vega",
    renderer: "svg",
    actions: false,
    defaultStyle: false,
    tooltip: showTooltip,
  });
  view.addEventListener("click", (_, item) => item?.datum && clicked?.(item.datum));
  const again = () => draw(container, name, data, signals, clicked);
  if (container.isConnected) drawn.set(container, { size, finalize, again });
  else finalize();
}

function sizeFor(container) {
  return container.clientWidth < NARROW_BELOW ? "narrow" : "wide";
}

// Ends every chart of the view that is left.
function forgetCharts() {
  for (const { finalize } of drawn.values()) finalize();
  drawn.clear();
  showTooltip();
}

function showTooltip(_, event, item, text) {
  const tooltip = document.getElementById("tooltip");
  tooltip.hidden = text == null || text === "";
  if (tooltip.hidden) return;
  tooltip.textContent = text;
  const { width, height } = tooltip.getBoundingClientRect();
  const beside = event.clientX + 14 + width < innerWidth ? 14 : -14 - width;
  const below = event.clientY + 14 + height < innerHeight ? 14 : -14 - height;
  tooltip.style.left = `${Math.max(4, event.clientX + beside)}px`;
  tooltip.style.top = `${Math.max(4, event.clientY + below)}px`;
}

dark.addEventListener("change", () => {
  for (const { again } of [...drawn.values()]) again();
});

addEventListener("resize", () => {
  for (const [container, { size, again }] of [...drawn]) {
    if (sizeFor(container) !== size) again();
  }
});

// Returns a figure with a caption, and the container to draw into.
function emptyFigure(caption, description) {
  const chart = element("div", { class: "chart", role: "group", "aria-label": description });
  return [element("figure", {}, element("figcaption", {}, caption), chart), chart];
}
