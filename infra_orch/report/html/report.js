"use strict";
// What comes from the run is only ever put in as text: nothing here parses it as markup.
const CHUNK = { units: 200, resources: 50, attributes: 40, names: 400, destroyed: 100, timings: 30 };
const LONG = 400;
const MOST_OPEN = 20;

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const query = byId("query");
const inWords = (count, singular) => `${count.toLocaleString("en")} ${singular}${count === 1 ? "" : "s"}`;

function make(tag, name, ...content) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...content.filter((part) => part !== null));
  return element;
}

function button(text, pressed) {
  const element = make("button", "", text);
  element.type = "button";
  element.addEventListener("click", pressed);
  return element;
}

// A list that holds no more items than somebody asked to see.
function fill(list, items, size, draw) {
  let next = 0;
  function grow(until) {
    const last = list.lastElementChild;
    if (last?.classList.contains("more")) last.remove();
    const fresh = items.slice(next, until).map(draw);
    next = Math.max(next, Math.min(until, items.length));
    list.append(...fresh);
    const left = items.length - next;
    if (left > 0) {
      const text = `Show ${Math.min(size, left).toLocaleString("en")} more of ${left.toLocaleString("en")}`;
      list.append(make("li", "more", button(text, () => focusOn(grow(next + size)[0]))));
    }
    return fresh;
  }
  list.replaceChildren();
  grow(size);
  return { showUpTo: (index) => index >= next && grow(index + 1) };
}

function focusOn(element) {
  const target = element.querySelector("summary, a, button") ?? element;
  if (target === element) element.tabIndex = -1;
  target.focus();
}

// ── One unit ──

function shortened(text) {
  if (text.length <= LONG) return [text];
  const whole = button(`show all ${text.length.toLocaleString("en")} characters`, () => {
    whole.previousSibling.data = text;
    whole.remove();
  });
  return [`${text.slice(0, LONG - 100)}… `, whole];
}

function attributeRow(attribute) {
  const values = make("span", "values");
  if (attribute.before !== null) {
    const arrow = make("span", "arrow", " → ");
    arrow.setAttribute("aria-label", " becomes ");
    values.append(make("del", "", ...shortened(attribute.before)), arrow);
  }
  values.append(make("ins", "", ...shortened(attribute.after)));
  if (attribute.forces) values.append("  ", make("span", "forces", "forces replacement"));
  return make("li", "attribute", make("span", "path", attribute.path), values);
}

function notes(resource) {
  const found = [];
  if (resource.actions.includes("replace")) found.push("replaced");
  if (resource.moved_from !== null) found.push(`moved from ${resource.moved_from}`);
  if (resource.imported_id !== null) found.push(`imported, id ${resource.imported_id}`);
  return found.map((text) => make("span", "note", text));
}

function resourceRow(resource, unit) {
  const action = resource.actions[0] ?? "none";
  const sign = make("span", "sign", resource.sign);
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", action);
  const line = make("div", "line-of", sign, make("span", "address", resource.address), ...notes(resource));
  if (unit) {
    const link = make("a", "of", unit.name);
    link.href = `#unit-${unit.index}`;
    line.append(link);
  }
  const row = make("li", `resource ${action}`, line);
  const attributes = unit ? resource.attributes.filter((attribute) => attribute.forces) : resource.attributes;
  if (attributes.length) {
    const list = make("ul", "attributes");
    fill(list, attributes, CHUNK.attributes, attributeRow);
    row.append(list);
  }
  if (!unit && resource.unknown.length) {
    row.append(make("p", "attributes note", `${resource.unknown.join(", ")}: known after apply`));
  }
  return row;
}

function said(name, text, kind = "") {
  return text ? make("p", `said ${kind}`, make("b", "", `${name}: `), text) : null;
}

function errorBox(unit) {
  const error = unit.error;
  if (!error) return null;
  return make(
    "div",
    isAmiss(unit) ? "error" : "error quiet",
    make("strong", "", error.summary),
    error.detail ? make("pre", "", error.detail) : null,
    error.hint ? make("p", "hint", error.hint) : null,
    error.log ? make("p", "log", "log: ", make("code", "", error.log)) : null,
  );
}

const isAmiss = (unit) => unit.status === "failed" || unit.status === "refused";

function unitBody(unit) {
  const list = make("ul", "resources");
  fill(list, unit.shown, CHUNK.resources, (resource) => resourceRow(resource));
  const hidden = unit.resources.length - unit.shown.length;
  return make(
    "div",
    "body",
    errorBox(unit),
    ...unit.warnings.map((warning) => said("Warning", warning, "warning")),
    said("Destroyed", unit.destroys ? "the unit as a whole" : ""),
    said("Basis", unit.basis),
    said("Waits for", unit.waits_for.join(", ")),
    said("Begun and not ended", unit.unfinished.join(", ")),
    list,
    hidden ? make("p", "note", `${inWords(hidden, "resource")} of this unit fit no filter.`) : null,
    said("Outputs changed", unit.outputs.join(", ")),
  );
}

function unitRow(unit) {
  if (unit.row) return unit.row;
  const summary = make(
    "summary",
    "",
    make("h3", "", unit.name),
    make("span", `badge ${unit.status}`, unit.status),
    make("span", "remark", unit.remark),
    make("span", "took", unit.took),
  );
  const details = make("details", "unit", summary);
  details.id = `unit-${unit.index}`;
  details.classList.toggle("amiss", isAmiss(unit));
  details.classList.toggle("destroys", unit.destroys);
  details.addEventListener("toggle", () => details.open && drawBody(unit));
  unit.details = details;
  unit.row = make("li", "", details);
  return unit.row;
}

