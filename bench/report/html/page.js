"use strict";
// What a reader can do with the page: sort, filter, search, choose columns, copy, link to a row, choose the colours.
// Without it everything can be read, unfiltered and in the order of the report.

const form = document.querySelector("form");
const said = form.querySelector(".status");
const tables = [...document.querySelectorAll("main table")];
const figures = [...document.querySelectorAll("main figure")];
const TOPICS = ["task", "cell", "framework"];

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const heads = (table) => [...table.tHead.rows[0].cells];
const rows = (table) => [...table.tBodies[0].rows];
const many = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

// Cells as values: 0.12, +3.4e-7, 1,234, 0.95 ± 0.02, 2 of 3, 0.1 [0.05, 0.2], ×1.1; ×0.9, ∞. An id that begins with
// digits is text.
const value = (text) => {
  const plain = text.replace(/^×/, "").replace(/,/g, "").replace(/\u2212/g, "-").replace("∞", "Infinity");
  return /^[+-]?([\d.]+(e-?\d+)?|Infinity)([ ;].*)?$/.test(plain) ? parseFloat(plain) : NaN;
};
const compare = (one, other) => {
  const [a, b] = [value(one), value(other)];
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return Number.isNaN(a) ? one.localeCompare(other) : a === b ? 0 : a < b ? -1 : 1;
};

// Sorting: a head is pressed once for ascending, again for descending, a third time for the order of the report.
for (const table of tables) {
  const order = rows(table);
  for (const [column, head] of heads(table).entries()) {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
      for (const other of heads(table)) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      const texts = new Map(order.map((row) => [row, row.cells[column].textContent.trim()]));
      const sorted = next ? [...order].sort((a, b) => compare(texts.get(a), texts.get(b))) : order;
      const nothing = (row) => ["", "–"].includes(texts.get(row));
      if (next === "descending") sorted.reverse();
      // What has no value stands last, whichever way the rest is sorted.
      table.tBodies[0].append(...(next ? [...sorted.filter((row) => !nothing(row)), ...sorted.filter(nothing)] : sorted));
      oneStop(table);
    });
  }
}

// Links of rows are one stop of the tabulator a table; arrows, Home and End move among them.
const links = (table) => rows(table).filter((row) => !row.hidden).map((row) => row.querySelector("a.row"));
const oneStop = (table, chosen = links(table)[0]) => {
  for (const link of table.querySelectorAll("a.row")) link.tabIndex = link === chosen ? 0 : -1;
};
for (const table of tables) {
  oneStop(table);
  table.addEventListener("keydown", (event) => {
    if (!event.target.matches("a.row")) return;
    const all = links(table);
    const here = all.indexOf(event.target);
    if (event.key === "ArrowRight") event.target.nextElementSibling?.focus();
    const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (all[there] === undefined) return;
    event.preventDefault();
    oneStop(table, all[there]);
    all[there].focus();
  });
}

// Columns shown or hidden, and what is shown copied as text.
const shownCells = (row) => [...row.cells].filter((cell) => !cell.hidden).map((cell) => cell.textContent.trim());
const shownLines = (table) => [table.tHead.rows[0], ...rows(table).filter((row) => !row.hidden)].map(shownCells);
const asCsv = (lines) =>
  lines.map((line) => line.map((text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text)).join(",")).join("\n") + "\n";
const asMarkdown = ([first, ...others]) =>
  [first, first.map(() => "---"), ...others].map((line) => `| ${line.map((text) => text.replace(/\|/g, "\\|")).join(" | ")} |\n`).join("");
const copy = async (text, words) => {
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = `Copied ${words}.`;
  } catch (error) {
    said.textContent = `Not copied: the browser does not allow it (${error.message}).`;
  }
};
for (const table of tables) {
  const fields = element("fieldset", {}, element("legend", {}, "Columns shown"));
  for (const [column, head] of heads(table).entries()) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      for (const row of table.querySelectorAll("tr")) row.cells[column].hidden = !box.checked;
    });
    fields.append(element("label", {}, box, ` ${head.textContent}`));
  }
  const menu = element("details", {}, element("summary", {}, "Columns"), fields);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.firstChild.focus();
  });
  const tools = element("div", { className: "tools" }, menu);
  for (const [format, write] of [["CSV", asCsv], ["Markdown", asMarkdown]]) {
    const button = element("button", { type: "button", className: "plain" }, `Copy as ${format}`);
    button.addEventListener("click", () => {
      const lines = shownLines(table);
      copy(write(lines), `${many(lines.length - 1, "row")} as ${format}`);
    });
    tools.append(button);
  }
  table.count = element("span", { className: "note" });
  tools.append(table.count);
  table.closest(".table").prepend(tools);
}

