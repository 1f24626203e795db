"use strict";
// The state of the page is kept in its address, behind the anchor: #<anchor>&columns=cost&filter=vae&compare=<run>,<run>
const state = new Map();
let anchor = "";
const decode = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
const read = () => {
  anchor = "";
  for (const part of location.hash.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at < 0) anchor = decode(part) || anchor;
    else state.set(part.slice(0, at), decode(part.slice(at + 1)));
  }
};
const store = (key, text) => {
  if (text) state.set(key, text);
  else state.delete(key);
  const parts = [...state].map(([name, kept]) => `${name}=${encodeURIComponent(kept)}`);
  history.replaceState(null, "", `#${[encodeURIComponent(anchor), ...parts].filter(Boolean).join("&")}`);
};
read();

const value = (row, index) => {
  const cell = row.cells[index];
  if (cell.classList.contains("num")) return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  return cell.textContent.trim().toLowerCase();
};
for (const table of document.querySelectorAll("table.board")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => head.querySelector("button").addEventListener("click", (event) => {
    const first = event.currentTarget.dataset.first || "ascending"; // the better end on top
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const direction = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, index), row]);
    rows.sort(([x], [y]) => {
      if (x === null || y === null) return (x === null) - (y === null);
      return direction * (x < y ? -1 : x > y ? 1 : 0);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

const items = [...document.querySelectorAll("[data-name]")].map((item) => [item, item.dataset.name.toLowerCase()]);
const lines = [...document.querySelectorAll("table.board tbody tr")];
const count = document.getElementById("count");
const filter = document.getElementById("filter");
const apply = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [item, name] of items) {
    const hidden = !words.every((word) => name.includes(word));
    if (item instanceof SVGElement) item.toggleAttribute("hidden", hidden);
    else item.hidden = hidden;
  }
  const shown = lines.filter((line) => !line.hidden).length;
  count.textContent = words.length ? `${shown} of ${lines.length} rows` : "";
};
filter.addEventListener("input", () => { apply(); store("filter", filter.value); });

const open = () => {
  const target = document.getElementById(anchor);
  if (!target) return;
  if (target instanceof HTMLDetailsElement) {
    target.hidden = false;
    target.open = true;
  }
  target.scrollIntoView();
};