function drawBody(unit) {
  if (unit.drawn === unit.shown) return;
  unit.drawn = unit.shown;
  unit.details.querySelector(".body")?.remove();
  unit.details.append(unitBody(unit));
}

function openUnit(unit) {
  drawBody(unit);
  unit.details.open = true;
}

// ── What is shown ──

const lower = (text) => text.toLowerCase();

data.units.forEach((unit, index) => {
  unit.index = index;
  unit.haystack = lower(unit.name);
  unit.shown = unit.resources;
  for (const resource of unit.resources) {
    resource.haystack = `${unit.haystack} ${lower(resource.address)} ${lower(resource.type)}`;
  }
});

const checked = (name) => new Set([...document.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value));

// The resources of a unit that fit, or null where the unit does not.
function fitting(unit, words, actions, statuses) {
  if (statuses.size && !statuses.has(unit.status)) return null;
  const named = words.every((word) => unit.haystack.includes(word));
  if (named && !actions.size) return unit.resources;
  const found = unit.resources.filter(
    (resource) =>
      words.every((word) => resource.haystack.includes(word)) &&
      (!actions.size || resource.actions.some((action) => actions.has(action))),
  );
  return found.length ? found : null;
}

let shownUnits = [];
let unitList = null;

function show() {
  const words = lower(query.value).split(/\s+/).filter(Boolean);
  const actions = checked("action");
  const statuses = checked("status");
  const shown = [];
  let resources = 0;
  for (const unit of data.units) {
    const found = fitting(unit, words, actions, statuses);
    if (found === null) continue;
    unit.shown = found;
    resources += found.length;
    shown.push(unit);
  }
  shownUnits = shown.filter((unit) => !unit.folded);
  unitList = fill(byId("unit-list"), shownUnits, CHUNK.units, unitRow);
  for (const unit of shownUnits) if (unit.details?.open) drawBody(unit);
  byId("units-none").hidden = shown.length > 0;
  const narrowed = words.length + actions.size + statuses.size > 0;
  for (const group of document.querySelectorAll(".folded")) showFolded(group, shown, narrowed);
  showDestroyed(shown);
  tell(shown.length, resources);
}

function showFolded(group, shown, narrowed) {
  const units = shown.filter((unit) => unit.folded && unit.status === group.dataset.status);
  group.hidden = units.length === 0;
  group.querySelector("summary .remark").textContent = inWords(units.length, "unit");
  const draw = (unit) => {
    const item = make("li", "", unit.name);
    item.id = `unit-${unit.index}`;
    return item;
  };
  group.show = () => fill(group.querySelector(".names"), units, CHUNK.names, draw);
  if (narrowed && units.length) group.open = true;
  if (group.open) group.show();
}

function showDestroyed(shown) {
  const list = byId("destroyed-list");
  if (!list) return;
  const found = shown.flatMap((unit) =>
    unit.shown.filter((r) => r.actions.includes("delete") || r.actions.includes("replace")).map((r) => [r, unit]),
  );
  fill(list, found, CHUNK.destroyed, ([resource, unit]) => resourceRow(resource, unit));
  list.hidden = found.length === 0;
  byId("destroyed-none").hidden = found.length > 0;
}

const allResources = data.units.reduce((sum, unit) => sum + unit.resources.length, 0);

function tell(units, resources) {
  const all = units === data.units.length && resources === allResources;
  byId("shown").textContent = all
    ? `All ${inWords(units, "unit")} and ${inWords(resources, "resource")} are shown.`
    : `${units.toLocaleString("en")} of ${inWords(data.units.length, "unit")} and ` +
      `${resources.toLocaleString("en")} of ${inWords(allResources, "resource")} are shown.`;
}

// ── By hand ──

function clearAll() {
  query.value = "";
  for (const box of document.querySelectorAll(".filters input:checked")) box.checked = false;
  show();
}

function jump() {
  const index = Number(/^#unit-(\d+)$/.exec(location.hash)?.[1] ?? NaN);
  const unit = data.units[index];
  if (!unit) return;
  if (!shownUnits.includes(unit)) clearAll();
  if (unit.folded) {
    const group = document.querySelector(`.folded[data-status="${unit.status}"]`);
    group.open = true;
    group.querySelector("summary").focus();
    return;
  }
  unitList.showUpTo(shownUnits.indexOf(unit));
  openUnit(unit);
  unit.details.scrollIntoView();
  unit.details.querySelector("summary").focus();
}

let waiting = 0;
query.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(show, 80);
});
for (const box of document.querySelectorAll(".filters input[type=checkbox]")) box.addEventListener("change", show);
for (const group of document.querySelectorAll(".folded")) {
  group.addEventListener("toggle", () => group.open && group.show());
}
byId("open-all").addEventListener("click", () => {
  for (const unit of shownUnits) if (unit.row?.isConnected) openUnit(unit);
});
byId("close-all").addEventListener("click", () => {
  for (const unit of shownUnits) if (unit.details) unit.details.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.type !== "search" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
    query.select();
  } else if (event.key === "Escape") {
    clearAll();
  }
});
// A link to the unit that the address names already changes nothing there.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#unit-']");
  if (!link) return;
  event.preventDefault();
  history.replaceState(null, "", link.getAttribute("href"));
  jump();
});

show();
for (const unit of shownUnits.filter(isAmiss).slice(0, MOST_OPEN)) openUnit(unit);
if (byId("timing-list")) {
  fill(byId("timing-list"), data.timings, CHUNK.timings, (timing) => {
    const bar = make("div", "bar");
    bar.style.width = `${timing.share * 100}%`;
    return make("li", "timing", make("span", "", timing.name), bar, make("span", "took", timing.took));
  });
}
jump();
