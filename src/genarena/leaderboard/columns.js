// Columns: presets, a picker, and what of it is in the address.
const heads = [...document.querySelectorAll("table.board th[data-column]")];
const buttons = [...document.querySelectorAll("[data-preset]")];
const presets = buttons.map((button) => button.dataset.preset);
const boxes = new Map();

const show = (chosen) => {
  const isPreset = presets.includes(chosen);
  const keys = new Set(chosen.split(","));
  for (const head of heads) {
    const shown = isPreset ? head.dataset.presets.split(" ").includes(chosen) : keys.has(head.dataset.column);
    if (head.hidden === !shown) continue;
    head.hidden = !shown;
    const table = head.closest("table");
    for (const row of table.tBodies[0].rows) row.cells[head.cellIndex].hidden = !shown;
  }
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.preset === chosen));
  for (const [key, box] of boxes) box.checked = heads.some((head) => head.dataset.column === key && !head.hidden);
  document.body.classList.toggle("many", !["overview", "quality", "likelihood", "diversity", "memorisation"].includes(chosen));
};

const picker = document.getElementById("picker");
const aspects = [...new Set(heads.map((head) => head.dataset.aspect))];
for (const aspect of aspects) {
  const title = document.createElement("h4");
  title.textContent = aspect;
  picker.append(title);
  for (const head of heads.filter((each) => each.dataset.aspect === aspect && !boxes.has(each.dataset.column))) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    boxes.set(head.dataset.column, box);
    label.append(box, head.dataset.title);
    label.title = head.dataset.column;
    picker.append(label);
    box.addEventListener("change", () => {
      const chosen = [...boxes].filter(([, each]) => each.checked).map(([key]) => key).join(",") || "none";
      show(chosen);
      store("columns", chosen);
    });
  }
}
for (const button of buttons) button.addEventListener("click", () => {
  const chosen = button.dataset.preset;
  show(chosen);
  store("columns", chosen === "overview" ? "" : chosen);
});
document.addEventListener("click", (event) => {
  const details = picker.parentElement;
  if (details.open && !details.contains(event.target)) details.open = false;
});
