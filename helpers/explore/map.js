// A map of pictures to zoom, drag and click: see MapView in browser.py.
const SVG = "http://www.w3.org/2000/svg";
const make = (name, attributes) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-map"><div class="buttons"><button data-zoom="1.5" aria-label="Zoom in">+</button>
    <button data-zoom="0.667" aria-label="Zoom out">−</button>
    <button class="memora-wide" data-zoom="0">Whole map</button></div>
    <p class="memora-caption" role="status"></p></div>`;
  const pane = el.firstChild, said = el.querySelector("p"), SIZE = 1000, THUMB = 44;
  const svg = make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, tabindex: 0, role: "application",
    "aria-label": "Map of the collection: arrow keys go from picture to picture, Enter searches by one" });
  const world = make("g", {});
  let items = [], nodes = [], urls = [];
  const build = () => {
    urls.forEach(URL.revokeObjectURL);
    urls = model.get("pictures").map((view) => URL.createObjectURL(new Blob([view], { type: "image/jpeg" })));
    items = model.get("items");
    nodes = items.map((item, i) => {
      const node = make("g", { "data-key": item.key });
      node.at = [item.x * SIZE, item.y * SIZE];
      node.append(make("rect", { x: -THUMB / 2 - 4, y: -THUMB / 2 - 4, width: THUMB + 8, height: THUMB + 8, rx: 4 }),
        make("image", { x: -THUMB / 2, y: -THUMB / 2, width: THUMB, height: THUMB, href: urls[i] }));
      const title = make("title", {});
      title.textContent = item.alt;
      node.append(title);
      return node;
    });
    world.replaceChildren(...nodes, here);
    said.textContent = nodes.length ? "Click a picture to search by it; then drag, and zoom with the wheel." : "";
    color();
    draw();
  };
  const here = make("g", { class: "here", visibility: "hidden" });
  here.append(make("circle", { r: 34 }), make("circle", { r: 5 }));
  svg.append(world);
  pane.insertBefore(svg, said);

  let zoom = 1, middle = [SIZE / 2, SIZE / 2], chosen = 0;
  const draw = () => {
    const half = SIZE / 2;
    world.setAttribute("transform", `translate(${half - middle[0] * zoom} ${half - middle[1] * zoom}) scale(${zoom})`);
    // pictures grow more slowly than the distances between them: zooming in takes a heap apart
    const scale = zoom ** -0.65;
    for (const node of nodes) node.setAttribute("transform", `translate(${node.at[0]} ${node.at[1]}) scale(${scale})`);
    const query = model.get("query");
    here.setAttribute("visibility", query.length ? "visible" : "hidden");
    const [x, y] = query.map((side) => side * SIZE);
    if (query.length) here.setAttribute("transform", `translate(${x} ${y}) scale(${1 / zoom})`);
  };
  const color = () => model.get("colors").forEach((one, i) => nodes[i]?.firstChild.setAttribute("fill", one));
  const search = (i) => {
    if (!items[i]) return;
    model.set("chosen", { key: items[i].key, n: (model.get("chosen").n || 0) + 1 }); model.save_changes();
    said.textContent = `Searching by: ${items[i].alt}. The results are in the panel.`;
  };
  const point = (i) => {
    nodes[chosen]?.classList.remove("chosen");
    chosen = i;
    nodes[i].classList.add("chosen");
    world.insertBefore(nodes[i], here);
    said.textContent = items[i].alt;
  };
  const at = (e) => {
    const r = svg.getBoundingClientRect();
    return [((e.clientX - r.left) / r.width - 0.5) * SIZE, ((e.clientY - r.top) / r.height - 0.5) * SIZE];
  };
  const zoomBy = (factor, [x, y] = [0, 0]) => {
    const next = factor ? Math.min(30, Math.max(1, zoom * factor)) : 1;
    middle = factor ? [0, 1].map((k) => middle[k] + [x, y][k] / zoom - [x, y][k] / next) : [SIZE / 2, SIZE / 2];
    zoom = next;
    draw();
  };
  svg.addEventListener("wheel", (e) => {
    if (document.activeElement !== svg) return;  // somebody scrolls past
    e.preventDefault();
    zoomBy(e.deltaY < 0 ? 1.2 : 1 / 1.2, at(e));
  }, { passive: false });
  svg.onfocus = () => { if (nodes.length) point(chosen); };
  let from = null, moved = 0;
  svg.onpointerdown = (e) => { from = at(e); moved = 0; };
  svg.onpointermove = (e) => {
    if (!from) return;
    const to = at(e), by = [to[0] - from[0], to[1] - from[1]];
    moved += Math.hypot(...by);
    middle = [middle[0] - by[0] / zoom, middle[1] - by[1] / zoom];
    from = to;
    draw();
  };
  svg.onpointerup = svg.onpointerleave = () => { from = null; };
  svg.onclick = (e) => {
    const node = e.target.closest("g[data-key]");
    if (node && moved < 8 && e.detail < 2) { point(nodes.indexOf(node)); search(nodes.indexOf(node)); }
  };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  svg.onkeydown = (e) => {
    if (e.key === "Enter") return search(chosen);
    if (e.key === "+" || e.key === "-") return zoomBy(e.key === "+" ? 1.5 : 1 / 1.5);
    const way = arrows[e.key];
    if (!way || !nodes.length) return;
    e.preventDefault();
    let best = -1, least = Infinity;  // the nearest picture that lies more in this direction than to the side
    nodes.forEach((node, i) => {
      const by = [node.at[0] - nodes[chosen].at[0], node.at[1] - nodes[chosen].at[1]];
      const ahead = by[0] * way[0] + by[1] * way[1], aside = Math.abs(by[0] * way[1]) + Math.abs(by[1] * way[0]);
      if (ahead > 0 && ahead >= aside && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = i; }
    });
    if (best >= 0) { point(best); if (zoom > 1) { middle = [...nodes[best].at]; draw(); } }
  };
  pane.querySelectorAll("[data-zoom]").forEach((b) => { b.onclick = () => zoomBy(Number(b.dataset.zoom)); });
  model.on("change:query", draw);
  model.on("change:colors", color);
  model.on("change:items", build);
  build();
  model.set("shown", true); model.save_changes();
  return () => urls.forEach(URL.revokeObjectURL);
} };
