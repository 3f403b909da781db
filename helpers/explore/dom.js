// What the parts of the panel share: elements, pictures, and focus that survives a redraw.
const h = (tag, props = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && name !== "list") element[name] = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
};
const ICONS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm5 11.5L20 20",
  picture: "M4 6h16v12H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  theme: "M12 3a9 9 0 1 0 0 18V3Z M12 3a9 9 0 0 1 0 18",
  close: "M6 6l12 12M18 6L6 18", back: "M10 6l-6 6 6 6M4 12h16", whole: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};
const icon = (name) => {
  const box = h("span", { className: "memora-icon", "aria-hidden": "true" });
  box.innerHTML = `<svg viewBox="0 0 24 24"><path d="${ICONS[name]}"/></svg>`;
  return box;
};
// the second click of a double click is left out: it would hit whatever is under the pointer by then
const button = (name, onclick, props = {}, ...inside) => h("button", {
  type: "button", onclick: (event) => { if (event.detail < 2) onclick(event); },
  ...props, data: { id: name, ...props.data } }, ...(inside.length ? inside : [name]));
const select = (id, options, chosen, choose, props = {}) => h("select", {
  ...props, data: { id }, onchange: (e) => choose(e.target.value) },
options.map(([value, name]) => h("option", { value, selected: value === chosen }, name)));
const freed = new FinalizationRegistry((src) => URL.revokeObjectURL(src));
const picture = (bytes, alt) => {
  const src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })), image = h("img", { src, alt });
  freed.register(image, src);
  return image;
};
// The element that had the focus is gone; its successor, or else the first of them, gets it.
const redraw = (box, ...children) => {
  const held = box.contains(document.activeElement) && document.activeElement.dataset;
  box.replaceChildren(...children.flat().filter(Boolean));
  if (!held) return;
  const all = [...box.querySelectorAll("button, input, select, summary")].filter((e) => e.dataset.id === held.id);
  const same = (e) => e.dataset.key === held.key && e.dataset.column === held.column;
  (all.find(same) || all[0] || box.querySelector("button, input, select"))?.focus();
};
// Arrow keys go from one to the next, also to the row above and below; Tab stops once, at the one that had it last.
const arrows = (list, which) => {
  const items = [...list.querySelectorAll(which)];
  const stop = (at) => items.forEach((item) => { item.tabIndex = item === at ? 0 : -1; });
  list.addEventListener("keydown", (e) => {
    const at = items.indexOf(e.target), here = e.target.getBoundingClientRect();
    const side = { ArrowLeft: -1, ArrowRight: 1 }[e.key], row = { ArrowUp: -1, ArrowDown: 1 }[e.key];
    if (at < 0 || !(side || row)) return;
    e.preventDefault();
    if (side) return items[at + side]?.focus();
    const across = (r) => Math.abs(r.left + r.width / 2 - here.left - here.width / 2);
    const others = items.map((item) => [item, item.getBoundingClientRect()])
      .filter(([, r]) => row * (r.top - here.top) > 8);
    const nearest = Math.min(...others.map(([, r]) => Math.abs(r.top - here.top)));
    others.filter(([, r]) => Math.abs(r.top - here.top) < nearest + 8)
      .sort(([, a], [, b]) => across(a) - across(b))[0]?.[0].focus();
  });
  list.addEventListener("focusin", (e) => { if (items.includes(e.target)) stop(e.target); });
  stop(items[0]);
  return list;
};
