// A map of pictures to zoom, drag, click and group: see MapView in browser.py.
const SVG = "http://www.w3.org/2000/svg", SIDE = 36, ROOM = 0.76, CLOSEST = 30, GROW = 5;
const make = (name, attributes, ...inside) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
};
// Pictures grow more slowly than the distances between them: zooming in takes a heap apart.
const scaleAt = (zoom) => zoom ** -0.65;

// The places in cells of one width: what lies nearer to a place than that width is in its own cell or in one of eight.
const cells = (width) => {
  const all = new Map(), cell = (v) => Math.floor(v / width), steps = [-1, 0, 1];
  return {
    put: (place, i) => { const key = cell(place[0]) + " " + cell(place[1]); all.set(key, [...(all.get(key) || []), [place, i]]); },
    near: ([x, y]) => steps.flatMap((a) => steps.flatMap((b) => all.get(`${cell(x) + a} ${cell(y) + b}`) || [])),
  };
};

// Push places that lie too near each other apart, a little at a time: heaps become groups in which one can look around.
const spread = (places, [width, height]) => {
  const least = Math.sqrt((0.34 * width * height) / places.length), edge = SIDE / 2 + 2;
  const inWindow = ([x, y]) => [Math.min(width - edge, Math.max(edge, x)), Math.min(height - edge, Math.max(edge, y))];
  let now = places.map(inWindow);
  for (let round = 0; round < 60; round++) {
    const grid = cells(least);
    now.forEach(grid.put);
    now = now.map((place, i) => inWindow(grid.near(place).reduce(([x, y], [[a, b], k]) => {
      const by = [place[0] - a, place[1] - b], far = Math.hypot(...by);
      if (k === i || far >= least) return [x, y];
      const push = (0.35 * (least - far)) / (far || 1);  // two in the same place part to different sides
      return far ? [x + by[0] * push, y + by[1] * push] : [x + (i < k ? push : -push), y + (i % 2 ? push : -push)];
    }, place)));
  }
  return now;
};

// From which zoom on each place has room for its picture: its middle is covered by none that is shown before.
const levels = (places) => {
  const from = places.map(() => Infinity), order = places.map((_, i) => (i * 7919) % places.length);
  const left = new Set(places.length % 7919 ? order : places.keys());
  for (let zoom = 1; zoom <= CLOSEST && left.size; zoom *= 1.2) {
    const gap = ROOM * SIDE * scaleAt(zoom), grid = cells(gap);
    places.forEach((place, i) => { if (from[i] < Infinity) grid.put(place, i); });
    for (const i of left) {
      const [x, y] = places[i];
      if (grid.near(places[i]).some(([[a, b]]) => Math.max(Math.abs(a - x), Math.abs(b - y)) < gap)) continue;
      from[i] = zoom;
      left.delete(i);
      grid.put(places[i], i);
    }
  }
  return from;
};
const inside = (outline, [x, y]) => outline.reduce((is, [a, b], k) => {  // a line to the right crosses an odd number of sides
  const [c, d] = outline[(k || outline.length) - 1];
  return (b > y) !== (d > y) && x < ((c - a) * (y - b)) / (d - b) + a ? !is : is;
}, false);

