// The panel: see PanelView in browser.py. Python holds the state; what a person does goes there as a message.
const KEYS = [["/", "type a word or an address"], ["Arrow keys", "go from picture to picture; move the part"],
  ["Enter", "search by the picture that has the focus"], ["w", "why this one?"], ["d", "its details"],
  ["b", "back to the query before"], ["Ctrl+V", "search by the picture in the clipboard"], ["?", "these keys"]];
const SIZES = { S: 120, M: 180, L: 260 };
// What a person chose to see, `theme` and `size`, outlives the page where the browser keeps something for pages.
const kept = (name) => { try { return localStorage.getItem(`memora-${name}`); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(`memora-${name}`, value); } catch { /* until it is loaded again */ } };

// Light or dark: as the person chose, else as JupyterLab is, else, on a page, as the system is.
const theme = () => {
  const { voila, jpThemeLight: lab } = document.body.dataset;  // Voila's own theme is always the same
  const dark = lab && !voila ? lab === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.memoraTheme = kept("theme") || (dark ? "dark" : "light");
};

export default { render({ model, el }) {
  const about = model.get("about"), read = (value) => value.replaceAll("_", " ");
  const label = (name) => read(name[0].toUpperCase() + name.slice(1));
  const send = (told, buffers = []) => model.send(told, undefined, buffers);
  const change = (field, value) => send({ do: "change", [field]: value });
  // who is at a field has not finished
  const put = (field, value) => { if (field !== document.activeElement) field.value = value; };
  el.classList.add("memora", "memora-panel");
  for (const [name, color] of Object.entries(about.colors)) el.style.setProperty(name, color);
  el.dataset.lmSuppressShortcuts = "true";  // JupyterLab's own keys would else be pressed as well

  // the query: dropped, pasted, chosen, typed
  const give = async (file) => {
    const small = file.size <= about.most_bytes;
    send({ do: "file", name: file.name, size: file.size }, small ? [await file.arrayBuffer()] : []);
  };
  const input = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => {
    if (input.files.length) give(input.files[0]);
    input.value = "";  // else the same file again would be no change
  } });
  const names = h("datalist", { id: "memora-" + Math.random().toString(36).slice(2) });
  const line = h("input", { type: "search", autocomplete: "off", list: names.id,
    "aria-label": "Words, or the address of a picture" });
  const ask = h("form", { className: "memora-ask", role: "search", onsubmit: (e) => {
    e.preventDefault(); send({ do: "find", text: line.value });
  } }, icon("search"), line, names,
  h("button", { type: "submit", "aria-label": "Search" }, icon("search"), h("span", {}, "Search")),
  button("Upload a picture", () => input.click(), { className: "main", "aria-label": "Upload a picture" },
    icon("picture"), h("span", {}, "Upload a picture")), input);
  const words = () => {
    names.replaceChildren(...model.get("words").map((value) => h("option", { value })));
    line.placeholder = names.children.length ? "Type a word, or paste an address" : "Paste the address of a picture";
  };

  const strip = (items, act, name) => arrows(h("ul", { className: "memora-strip", "aria-label": name },
    items.map(({ key, caption, alt, picture: bytes }) => h("li", { data: { key } },
      button("start", () => send(act(key)), { title: caption, data: { what: "picture", key } },
        picture(bytes, alt))))), "button");
  const shelf = h("div", { className: "memora-starters" });
  const begin = () => {
    const { value, options, items } = model.get("shelf");
    redraw(shelf, options.length > 1 && select("shelf", options.map((one) => [one, label(one)]), value,
      (chosen) => send({ do: "shelf", value: chosen }), { "aria-label": "Begin with" }),
    strip(items, (key) => ({ do: "start", key }), "pictures to begin with; arrow keys go from one to the next"));
  };

  const status = h("div", { className: "memora-status" });
  const results = wall(model, send), shown = details(model, send, results.focus);
  const anew = (what) => () => { results.later(); send({ do: what }); };  // the button goes; the results get the focus
  const tell = () => {
    const { state, message, busy, again } = model.get("status");
    results.settle(busy);
    redraw(status, h("p", { role: "status", "aria-busy": String(busy), data: { state } }, message),
      again && button("Try again", anew("again")),
      state === "nothing found" && button("Clear filters", anew("clear")));
  };

  // the query: its picture and its part
  const area = cropper((box) => send({ do: "crop", box }));
  const text = h("p", { className: "memora-text" }), part = h("p", { className: "memora-part" });
  const sides = ["Left", "Top", "Right", "Bottom"].map((name, i) => h("input", { type: "number", min: 0,
    "aria-label": name, onchange: (e) => send({ do: "side", i, value: Number(e.target.value) }) }));
  const tools = h("div", { className: "row" }), earlier = h("div", { className: "memora-earlier" });
  const exact = h("details", {}, h("summary", {}, "Exact numbers"),
    h("div", { className: "memora-sides" }, sides.map((side) => h("label", {}, side.ariaLabel, side))));
  const drop = h("div", { className: "memora-drop" }, area.area, text, part, h("div", { className: "memora-hint" },
    icon("picture"), h("strong", {}, "Drop a picture here"),
    h("p", {}, "or paste one, upload one, type a word - or begin with a picture above"),
    h("small", {}, about.formats)));
  let drawn = "";
  const query = () => {
    const now = model.get("query"), { length } = model.get("earlier"), seen = now.picture?.byteLength > 0;
    el.classList.toggle("empty", !now.name);
    area.area.hidden = exact.hidden = !seen;
    if (seen && drawn !== now.n) area.fill(picture(now.picture, `the query: ${now.name}`));
    drawn = now.n;
    area.set(now.box || []);
    sides.forEach((side, i) => { side.max = now.size?.[i % 2]; put(side, now.sides?.[i]); });
    text.textContent = now.words || ""; text.hidden = !now.words;
    part.textContent = now.said || "";
    redraw(tools, length > 0 && button("Back", () => { if (length < 2) results.later(); send({ do: "back" }); }, {},
      icon("back"), "Back"),
    seen && now.box.length > 0 && button("Whole picture", () => send({ do: "crop", box: null }), {},
      icon("whole"), "Whole picture"));
    if (line !== document.activeElement || now.words) line.value = now.words || "";
  };
  const history = () => {
    const items = model.get("earlier");
    redraw(earlier, items.length > 0 && [h("h3", {}, "Earlier"),
      strip(items, (steps) => ({ do: "back", steps }), "earlier queries, the last one first")]);
    query();
  };

  // filters
  const filters = h("details", { className: "memora-filters" }), active = h("div", { className: "memora-active" });
  const summary = h("summary", { data: { id: "filters" } }), groups = h("div");
  const unfolded = new Set();  // fields of which all values are shown
  const group = ({ field, values }) => {
    const chosen = values.filter((one) => one.on).map((one) => one.value);
    const all = unfolded.has(field) || values.length <= 12;
    const few = all ? values : values.filter(({ found, on }, i) => found || on || i < 4);
    const chips = few.map(({ value, found, stored, on }) => button(`${field} ${value}`, () => send({ do: "allow", field,
      values: on ? chosen.filter((one) => one !== value) : [...chosen, value] }),
    { value, "aria-pressed": String(on), className: found || on ? "chip" : "chip none",
      "aria-label": `${read(value)}: ${found} of these results, ${stored} in all` },
    read(value), h("small", {}, `${found} of ${stored}`)));
    const more = few.length < values.length && button(`all ${field}`, () => { unfolded.add(field); facets(); },
      { className: "chip more" }, `all ${values.length}`);
    return arrows(h("div", { className: "memora-chips", role: "group", "aria-label": label(field) },
      h("h3", {}, label(field)), chips, more), ".chip");
  };
  const range = ({ field, low, high, step }) => {
    const out = h("output");
    const tell = () => { out.textContent = values().join(" to "); };
    const thumbs = ["from", "to"].map((end) => h("input", { type: "range", min: low, max: high, step,
      "aria-label": `${label(field)} ${end}`, oninput: tell,
      onchange: () => send({ do: "between", field, low: values()[0], high: values()[1] }) }));
    const values = () => thumbs.map((thumb) => Number(thumb.value)).sort((a, b) => a - b);
    const box = h("div", { className: "memora-range", role: "group", "aria-label": label(field) },
      h("h3", {}, label(field), out), h("div", { className: "two" }, thumbs));
    return { box, set: (given) => { thumbs.forEach((thumb, i) => put(thumb, (given || [low, high])[i])); tell(); } };
  };
  const ranges = Object.fromEntries(about.spans.map((span) => [span.field, range(span)]));
  filters.append(summary, groups, ...Object.values(ranges).map((one) => one.box));
  const facets = () => {
    const { groups: all, on } = model.get("facets");
    filters.hidden = !all.length && !about.spans.length;
    summary.replaceChildren("Filters", on.length ? h("b", {}, on.length) : "");
    redraw(groups, all.map(group));
    redraw(active, on.map(({ name, undo }) => button(`remove ${name}`, () => send(undo), { className: "chip on",
      "aria-label": `Remove the filter ${name}` }, name, icon("close"))),
    on.length > 0 && button("Clear all", anew("clear"), { className: "plain" }));
  };

  // settings, what is compared, how large
  const slider = (name, field, told, range, value = (given) => given) => {
    const out = h("output"), thumb = h("input", { type: "range", ...range, oninput: () => {
      out.textContent = thumb.value; change(field, value(Number(thumb.value)));
    } });
    return { box: [h("label", { className: "memora-slider" }, h("span", {}, name), thumb, out),
      h("p", { className: "memora-help" }, told)],
    set: (given) => { put(thumb, given || 0); out.textContent = thumb.value; } };
  };
  const limit = slider("Results", "limit", "How many pictures to show.", { min: 1, max: about.most_hits });
  const least = slider("Similarity", "least_similarity", "Leave out what is less similar; 0 shows all.",
    { min: 0, max: 1, step: 0.05 }, (given) => given || null);
  const choices = h("div"), compare = h("div", { className: "row" });
  const settings = h("details", { className: "memora-settings" }, h("summary", {}, "Settings"),
    limit.box, least.box, choices);
  const choice = (name, field, names, now) => h("label", { className: "memora-slider" }, h("span", {}, name),
    names.length > 1 ? select(field, names.map((one) => [one, one]), now, (value) => change(field, value))
      : h("b", {}, names[0]));
  const set = () => {
    const now = model.get("settings"), others = Object.entries(now.comparisons);
    limit.set(now.limit); least.set(now.least_similarity);
    for (const [field, { set: show }] of Object.entries(ranges)) show(now.ranges[field]);
    redraw(choices, choice("Network", "extractor", now.networks, now.extractor),
      choice("Metric", "metric", now.metrics, now.metric));
    redraw(compare, others.length > 0 && h("label", {}, "Compare with", select("compare", [["", "nothing"], ...others],
      now.beside, (value) => change("beside", value))));
  };
  const sizes = h("div", { className: "memora-sizes", role: "group", "aria-label": "Size of the pictures" });
  const size = (chosen) => {
    results.box.style.setProperty("--row", `${SIZES[chosen]}px`);
    redraw(sizes, Object.keys(SIZES).map((one) => button(one, () => { keep("size", one); size(one); },
      { "aria-pressed": String(one === chosen), "aria-label": `Size ${one}` })));
  };

  // the call
  const code = h("pre", { tabIndex: 0, role: "region", "aria-label": "the call" });
  const copied = h("span", { role: "status" });
  const call = h("details", { className: "memora-call", open: !about.page },
    h("summary", {}, about.page ? "For the curious" : "The call"), code, button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(model.get("call")); copied.textContent = " Copied.";
      } catch {  // forbidden, or no clipboard: browsers give it to https and to this machine only
        getSelection().selectAllChildren(code); copied.textContent = " Selected: press Ctrl+C to copy.";
      }
    }), copied, h("p", { className: "memora-help" },
      about.call.split("`").map((words, i) => (i % 2 ? h("code", {}, words) : words))));
  const write = () => { code.textContent = model.get("call"); copied.textContent = ""; };

  // keys, theme, and the whole
  const help = h("dialog", { className: "memora-dialog", "aria-label": "Keys" }, h("h3", {}, "Keys"),
    h("dl", {}, KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    button("Close the keys", () => help.close(), {}, "Close"));
  const turn = () => {
    const now = document.documentElement.dataset.memoraTheme === "dark" ? "light" : "dark";
    keep("theme", now);
    document.documentElement.dataset.memoraTheme = now;
  };
  const round = (name, act, inside) => button(name, act, { className: "round", "aria-label": name, title: name },
    inside);
  el.replaceChildren(h("header", { className: "memora-top" }, h(about.page ? "h1" : "h2", {}, about.name),
    h("span", {}, about.count), round("Light or dark", turn, icon("theme")),
    round("Keys", () => help.showModal(), "?")),
  ask, shelf, status, h("div", { className: "memora-columns" },
    h("div", { className: "memora-query" }, drop, tools, earlier, exact, filters, settings),
    h("div", { className: "memora-results" }, h("div", { className: "memora-bar" }, active, compare, sizes),
      results.box, call)),
  shown.dialog, help);
  const room = new ResizeObserver(() => {  // filters stand open where there is room beside the results
    const wide = String(el.clientWidth > 760);
    if (el.clientWidth && el.dataset.wide !== wide) { el.dataset.wide = wide; filters.open = wide === "true"; }
  });
  room.observe(el);

  el.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input:not([type=range]), select, textarea")) return;
    if (e.key === "/") { e.preventDefault(); line.focus(); line.select(); }
    if (e.key === "?") help.showModal();
    if (e.key === "b" && model.get("earlier").length) send({ do: "back" });
  });
  el.addEventListener("dragover", (e) => { e.preventDefault(); el.classList.add("over"); });
  el.addEventListener("dragleave", (e) => { if (!el.contains(e.relatedTarget)) el.classList.remove("over"); });
  el.addEventListener("drop", (e) => {
    e.preventDefault(); el.classList.remove("over");
    const address = e.dataTransfer.getData("text/uri-list").split("\n").find((one) => one.startsWith("http"));
    // a picture dragged out of another page comes as its address, or as nothing; that is told, not passed over
    if (!e.dataTransfer.files.length && address) send({ do: "find", text: address.trim() });
    else give(e.dataTransfer.files[0] || new File([], "What was dropped"));
  });
  // a picture in the clipboard, pasted anywhere in this panel; where nothing has the focus, in the page's first panel
  const paste = (e) => {
    const nowhere = e.target === document.body;
    if (nowhere ? el !== document.querySelector(".memora-panel") : !el.contains(e.target)) return;
    if (e.clipboardData.files.length) { e.preventDefault(); give(e.clipboardData.files[0]); }
  };
  document.addEventListener("paste", paste);
  const watch = new MutationObserver(theme), system = matchMedia("(prefers-color-scheme: dark)");
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  system.addEventListener("change", theme);

  const parts = { words, shelf: begin, query, earlier: history, facets, settings: set, call: write, status: tell };
  for (const [name, draw] of Object.entries(parts)) { model.on(`change:${name}`, draw); draw(); }
  size(kept("size") in SIZES ? kept("size") : "M"); theme(); shown.draw();
  return () => {
    document.removeEventListener("paste", paste); system.removeEventListener("change", theme);
    watch.disconnect(); room.disconnect();
  };
} };
