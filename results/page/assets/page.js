// The address says which part of the page is shown: #ranking-0, #row-0-3, #run=resnet50-seed0.

const main = document.getElementById("main");
const chooser = document.getElementById("ranking");
const runsById = new Map(contents.runs.map((run) => [run.id, run]));

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return ""; // somebody typed half an address
  }
}

// Returns the elements that the address asks for, and the ranking they belong to.
function route(address) {
  const row = address.match(/^#row-(\d+)-(\d+)(?:\/(.*))?$/);
  if (row && contents.rankings[row[1]]?.rows[row[2]]) {
    const marked = row[3] && decoded(row[3]);
    return { ranking: Number(row[1]), show: () => showRow(Number(row[1]), Number(row[2]), marked), marked };
  }
  if (address.startsWith("#run=")) {
    const run = runsById.get(decoded(address.slice(5)));
    if (run) return { ranking: run.ranking, show: () => showRun(run) };
  }
  const ranking = Number(address.match(/^#ranking-(\d+)$/)?.[1] ?? 0);
  const index = contents.rankings[ranking] ? ranking : 0;
  return { ranking: index, show: () => showRanking(index) };
}

function show(first) {
  const { ranking, show: make, marked } = route(location.hash);
  forgetCharts();
  main.replaceChildren(...make().filter(Boolean));
  chooser.value = String(ranking);
  const heading = main.querySelector("h2");
  document.title = heading.textContent;
  if (first) return;
  scrollTo(0, 0);
  heading.focus({ preventScroll: true });
  if (marked) document.getElementById(`measure-${marked}`)?.scrollIntoView({ block: "center" });
}

if (contents.rankings.length > 1) {
  chooser.append(...contents.rankings.map(({ title }, i) => element("option", { value: i }, title)));
  chooser.parentElement.hidden = false;
  chooser.addEventListener("change", () => (location.hash = `#ranking-${chooser.value}`));
}
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the view's
  main.focus();
});
addEventListener("hashchange", () => show(false));
show(true);