export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-map"><div class="buttons"><button data-zoom="1.5" aria-label="Zoom in">+</button>
    <button data-zoom="0.667" aria-label="Zoom out">−</button><button data-zoom="0">Whole map</button>
    <button class="lasso" aria-pressed="false">Lasso</button><button class="grow">Grow a group</button>
    <button class="none" hidden>Clear the group</button></div>
    <p class="memora-facts" role="status"></p><p class="memora-said" role="status"></p>
    <p class="memora-help">Near each other means alike to the network; how far one group lies from another means little, and on
    another machine the groups may lie elsewhere. Dots are pictures without room: zoom in. Keys: arrows go from picture to
    picture, Enter searches, + and − zoom, G grows a group, Escape clears it.</p></div>`;
  const pane = el.firstChild, query = (what) => pane.querySelector(what);
  const said = query(".memora-said"), lassoing = query(".lasso"), none = query(".none");
  const svg = make("svg", { tabindex: 0, role: "application",
    "aria-label": "Map of the collection: arrow keys go from picture to picture, Enter searches by one, G grows a group" });
  const here = make("g", { class: "here", visibility: "hidden" }, make("circle", { r: 30 }), make("circle", { r: 5 }));
  const world = make("g", {}), line = make("polygon", { class: "outline" });
  svg.append(world, line);
  pane.insertBefore(svg, query(".memora-facts"));
  let items = [], nodes = [], urls = [], size = [0, 0], zoom = 1, middle = [0, 0], chosen = 0, group = new Set(), told = [];

  const build = () => {
    urls.forEach(URL.revokeObjectURL);
    urls = model.get("pictures").map((view) => URL.createObjectURL(new Blob([view], { type: "image/jpeg" })));
    items = model.get("items");
    nodes = items.map((item) => {
      const title = make("title", {});
      title.textContent = item.alt;
      return make("g", { "data-key": item.key, class: "dot" }, make("circle", { r: 4.5 }), title);
    });
    said.textContent = nodes.length ? "Click a picture to search by it; then drag, and zoom with the wheel." : "";
    group = new Set();
    chosen = 0;
    place();
    color();
  };
  const place = () => {  // where the pictures lie in this window
    size = [svg.clientWidth, svg.clientHeight];
    if (!size[0]) return;
    middle = size.map((side) => side / 2);
    zoom = 1;
    told = items.map((item) => [item.x * size[0], item.y * size[1]]);
    const seen = spread(told, size), from = levels(seen);
    nodes.forEach((node, i) => { node.at = seen[i]; });
    nodes.forEach((node, i) => { node.from = from[i]; });
    world.replaceChildren(...[...nodes].sort((a, b) => (b.from > a.from) - (b.from < a.from)), here);  // what is seen first lies on top
    draw();
  };
  const show = (node, i) => {
    const seen = node.from <= zoom || node.classList.contains("chosen");
    node.classList.toggle("dot", !seen);
    if (!seen || node.picture) return;
    const half = SIDE / 2;
    node.picture = make("image", { x: 2 - half, y: 2 - half, width: SIDE - 4, height: SIDE - 4, href: urls[i] });
    node.append(make("rect", { x: -half, y: -half, width: SIDE, height: SIDE, rx: 4, fill: model.get("colors")[i] || "" }),
      node.picture);
  };
  const draw = () => {
    const [x, y] = [0, 1].map((k) => size[k] / 2 - middle[k] * zoom), scale = scaleAt(zoom);
    world.setAttribute("transform", `translate(${x} ${y}) scale(${zoom})`);
    nodes.forEach((node, i) => {
      node.setAttribute("transform", `translate(${node.at[0]} ${node.at[1]}) scale(${scale})`);
      show(node, i);
    });
    mark();
    svg.style.touchAction = zoom > 1 || lasso() ? "none" : "pan-y";  // a finger may scroll past the whole map
  };
  const mark = () => {  // the query goes along with the picture that lies nearest to it
    const at = model.get("query").map((v, k) => v * size[k]), far = told.map(([a, b]) => Math.hypot(a - at[0], b - at[1]));
    here.setAttribute("visibility", at.length ? "visible" : "hidden");
    if (!at.length || !told.length) return;
    const next = far.indexOf(Math.min(...far)), moved = [0, 1].map((k) => at[k] + nodes[next].at[k] - told[next][k]);
    here.setAttribute("transform", `translate(${moved}) scale(${1 / zoom})`);
  };
  const color = () => nodes.forEach((node, i) => node.querySelectorAll("circle, rect").forEach((part) =>
    part.setAttribute("fill", model.get("colors")[i] || "")));
  const search = (i) => {
    if (!items[i]) return;
    model.set("chosen", { key: items[i].key, n: (model.get("chosen").n || 0) + 1 }); model.save_changes();
    said.textContent = `Searching by: ${items[i].alt}. The results are in the panel.`;
    const results = document.querySelector(".memora-panel .memora-status") || document.querySelector(".memora-panel");
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    results?.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  };
  const point = (i) => {
    const before = nodes[chosen];
    chosen = i;
    before?.classList.remove("chosen");
    nodes[i].classList.add("chosen");
    if (before) show(before, nodes.indexOf(before));
    show(nodes[i], i);
    world.insertBefore(nodes[i], here);
    said.textContent = items[i].alt;
  };
  const take = (found) => {
    group = new Set(found);
    nodes.forEach((node, i) => node.classList.toggle("in", group.has(i)));
    svg.classList.toggle("grouped", group.size > 0);
    none.hidden = !group.size;
    model.set("group", { keys: [...group].map((i) => items[i].key), n: (model.get("group").n || 0) + 1 }); model.save_changes();
  };
  const grow = () => {
    if (!nodes.length) return;
    const [x, y] = nodes[chosen].at, far = (i) => Math.hypot(nodes[i].at[0] - x, nodes[i].at[1] - y);
    const wanted = (group.has(chosen) ? group.size : 1) + GROW;
    take([...nodes.keys()].sort((a, b) => far(a) - far(b)).slice(0, wanted));
  };
  const at = (e) => { const r = svg.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  const inWorld = (seen) => seen.map((v, k) => (v - size[k] / 2) / zoom + middle[k]);
  const lasso = () => lassoing.getAttribute("aria-pressed") === "true";
  const zoomBy = (factor, seen = size.map((side) => side / 2)) => {
    const fixed = inWorld(seen);
    zoom = factor ? Math.min(CLOSEST, Math.max(1, zoom * factor)) : 1;
    middle = size.map((side, k) => (factor ? fixed[k] - (seen[k] - side / 2) / zoom : side / 2));
    draw();
  };
  svg.addEventListener("wheel", (e) => {
    if (document.activeElement !== svg) return;  // somebody scrolls past
    e.preventDefault();
    zoomBy(e.deltaY < 0 ? 1.2 : 1 / 1.2, at(e));
  }, { passive: false });
  svg.onfocus = () => { if (nodes.length) point(chosen); };
  let from = null, moved = 0, outline = [];
  svg.onpointerdown = (e) => { from = at(e); moved = 0; outline = [from]; if (lasso()) svg.setPointerCapture(e.pointerId); };
  svg.onpointermove = (e) => {
    if (!from) return;
    const to = at(e), by = [to[0] - from[0], to[1] - from[1]];
    moved += Math.hypot(...by);
    if (lasso()) {
      outline.push(to);
      line.setAttribute("points", outline.join(" "));
    } else {
      middle = [middle[0] - by[0] / zoom, middle[1] - by[1] / zoom];
      draw();
    }
    from = to;
  };
  svg.onpointerup = svg.onpointercancel = svg.onpointerleave = (e) => {
    if (from && lasso() && e.type === "pointerup" && moved > 20) {
      const wanted = outline.map(inWorld);
      take([...nodes.keys()].filter((i) => inside(wanted, nodes[i].at)));
    }
    from = null;
    line.setAttribute("points", "");
  };
  svg.onclick = (e) => {
    const node = e.target.closest("g[data-key]");
    if (node && moved < 8 && e.detail < 2) { point(nodes.indexOf(node)); search(nodes.indexOf(node)); }
  };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = { Enter: () => search(chosen), "+": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), g: grow, Escape: () => take([]) };
  svg.onkeydown = (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (keys[e.key]) return keys[e.key]();
    const way = arrows[e.key];
    if (!way || !nodes.length) return;
    e.preventDefault();
    let best = -1, least = Infinity;  // the nearest picture that lies more in this direction than to the side
    nodes.forEach((node, i) => {
      const by = [node.at[0] - nodes[chosen].at[0], node.at[1] - nodes[chosen].at[1]];
      const ahead = by[0] * way[0] + by[1] * way[1], aside = Math.abs(by[0] * way[1]) + Math.abs(by[1] * way[0]);
      if (ahead > 0 && ahead >= aside && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = i; }
    });
    if (best < 0) return;
    point(best);
    if (zoom > 1) { middle = [...nodes[best].at]; draw(); }
    svg.scrollIntoView({ block: "nearest" });
  };
  pane.querySelectorAll("[data-zoom]").forEach((b) => { b.onclick = () => zoomBy(Number(b.dataset.zoom)); });
  lassoing.onclick = () => {
    lassoing.setAttribute("aria-pressed", String(!lasso()));
    svg.classList.toggle("lassoing", lasso());
    said.textContent = lasso() ? "Draw a line around some pictures." : "";
    draw();
  };
  query(".grow").onclick = grow;
  none.onclick = () => { take([]); lassoing.focus(); };
  const tell = () => { query(".memora-facts").textContent = model.get("facts"); };
  model.on("change:query", mark);
  model.on("change:colors", color);
  model.on("change:items", build);
  model.on("change:facts", tell);
  const watch = new ResizeObserver(() => { if (svg.clientWidth !== size[0] || svg.clientHeight !== size[1]) place(); });
  watch.observe(svg);
  build();
  tell();
  model.set("shown", true); model.save_changes();
  return () => { watch.disconnect(); urls.forEach(URL.revokeObjectURL); };
} };