// What rows and figures are about. A configuration is named by its cell and, behind a comma, what sets it apart.
const about = new Map(figures.map((figure) => [figure, JSON.parse(figure.dataset.about)]));
for (const table of tables) {
  const columns = heads(table).map((head) => head.dataset.column);
  for (const row of rows(table)) {
    const told = {};
    const text = (name) => row.cells[columns.indexOf(name)].textContent.trim();
    for (const topic of TOPICS) if (columns.includes(topic)) told[topic] = [text(topic)];
    if (!told.cell && columns.includes("configuration")) told.cell = [text("configuration").split(",")[0]];
    about.set(row, told);
  }
}
for (const topic of TOPICS) {
  const values = new Set([...about.values()].flatMap((told) => told[topic] ?? []));
  for (const name of values) form.elements[topic].append(element("option", { value: name }, name));
  form.elements[topic].closest("p").hidden = values.size < 2;
}

// From a row of results to the trials that it is made of: every number can be traced to its records.
let traced = null;
const trialTables = tables.filter((table) => heads(table).some((head) => head.dataset.column === "trial_id"));
const idOf = (row) => row.cells[heads(row.closest("table")).findIndex((head) => head.dataset.column === "trial_id")].textContent.trim();
const trialRows = new Map(trialTables.flatMap((table) => rows(table).map((row) => [row, idOf(row)])));
for (const row of document.querySelectorAll("tr[data-trials]")) {
  const button = element("button", { type: "button", className: "trials", tabIndex: -1, title: "its trials" });
  button.setAttribute("aria-label", "The trials of this row");
  button.addEventListener("click", () => {
    for (const name of ["search", ...TOPICS]) form.elements[name].value = "";
    traced = new Set(row.dataset.trials.split(" "));
    filter();
    const all = trialTables.at(-1);
    all.closest("details").open = true;
    all.closest(".table").scrollIntoView({ block: "start" });
    links(all)[0].focus({ preventScroll: true });
    said.textContent = `${many(traced.size, "trial")} of the row; “Show all” shows the others again.`;
  });
  button.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") button.previousElementSibling.focus();
  });
  row.cells[0].append(button);
}

// Filtering: a row or figure is shown where it is about what was chosen, or about none of its kind, and has all words.
const words = new Map([...about.keys()].map((item) => {
  const image = item.querySelector("img");
  return [item, `${item.textContent} ${image ? image.alt : ""}`.toLowerCase()];
}));
const filter = () => {
  const sought = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = TOPICS.map((topic) => [topic, form.elements[topic].value]).filter(([, name]) => name);
  for (const [item, told] of about) {
    const fits = chosen.every(([topic, name]) => !told[topic]?.length || told[topic].includes(name));
    const asked = !traced || !trialRows.has(item) || traced.has(trialRows.get(item));
    item.hidden = !(fits && asked && sought.every((word) => words.get(item).includes(word)));
  }
  for (const table of tables) {
    const [all, shown] = [rows(table).length, rows(table).filter((row) => !row.hidden).length];
    table.count.textContent = shown === all ? many(all, "row") : `${shown} of ${many(all, "row")}`;
    oneStop(table);
  }
  const filtered = sought.length || chosen.length;
  const hits = [...about.keys()].filter((item) => !item.hidden);
  const counts = [many(hits.filter((item) => item.matches("tr")).length, "row"), many(hits.filter((item) => item.matches("figure")).length, "figure")];
  said.textContent = filtered ? `${counts.join(" and ")} of the page match.` : "";
};
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => { traced = null; setTimeout(() => { paint(); filter(); }); });

// The address of a row leads to it also where it is filtered out; browsers unfold what it is folded into.
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) form.reset();
  setTimeout(() => target.scrollIntoView({ block: "nearest" }));
};
window.addEventListener("hashchange", reveal);

// Light or dark: the system's choice, or the reader's.
const paint = () => { document.documentElement.dataset.theme = form.elements.theme.value; };
form.elements.theme.addEventListener("input", paint);

// Paper has no folds; they are as they were afterwards.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("main section details:not([open])")].filter((fold) => !fold.closest(".tools"));
  for (const fold of folded) fold.open = true;
});
window.addEventListener("afterprint", () => { for (const fold of folded) fold.open = false; });

form.hidden = false;
filter();
reveal();
