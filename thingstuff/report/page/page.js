// The page itself: dark or light, tables that sort, and the start of the rest.

function switchTheme() {
  const root = document.documentElement;
  const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
  root.dataset.theme = remembered() ?? "";
  byId("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    try {
      localStorage.setItem("thingstuff-theme", root.dataset.theme);
    } catch {
      // some browsers keep nothing for a page on the disk
    }
  });
}

function remembered() {
  try {
    return localStorage.getItem("thingstuff-theme");
  } catch {
    return null;
  }
}

// A click sorts, a second one turns the order around, a third one brings the first order back.
function sortByHeaders(table) {
  const headers = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const original = [...body.rows];
  headers.forEach((header, column) => {
    const isNumeric = holdsNumbers(original.map((row) => row.cells[column].dataset.value));
    const [first, second] = isNumeric ? ["descending", "ascending"] : ["ascending", "descending"];
    header.addEventListener("click", () => {
      const order = { [first]: second, [second]: "none" }[header.getAttribute("aria-sort")] ?? first;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") header.setAttribute("aria-sort", order);
      body.replaceChildren(...(order === "none" ? original : sorted(original, column, isNumeric, order)));
    });
  });
}

const holdsNumbers = (values) => values.every((value) => value !== undefined) && values.some((value) => value);

function sorted(rows, column, isNumeric, order) {
  const key = isNumeric ? (row) => row.cells[column].dataset.value : (row) => row.cells[column].textContent.trim();
  const compare = isNumeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
  const sign = order === "descending" ? -1 : 1;
  const [known, unknown] = [rows.filter(key), rows.filter((row) => !key(row))];
  return [...known.sort((a, b) => sign * compare(key(a), key(b))), ...unknown];
}

switchTheme();
document.querySelectorAll("table.sortable").forEach(sortByHeaders);
const index = JSON.parse(byId("index").textContent);
if (index.images.length) makeGallery(index, makeViewer(index));
