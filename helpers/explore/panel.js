// The panel: see PanelView in browser.py. Python holds the state; what a person does goes there as a message.
const KEYS = [["/", "type a word or an address"], ["Arrow keys", "go from picture to picture; move the part"],
  ["Enter", "search by the picture that has the focus"], ["w", "why this one?"], ["d", "its details"],
  ["b", "back to the query before"], ["Ctrl+V", "search by the picture in the clipboard"], ["?", "these keys"]];
const THEME = "memora-theme";

// Light or dark: as the person chose, else as JupyterLab is, else, on a page, as the system is.
const theme = () => {
  let chosen = null;
  try { chosen = localStorage.getItem(THEME); } catch { /* this browser keeps nothing for pages */ }
  const { voila, jpThemeLight: lab } = document.body.dataset;  // Voila's own theme is always the same
  const dark = lab && !voila ? lab === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.memoraTheme = chosen || (dark ? "dark" : "light");
};

export default { render({ model, el }) {
  const about = model.get("about"), label = (text) => text[0].toUpperCase() + text.slice(1).replaceAll("_", " ");
  const send = (told, buffers = []) => model.send(told, undefined, buffers);
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
  const line = h("input", { type: "search", autocomplete: "off", "aria-label": "Words, or the address of a picture" });
  const names = h("datalist", { id: "memora-" + Math.random().toString(36).slice(2) });
  line.setAttribute("list", names.id);
  const ask = h("form", { className: "memora-ask", role: "search", onsubmit: (e) => {
    e.preventDefault(); send({ do: "find", text: line.value });
  } }, icon("search"), line, names, h("button", { type: "submit", "aria-label": "Search" }, icon("search"), h("span", {}, "Search")),
  button("Upload a picture", () => input.click(), { className: "main", "aria-label": "Upload a picture" }, icon("picture"), h("span", {}, "Upload a picture")), input);
  const words = () => {
    names.replaceChildren(...model.get("words").map((value) => h("option", { value })));
    line.placeholder = names.children.length ? "Type a word, or paste an address" : "Paste the address of a picture";
  };

  const shelf = h("div", { className: "memora-starters" }), small = pictures();
  const strip = (items, act, name, kept) => {
    const list = h("ul", { "aria-label": name }, items.map((item) => h("li", { data: { key: item.key } },
      button("start", () => send({ ...act, key: item.key }), { title: item.caption, data: { what: "picture", key: item.key } },
        h("img", { src: kept.url(item.picture), alt: item.alt })))));
    arrows(list, "button")();
    return list;
  };
  const begin = () => {
    const { value, options, items } = model.get("shelf");
    small.anew();
    redraw(shelf, options.length > 1 && h("select", { "aria-label": "Begin with", data: { id: "shelf" },
      onchange: (e) => send({ do: "shelf", value: e.target.value }) }, options.map((one) => option(one, label(one), one === value))),
    strip(items, { do: "start" }, "pictures to begin with; arrow keys go from one to the next", small));
  };

  const status = h("div", { className: "memora-status" });
  const results = wall(model, send), shown = details(model, send, results.focus);
  const anew = (what) => () => { results.later(); send({ do: what }); };  // the button goes; the results get the focus
  const tell = () => {
    const { state, message, busy, again, clear } = model.get("status");
    el.dataset.state = state;
    results.settle(busy);
    redraw(status, h("p", { role: "status", "aria-live": "polite", "aria-busy": String(busy), data: { state } }, message),
      again && button("Try again", anew("again")), clear && button("Clear filters", anew("clear")));
  };

  // the query: its picture and its part
  const area = cropper((box) => send({ do: "crop", box }));
  const text = h("p", { className: "memora-text" }), said = h("p", { className: "memora-part" });
  const sides = ["Left", "Top", "Right", "Bottom"].map((name, i) => h("input", { type: "number", min: 0, data: { id: name },
    "aria-label": name, onchange: (e) => send({ do: "side", i, value: Number(e.target.value) }) }));
  const tools = h("div", { className: "row" }), earlier = h("div", { className: "memora-earlier" }), before = pictures();
  const exact = h("details", {}, h("summary", {}, "Exact numbers"), h("div", { className: "memora-sides" },
    sides.map((side) => h("label", {}, side.getAttribute("aria-label"), side))));
  const drop = h("div", { className: "memora-drop" }, area.area, text, said, h("div", { className: "memora-hint" }, icon("picture"),
    h("strong", {}, "Drop a picture here"), h("p", {}, "or paste one, upload one, type a word - or begin with a picture above"),
    h("small", {}, about.formats)));
  let drawn = "";
  const query = () => {
    const now = model.get("query"), picture = Boolean(now.picture?.byteLength);
    el.classList.toggle("empty", !now.name);
    area.area.hidden = exact.hidden = !picture;
    if (picture && drawn !== now.n) {
      URL.revokeObjectURL(area.image.src);
      area.image.src = URL.createObjectURL(new Blob([now.picture], { type: "image/jpeg" }));
      area.image.alt = now.alt;
    }
    drawn = now.n;
    area.set(now.box || []);
    sides.forEach((side, i) => {
      side.max = (now.size || [0, 0])[i % 2];
      if (side !== document.activeElement) side.value = (now.sides || [])[i] ?? 0;  // who types there has not finished
    });
    text.textContent = now.words || ""; text.hidden = !now.words;
    said.textContent = now.name ? now.said : "";
    const { length } = model.get("earlier");
    redraw(tools, length > 0 && button("Back", () => { if (length < 2) results.later(); send({ do: "back" }); }, {},
      icon("back"), "Back"),
    picture && now.box.length > 0 && button("Whole picture", () => send({ do: "crop", box: null }), {}, icon("whole"), "Whole picture"));
    if (line !== document.activeElement || now.words) line.value = now.words || "";
  };
  const history = () => {
    before.anew();
    const items = model.get("earlier");
    redraw(earlier, items.length > 0 && [h("h4", {}, "Earlier"), strip(items, { do: "back_to" }, "earlier queries, the last one first", before)]);
    query();
  };

  // filters
  const filters = h("details", { className: "memora-filters" }), active = h("div", { className: "memora-active" });
  let all = {};  // fields of which all values are shown
  const group = ({ field, values }) => {
    const chosen = new Set(values.filter((one) => one.on).map((one) => one.value));
    const few = all[field] || values.length <= 12 ? values : values.filter(({ found, on }, i) => found || on || i < 4);
    const chips = few.map(({ value, found, stored, on }) => button(`${field} ${value}`, () => {
      on ? chosen.delete(value) : chosen.add(value);
      send({ do: "allow", field, values: [...chosen] });
    }, { value, "aria-pressed": String(on), className: found || on ? "chip" : "chip none", "aria-label":
      `${value.replaceAll("_", " ")}: ${found} of these results, ${stored} in all` }, value.replaceAll("_", " "),
    h("small", {}, `${found} of ${stored}`)));
    const list = h("div", { className: "memora-chips", role: "group", "aria-label": label(field) }, h("h4", {}, label(field)), chips,
      few.length < values.length && button(`all ${field}`, () => { all[field] = true; facets(); }, { className: "chip more" },
        `all ${values.length}`));
    arrows(list, ".chip")();
    return list;
  };
  let moves = model.get("facets").moves, moved = {};  // ranges that Python has not drawn yet: an older answer must not undo them
  const range = ({ field, low, high, from: start, to: end, whole }) => {
    const [from, to] = moved[field] || [start, end];
    const out = h("output", {}, `${from} to ${to}`), step = whole ? 1 : (high - low) / 100;
    const thumbs = [["from", from], ["to", to]].map(([name, value]) => h("input", { type: "range", min: low, max: high, step,
      "aria-label": `${label(field)} ${name}`, data: { id: `${field} ${name}` }, oninput: () => { out.textContent = values().join(" to "); },
      onchange: () => {
        moved[field] = values();
        send({ do: "between", field, low: moved[field][0], high: moved[field][1], n: ++moves });
      } }));
    thumbs.forEach((thumb, i) => { thumb.value = [from, to][i]; });
    const values = () => thumbs.map((thumb) => Number(thumb.value)).sort((a, b) => a - b);
    return h("div", { className: "memora-range", role: "group", "aria-label": label(field) }, h("h4", {}, label(field), out),
      h("div", { className: "two" }, thumbs));
  };
  const facets = () => {
    const { groups, spans, on, moves: drawn } = model.get("facets"), open = filters.open;
    if (drawn >= moves) moved = {};
    filters.hidden = !groups.length && !spans.length;
    redraw(filters, h("summary", { data: { id: "filters" } }, "Filters", on.length > 0 && h("b", {}, on.length)), groups.map(group), spans.map(range));
    filters.open = open;
    redraw(active, on.map(({ field, value, name }) => button(`remove ${name}`, () => send({ do: "remove", field, value }),
      { className: "chip on", "aria-label": `Remove the filter ${name}` }, name, icon("close"))),
    on.length > 0 && button("Clear all", anew("clear"), { className: "plain" }));
  };

  // settings, what is compared, how large
  const settings = h("details", { className: "memora-settings" }, h("summary", {}, "Settings")), compare = h("div", { className: "row" });
  const slider = (name, field, given, told) => {
    const out = h("output", {}), thumb = h("input", { type: "range", ...given, data: { id: field }, oninput: () => {
      out.textContent = thumb.value; send({ do: "set", field, value: Number(thumb.value) });
    } });
    settings.append(h("label", { className: "memora-slider" }, h("span", {}, name), thumb, out), h("p", { className: "memora-help" }, told));
    return (value) => { if (thumb !== document.activeElement) { thumb.value = value; out.textContent = thumb.value; } };
  };
  const sliders = { limit: slider("Results", "limit", { min: 1, max: about.most_hits, step: 1 }, "How many pictures to show."),
    least_similarity: slider("Similarity", "least_similarity", { min: 0, max: 1, step: 0.05 }, "Leave out what is less similar; 0 shows all.") };
  const choices = h("div");
  settings.append(choices);
  const set = () => {
    const now = model.get("settings");
    for (const [name, draw] of Object.entries(sliders)) draw(now[name]);
    redraw(choices, [["Network", "extractor", now.networks], ["Metric", "metric", now.metrics]].map(([name, field, options]) =>
      options.length > 1 ? h("label", { className: "memora-slider" }, h("span", {}, name), h("select", { data: { id: field },
        onchange: (e) => send({ do: "set", field, value: e.target.value }) }, options.map((one) => option(one, one, one === now[field]))))
        : h("p", { className: "memora-slider" }, h("span", {}, name), h("b", {}, options[0]))));
    const others = Object.entries(now.comparisons);
    redraw(compare, others.length > 0 && h("label", {}, "Compare with", h("select", { data: { id: "compare" }, onchange: (e) =>
      send({ do: "set", field: "beside", value: e.target.value }) }, option("", "nothing", !now.beside),
    others.map(([key, name]) => option(key, name, key === now.beside)))));
  };
  const sizes = h("div", { className: "memora-sizes", role: "group", "aria-label": "Size of the pictures" });
  const size = () => redraw(sizes, Object.keys(SIZES).map((one) => button(one, () => {
    model.set("look", { size: one }); model.save_changes();
  }, { "aria-pressed": String(one === (model.get("look").size || "M")), "aria-label": `Size ${one}` }, one)));

  // the call
  const code = h("pre", { tabIndex: 0, role: "region", "aria-label": "the call" }), copied = h("span", { role: "status" });
  const call = h("details", { className: "memora-call", open: !about.page }, h("summary", {}, about.page ? "For the curious" : "The call"),
    code, button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(model.get("call")); copied.textContent = " Copied.";
      } catch {  // forbidden, or no clipboard: browsers give it to https and to this machine only
        getSelection().selectAllChildren(code); copied.textContent = " Selected: press Ctrl+C to copy.";
      }
    }), copied, h("p", { className: "memora-help" }, about.call.split("`").map((part, i) =>
    (i % 2 ? h("code", {}, part) : part))));
  const said_call = () => { code.textContent = model.get("call"); copied.textContent = ""; };

  // keys, theme, and the whole
  const help = h("dialog", { className: "memora-dialog", "aria-label": "Keys" }, h("h4", {}, "Keys"), h("dl", {}, KEYS.flatMap(([key, what]) =>
    [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])), button("Close the keys", () => help.close(), {}, "Close"));
  const turn = () => {
    const now = document.documentElement.dataset.memoraTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem(THEME, now); } catch { /* until the page is loaded again */ }
    document.documentElement.dataset.memoraTheme = now;
  };
  const left = h("div", { className: "memora-query" }, drop, tools, earlier, exact, filters, settings);
  const right = h("div", { className: "memora-results" }, h("div", { className: "memora-bar" }, active, compare, sizes), results.box, call);
  el.replaceChildren(h("header", { className: "memora-top" }, h("strong", {}, about.name), h("span", {}, about.count),
    button("theme", turn, { className: "round", "aria-label": "Light or dark", title: "Light or dark" }, icon("theme")),
    button("keys", () => help.showModal(), { className: "round", "aria-label": "Keys", title: "Keys (?)" }, "?")),
  ask, shelf, status, h("div", { className: "memora-columns" }, left, right), shown.dialog, help);
  const room = new ResizeObserver(() => {  // filters stand open where there is room beside the results
    const wide = el.clientWidth > 760;
    if (el.clientWidth && el.dataset.wide !== String(wide)) { el.dataset.wide = wide; filters.open = wide; }
  });
  room.observe(el);

  const typing = (e) => e.target.matches("input:not([type=range]), select, textarea");
  el.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e)) return;
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

  const parts = { words, shelf: begin, query, earlier: history, facets, settings: set, look: size, call: said_call };
  for (const [name, draw] of Object.entries(parts)) { model.on(`change:${name}`, draw); draw(); }
  model.on("change:status", tell);
  theme(); tell(); shown.draw();
  return () => {
    document.removeEventListener("paste", paste); watch.disconnect(); room.disconnect(); system.removeEventListener("change", theme);
  };
} };
