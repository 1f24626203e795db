// Two runs: what differs between their settings, in words and as a table.
const { common, runs } = JSON.parse(document.getElementById("settings").textContent);
const names = Object.keys(common);
const ends = ["compare-one", "compare-other"].map((id) => document.getElementById(id));
const difference = document.getElementById("difference");
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const setting = (run, name) => (name in run.own ? run.own[name] : common[name]);
const said = (text) => (text === null || text === undefined ? "not set" : text);
const element = (tag, text) => {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
};

const inWords = (one, other, differing) => {
  const sources = differing.filter((name) => name.startsWith("source of "));
  const places = differing.filter((name) => ["seed", "commit", "device"].includes(name));
  const settings = differing.filter((name) => !sources.includes(name) && !places.includes(name));
  if (!differing.length) return "Nothing differs: all settings, sources, the seed, commit and device are equal.";
  const parts = [settings.length ? `${plural(settings.length, "setting")} of ${names.length} differ${settings.length === 1 ? "s" : ""}` : "All settings are equal"];
  for (const name of settings.slice(0, 3)) parts.push(`${name} is ${said(setting(one, name))} in the first, ${said(setting(other, name))} in the second`);
  if (sources.length) parts.push(`the source of ${plural(sources.length, "module")} differs`);
  if (places.length) parts.push(`other ${places.join(", ")}`);
  return `${parts.join("; ")}.`;
};
const compare = () => {
  const [one, other] = ends.map((select) => runs[select.selectedIndex]);
  const differing = names.filter((name) => setting(one, name) !== setting(other, name));
  difference.replaceChildren(element("p", inWords(one, other, differing)));
  if (!differing.length) return;
  const table = document.createElement("table");
  table.className = "record";
  const head = table.createTHead().insertRow();
  for (const text of ["setting", one.name, other.name]) head.append(element("th", text));
  const body = table.createTBody();
  for (const name of differing) {
    const row = body.insertRow();
    row.append(element("th", name), ...[one, other].map((run) => element("td", said(setting(run, name)))));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.append(table);
  difference.append(scroll);
};
const choose = (text) => {
  const wanted = (text || "").split(",").map((each) => runs.findIndex((run) => run.anchor === each));
  ends.forEach((select, index) => { select.selectedIndex = wanted[index] >= 0 ? wanted[index] : Math.min(index, runs.length - 1); });
  compare();
};
if (runs.length > 1) {
  document.getElementById("compare").hidden = false;
  for (const select of ends) {
    select.append(...runs.map((run) => element("option", run.name)));
    select.addEventListener("change", () => {
      compare();
      store("compare", ends.map((each) => runs[each.selectedIndex].anchor).join(","));
    });
  }
}

const restore = () => {
  show(state.get("columns") || "overview");
  if (runs.length > 1) choose(state.get("compare"));
  filter.value = state.get("filter") || filter.value; // else kept by the browser over a reload
  apply();
  open();
};
addEventListener("hashchange", () => {
  read();
  restore();
  store("columns", state.get("columns"));
});
restore();
