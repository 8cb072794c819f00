
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { classes, thresholds, pictures } = data;
  const recordings = data.recordings.map(([name, truth, predicted, probabilities, note], at) => ({
    at, name, truth, predicted, probabilities, note: note || "",
    missed: truth.filter((column) => !predicted.includes(column)),
    extra: predicted.filter((column) => !truth.includes(column)),
    pictured: Object.hasOwn(pictures, at),
  }));
  const list = byId("list"), rows = byId("rows"), space = byId("space"), filters = byId("filters"), picture = byId("picture");
  let shown = recordings;
  let current = null;

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  const count = (value) => value.toLocaleString("en");
  const names = (columns) => columns.map((column) => classes[column]).join(" + ") || "none";

  // Colors: those of the system until the button is pressed.
  const dark = byId("dark"), theme = byId("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => matchMedia(dark.media).matches;
  function nameTheme() {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Show light colors" : "Show dark colors");
  }
  theme.addEventListener("click", () => {
    dark.media = isDark() ? "not all" : "screen";
    nameTheme();
  });
  system.addEventListener("change", nameTheme);
  theme.hidden = false;
  nameTheme();

  // Filters.
  const GROUPS = { 0: (n) => n === 0, 1: (n) => n === 1, 2: (n) => n > 1 };

  function isWanted(recording, wanted) {
    const { truth, predicted, missed, extra } = recording;
    const column = wanted.class === "" ? null : classes.indexOf(wanted.class);
    const holds = (columns) => (column === null ? columns.length > 0 : columns.includes(column));
    return (column === null || holds(truth) || holds(predicted))
      && (wanted.labels === "" || GROUPS[wanted.labels](truth.length))
      && (wanted.result !== "right" || missed.length + extra.length === 0)
      && (wanted.result !== "wrong" || missed.length + extra.length > 0)
      && (wanted.result !== "missed" || holds(missed))
      && (wanted.result !== "extra" || holds(extra))
      && (!wanted.pictured || recording.pictured)
      && recording.name.toLowerCase().includes(wanted.find.toLowerCase());
  }

  function filterValues() {
    const form = new FormData(filters);
    return {
      class: form.get("class"), result: form.get("result"), labels: form.get("labels"), find: form.get("find"),
      pictured: form.has("pictured"),
    };
  }

  function filter() {
    const wanted = filterValues();
    shown = recordings.filter((recording) => isWanted(recording, wanted));
    const withPicture = shown.filter((recording) => recording.pictured).length;
    byId("count").textContent = `${count(shown.length)} of ${count(recordings.length)} recordings`
      + (withPicture === shown.length ? "" : `, ${count(withPicture)} with picture`);
    list.scrollTop = 0;
    show(shown.includes(current) ? current : shown[0] || null);
  }

  // The list: only the rows that can be seen are in the page.
  function rowHeight() {
    return rows.firstElementChild?.getBoundingClientRect().height || 30;
  }

  function row(recording, at) {
    const wrong = recording.missed.length + recording.extra.length > 0;
    const node = element("div", "row");
    node.id = `row-${recording.at}`;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", String(recording === current));
    node.setAttribute("aria-posinset", at + 1);
    node.setAttribute("aria-setsize", shown.length);
    const mark = element("span", wrong ? "mark wrong" : "mark right", wrong ? "✗" : "✓");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", wrong ? "wrong" : "exactly right");
    node.append(mark, element("span", "", recording.name));
    for (const columns of [recording.truth, recording.predicted]) {
      node.append(element("span", columns.length ? "" : "none", names(columns)));
    }
    node.title = `${recording.name}: true ${names(recording.truth)}, predicted ${names(recording.predicted)}`;
    node.addEventListener("click", () => show(recording));
    return node;
  }

  function drawRows() {
    if (!shown.length) {
      space.style.height = "auto";
      rows.replaceChildren(element("p", "empty", "No recording matches these filters."));
      return;
    }
    if (!rows.querySelector(".row")) rows.replaceChildren(row(shown[0], 0));
    const height = rowHeight();
    space.style.height = `${shown.length * height}px`;
    const first = Math.max(0, Math.min(Math.floor(list.scrollTop / height) - 5, shown.length - 1));
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / height) + 12);
    rows.style.top = `${first * height}px`;
    rows.replaceChildren(...shown.slice(first, last).map((recording, at) => row(recording, first + at)));
    if (current && byId(`row-${current.at}`)) list.setAttribute("aria-activedescendant", `row-${current.at}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function scrollTo(at) {
    const height = rowHeight(), top = at * height;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
  }

  // One recording.
  function show(recording) {
    current = recording;
    drawRows();
    const at = shown.indexOf(recording);
    if (at >= 0) scrollTo(at);
    drawRows();
    byId("previous").disabled = at <= 0;
    byId("next").disabled = at < 0 || at === shown.length - 1;
    byId("viewer").hidden = !recording;
    saveState();
    if (!recording) return;
    byId("position").textContent = `${count(at + 1)} of ${count(shown.length)}`;
    byId("name").textContent = recording.name;
    byId("remark").textContent = recording.note;
    const sets = [["True", recording.truth], ["Predicted", recording.predicted]].concat(
      recording.missed.length ? [["Missed", recording.missed]] : [],
      recording.extra.length ? [["Extra", recording.extra]] : [],
    );
    byId("sets").replaceChildren(...sets.flatMap(([name, columns]) => [
      element("dt", "", name), element("dd", name === "Missed" || name === "Extra" ? "wrong" : "", names(columns)),
    ]));
    byId("probabilities").tBodies[0].replaceChildren(...classes.map((name, column) => probabilityRow(recording, name, column)));
    showPicture(recording);
  }

  // Three decimals, or six where three would not tell a probability from its threshold.
  function inDigits(value, threshold) {
    const alike = value !== threshold && value.toFixed(3) === threshold.toFixed(3);
    return [value, threshold].map((number) => number.toFixed(alike ? 6 : 3));
  }

  function probabilityRow(recording, name, column) {
    const value = recording.probabilities[column];
    const isTrue = recording.truth.includes(column), isPredicted = recording.predicted.includes(column);
    const word = isPredicted ? (isTrue ? "correct" : "wrong") : isTrue ? "missed" : "";
    const tableRow = element("tr", isPredicted || isTrue ? "named" : "");
    const head = element("th", "", name);
    head.scope = "row";
    const level = element("div", "level"), bar = element("i"), tick = element("b"), cell = element("td");
    bar.style.width = `${100 * value}%`;
    tick.style.left = `${100 * thresholds[column]}%`;
    level.append(bar, tick);
    cell.append(level);
    cell.setAttribute("aria-hidden", "true");
    const tone = { correct: "right", wrong: "wrong", missed: "wrong" }[word] || "";
    const [shownValue, shownThreshold] = inDigits(value, thresholds[column]);
    tableRow.append(head, element("td", "", shownValue), cell, element("td", "", shownThreshold), element("td", tone, word));
    return tableRow;
  }

  async function showPicture(recording) {
    const say = (text) => picture.replaceChildren(element("p", "", text));
    if (!recording.pictured) {
      say("No picture of this recording in this report; xecgnet-predict RUN FILE --plot FOLDER draws it.");
      return;
    }
    if (typeof DecompressionStream === "undefined") {
      say("This browser is too old to unpack pictures (it has no DecompressionStream). Chrome or Edge 80, Safari 16.4 and Firefox 113, or later ones, can.");
      return;
    }
    try {
      const drawn = checkedPicture(await inflated(pictures[recording.at]));
      if (recording !== current) return;
      picture.replaceChildren(drawn);
    } catch (error) {
      if (recording === current) say(`The picture cannot be shown: ${error.message}.`);
    }
  }

  async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  }

  const DRAWN = new Set(["svg", "title", "desc", "g", "path", "rect", "line", "text", "tspan"]);

  function checkedPicture(text) {
    const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    if (root.localName !== "svg") throw new Error("it is damaged");
    for (const node of [root, ...root.querySelectorAll("*")]) {
      const bad = node.namespaceURI !== "http://www.w3.org/2000/svg" || !DRAWN.has(node.localName)
        || [...node.attributes].some(({ name, value }) => /^on|href$/i.test(name) || /url\(|script:/i.test(value));
      if (bad) throw new Error(`it holds <${node.nodeName}>, which no picture should`);
    }
    return document.importNode(root, true);
  }

  function move(by) {
    const at = shown.indexOf(current);
    const next = shown[Math.max(0, Math.min(shown.length - 1, (at < 0 ? 0 : at) + by))];
    if (next && next !== current) show(next);
  }

  // The address keeps what is shown.
  function saveState() {
    const state = new URLSearchParams();
    for (const [name, value] of Object.entries(filterValues())) if (value) state.set(name, value === true ? "1" : value);
    if (byId("fit").checked) state.set("fit", "1");
    if (current && (current !== shown[0] || state.size)) state.set("id", current.name);
    const hash = state.toString();
    if (hash || location.hash.includes("=")) {
      try {
        history.replaceState(null, "", hash ? `#${hash}` : "#recordings");
      } catch {
        // A browser that allows no more changes of its address for now still shows the page.
      }
    }
  }

  function loadState() {
    if (!location.hash.includes("=")) {
      filter();
      return;
    }
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of ["class", "result", "labels", "find"]) filters.elements[name].value = state.get(name) || "";
    for (const select of filters.querySelectorAll("select")) if (select.selectedIndex < 0) select.selectedIndex = 0;
    if (filters.elements.pictured) filters.elements.pictured.checked = state.has("pictured");
    byId("fit").checked = state.has("fit");
    picture.classList.toggle("fit", state.has("fit"));
    current = recordings.find((recording) => recording.name === state.get("id")) || null;
    filter();
    byId("recordings").scrollIntoView();
  }

  classes.forEach((name, column) => {
    const having = (set) => count(recordings.filter((recording) => recording[set].includes(column)).length);
    const option = element("option", "", `${name} (${having("truth")} true, ${having("predicted")} predicted)`);
    option.value = name;
    filters.elements.class.append(option);
  });
  filters.addEventListener("input", filter);
  filters.addEventListener("change", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(filter));
  list.addEventListener("scroll", drawRows);
  addEventListener("resize", drawRows);
  addEventListener("hashchange", () => location.hash.includes("=") && loadState());
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("fit").addEventListener("change", (event) => {
    picture.classList.toggle("fit", event.target.checked);
    saveState();
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / rowHeight()) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(by);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input:not([type=checkbox]), select")) return;
    // Boxes that scroll sideways keep their arrow keys.
    const arrows = event.target.closest?.(".box") ? {} : { ArrowRight: 1, ArrowLeft: -1 };
    const by = { j: 1, k: -1, ...arrows }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(by);
  });

  byId("gallery").hidden = false;
  loadState();
})();
