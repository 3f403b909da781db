// The results: pictures of equal height, what each is, and how similar; and the details of one, above everything else.
const SIZES = { S: 120, M: 180, L: 260 };
const scale = (similarity, marks) => {
  const place = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  return h("span", { className: "memora-scale", "aria-hidden": "true" },
    h("span", { className: "bar", style: `width: ${place(similarity)}` }),
    ...marks.map(([name, value]) => h("span", { className: "mark", style: `left: ${place(value)}` }, h("i", {}, name))));
};
const tile = (item, url, marks, send) => {
  const key = item.key, name = (what) => `${what}: ${item.alt}`, act = (what) => () => send({ do: what, key });
  const picture = button("picture", act("more"), { title: item.title, data: { what: "picture", key } },
    h("img", { src: url, alt: `${item.rank}. ${item.alt}, similarity ${item.value}${item.mark ? ", " + item.mark : ""}` +
      `${item.both ? ", in both" : ""}` }));
  const more = (what, shown, full) => button(what, act(what), { "aria-label": name(full), data: { what, key } }, shown);
  return h("li", { data: { key, mark: item.mark, both: item.both || "" }, style: `--a: ${item.aspect}` }, picture,
    h("span", { className: "pill", "aria-hidden": "true" }, item.value),
    item.sign && h("span", { className: `sign ${item.mark}`, "aria-hidden": "true" }, item.sign),
    item.both && h("span", { className: "both", "aria-hidden": "true" }, "in both"),
    h("div", { className: "over" }, h("p", {}, `${item.rank}. ${item.caption}`), scale(item.similarity, marks),
      h("div", { className: "acts" }, more("more", "More like this", "More like this"), more("why", "Why?", "Why this one?"),
        more("details", "Details", "Details of"))));
};
const wall = (model, send) => {
  const box = h("div", { className: "memora-columns-of-hits" }), kept = pictures();
  let wanted = false;
  const focus = (key) => (box.querySelector(`[data-what="picture"][data-key="${key}"]`) || box.querySelector("button"))?.focus();
  const draw = () => {
    const { columns, marks } = model.get("wall");
    kept.anew();
    const starts = [];
    redraw(box, columns.map((column, n) => {
      const list = h("ul", { className: "memora-wall", "aria-label": column.title || "the pictures most like it" },
        column.items.map((item) => tile(item, kept.url(item.picture), marks, send)),
        // they fill the last row, whose pictures would else be larger or smaller than the others
        Array.from({ length: 9 }, () => h("li", { className: "filler", "aria-hidden": "true",
          style: `--a: ${column.items[0]?.aspect || 1}` })));
      starts.push(arrows(list, '[data-what="picture"]'));
      return h("section", { className: n ? "memora-beside" : "memora-hits" },
        column.title && h("h4", {}, column.title, h("small", {}, column.note)), list);
    }));
    starts.forEach((start) => start());
    const held = document.activeElement;
    if (box.contains(held)) held.dispatchEvent(new FocusEvent("focusin", { bubbles: true }));
  };
  const size = () => box.style.setProperty("--row", `${SIZES[model.get("look").size || "M"]}px`);
  box.addEventListener("keydown", (e) => {
    const what = { w: "why", d: "details" }[e.key];
    if (what && e.target.dataset.what === "picture" && !e.ctrlKey && !e.metaKey) send({ do: what, key: e.target.dataset.key });
  });
  model.on("change:wall", draw); model.on("change:look", size);
  draw(); size();
  const settle = (busy) => {  // the old hits are grey until the new ones are there
    box.classList.toggle("memora-outdated", busy);
    if (!busy && wanted) { wanted = false; setTimeout(focus); }
  };
  return { box, settle, focus, later: () => { wanted = true; } };
};
const details = (model, send, back) => {
  const dialog = h("dialog", { className: "memora-dialog", "aria-label": "Details" }), kept = pictures();
  let key = "";
  const figure = (one) => h("figure", {}, one.picture && h("img", { src: kept.url(one.picture), alt: one.words }),
    h("figcaption", {}, one.words));
  const draw = () => {
    const told = model.get("detail");
    if (!told.key) return dialog.close();
    key = told.key;
    const act = (what) => () => send({ do: what, key: told.key });
    kept.anew();
    redraw(dialog, h("header", {}, h("h4", {}, told.title), button("Close", () => dialog.close(), {
      className: "round", "aria-label": "Close" }, icon("close"))),
      h("div", { className: "memora-pair" }, told.pair.map(figure)),
      h("p", { role: "status", className: told.agreed ? "memora-why" : "" }, told.why),
      h("div", { className: "row" }, told.can_why && !told.agreed && button("Why this one?", act("why"), { className: "main" }),
        button("More like this", act("more"))),
      h("table", { className: "memora-table" }, Object.entries(told.rows).map(([name, value]) =>
        h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, String(value))))));
    if (!dialog.open) {
      dialog.showModal();
      (dialog.querySelector(".main") || dialog.querySelector(".row button")).focus();
    }
  };
  dialog.onclose = () => {
    back(key);
    if (model.get("detail").key) send({ do: "close" });
  };
  dialog.onclick = (e) => { if (e.target === dialog) dialog.close(); };  // outside of it
  model.on("change:detail", draw);
  return { dialog, draw };
};
