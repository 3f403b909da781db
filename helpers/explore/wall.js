// The results: pictures of equal height, what each is, and how similar; and the details of one, above everything else.
const scale = (similarity, marks) => {
  const place = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  return h("span", { className: "memora-scale", "aria-hidden": "true" },
    h("span", { className: "bar", style: `width: ${place(similarity)}` }),
    marks.map(([name, value]) => h("span", { className: "mark", style: `left: ${place(value)}` }, h("i", {}, name))));
};
const tile = (item, column, marks, send) => {
  const { key, mark, both } = item, alt = `${item.rank}. ${item.alt}, similarity ${item.value}`;
  const act = (what, name, inside, props = {}) => button(what, () => send({ do: what, key, column }), {
    "aria-label": name && `${name}: ${item.alt}`, ...props, data: { what, key, column, ...props.data } }, inside);
  return h("li", { data: { key, mark, both }, style: `--a: ${item.aspect}` },
    act("more", undefined, picture(item.picture, [alt, mark, both && "in both"].filter(Boolean).join(", ")),
      { title: item.title, data: { id: "picture", what: "picture" } }),
    h("span", { className: "pill", "aria-hidden": "true" }, item.value),
    mark && h("span", { className: `sign ${mark}`, "aria-hidden": "true" }, item.sign),
    both && h("span", { className: "both", "aria-hidden": "true" }, "in both"),
    h("div", { className: "over" }, h("p", {}, `${item.rank}. ${item.caption}`), scale(item.similarity, marks),
      h("div", { className: "acts" }, act("more", "More like this", "More like this"),
        act("why", "Why this one?", "Why?"), act("details", "Details of", "Details"))));
};
const wall = (model, send) => {
  const box = h("div", { className: "memora-columns-of-hits" });
  let wanted = false;
  const focus = (key, column) => (box.querySelector(`[data-key="${key}"][data-column="${column}"]`) ||
    box.querySelector("button"))?.focus();
  const draw = () => {
    const { columns, marks } = model.get("wall");
    redraw(box, columns.map(({ title, note, problem, items }, column) => {
      // fillers end the last row, whose pictures would else be larger or smaller than the others
      const style = `--a: ${items[0]?.aspect || 1}`;
      const filler = () => h("li", { className: "filler", "aria-hidden": "true", style });
      const list = h("ul", { className: "memora-wall", "aria-label": title || "the pictures most like it" },
        items.map((item) => tile(item, column, marks, send)), Array.from({ length: 9 }, filler));
      return h("section", { className: column ? "memora-beside" : "memora-hits" },
        title && h("h3", {}, title, h("small", {}, note)),
        column > 0 && problem && h("p", { className: "problem", role: "status" }, problem),
        arrows(list, '[data-what="picture"]'));
    }));
  };
  box.addEventListener("keydown", (e) => {
    const act = { w: "why", d: "details" }[e.key], { what, key, column } = e.target.dataset;
    if (act && what === "picture" && !e.ctrlKey && !e.metaKey) send({ do: act, key, column: Number(column) });
  });
  model.on("change:wall", draw);
  draw();
  const settle = (busy) => {  // the old hits are grey until the new ones are there
    box.classList.toggle("memora-outdated", busy);
    if (!busy && wanted) { wanted = false; setTimeout(focus); }
  };
  return { box, settle, focus, later: () => { wanted = true; } };
};
const details = (model, send, back) => {
  let key = "", column = 0;
  const dialog = h("dialog", { className: "memora-dialog", "aria-label": "Details", onclose: () => {
    back(key, column);
    if (model.get("detail").key) send({ do: "close" });
  }, onclick: (e) => { if (e.target === dialog) dialog.close(); } });  // outside of it
  const draw = () => {
    const told = model.get("detail");
    if (!told.key) return dialog.close();
    ({ key, column } = told);
    const act = (what) => () => send({ do: what, key, column });
    redraw(dialog, h("header", {}, h("h3", {}, told.title),
      button("Close", () => dialog.close(), { className: "round", "aria-label": "Close" }, icon("close"))),
    h("div", { className: "memora-pair" }, told.pair.map((one) => h("figure", {},
      one.picture.byteLength > 0 && picture(one.picture, one.words), h("figcaption", {}, one.words)))),
    h("p", { role: "status", className: told.agreed ? "memora-why" : "" }, told.why),
    h("div", { className: "row" },
      told.can_why && !told.agreed && button("Why this one?", act("why"), { className: "main" }),
      button("More like this", act("more"))),
    h("table", { className: "memora-table" }, Object.entries(told.rows).map(([name, value]) =>
      h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", {}, String(value))))));
    if (!dialog.open) {
      dialog.showModal();
      dialog.querySelector(".row button").focus();
    }
  };
  model.on("change:detail", draw);
  return { dialog, draw };
};
