// The query's picture with a box around the part to search by. Drag the corners, the sides or the box; arrow keys do the same.
const LEAST = 0.04;  // of a side: a smaller drag is a click
const HANDLES = [["upper left", [0, 1]], ["upper right", [2, 1]], ["lower left", [0, 3]], ["lower right", [2, 3]],
  ["left", [0]], ["right", [2]], ["upper", [1]], ["lower", [3]]];
const cropper = (crop) => {
  const image = h("img", { draggable: false }), cover = h("div", { className: "cover" });
  const area = h("div", { className: "memora-crop" }, image, h("div", { className: "clip" }, cover));
  const whole = [0, 0, 1, 1], cut = (x, low = 0, high = 1) => Math.min(high, Math.max(low, x));
  let box = whole, from = null, later = 0;
  const show = () => {
    const [left, top, right, bottom] = box.map((side) => 100 * side + "%");
    for (const [name, value] of Object.entries({ left, top, right, bottom })) area.style.setProperty(`--${name}`, value);
    area.classList.toggle("part", box.some((side, i) => side !== whole[i]));
  };
  const tell = () => crop(box.every((side, i) => Math.abs(side - whole[i]) < 0.005) ? null : box);
  const shifted = (start, sides, x, y) => {
    const moved = [...start], by = [x, y, x, y];
    if (sides.length === 4) {
      const dx = cut(x, -start[0], 1 - start[2]), dy = cut(y, -start[1], 1 - start[3]);
      return start.map((side, i) => side + [dx, dy][i % 2]);
    }
    for (const i of sides) {
      moved[i] = i < 2 ? cut(start[i] + by[i], 0, start[i + 2] - LEAST) : cut(start[i] + by[i], start[i - 2] + LEAST);
    }
    return moved;
  };
  const keys = (sides) => (e) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key] || [0, 0];
    if (!x && !y) return;
    e.preventDefault();
    const step = e.shiftKey ? 0.1 : 0.02;
    box = shifted(box, sides, x * step, y * step); show();
    clearTimeout(later); later = setTimeout(tell, 400);
  };
  const grip = (name, sides, label) => h("div", { className: `grip ${name}`, tabIndex: sides.length > 1 ? 0 : -1,
    role: "button", "aria-label": label, onkeydown: keys(sides), data: { sides: sides.join(""), id: label } });
  area.append(grip("box", [0, 1, 2, 3], "Part to search by: arrow keys move it"), ...HANDLES.map(([name, sides]) =>
    grip(name.replace(" ", "-"), sides, `${name} ${sides.length > 1 ? "corner" : "side"} of the part: arrow keys move it`)));
  const at = (e) => {
    const r = image.getBoundingClientRect();
    return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height];
  };
  area.onpointerdown = (e) => {
    const sides = [...(e.target.dataset.sides || "")].map(Number), part = area.classList.contains("part");
    // in the whole picture a drag draws a new box; so it does outside of a box
    from = { at: at(e), start: box, sides: sides.length === 4 && !part ? [] : sides };
    area.setPointerCapture(e.pointerId);
  };
  area.onpointermove = (e) => {
    if (!from) return;
    const here = at(e), [x, y] = [here[0] - from.at[0], here[1] - from.at[1]];
    if (from.sides.length) box = shifted(from.start, from.sides, x, y);
    else if (Math.abs(x) > LEAST && Math.abs(y) > LEAST) {
      box = [0, 1].map((i) => cut(Math.min(from.at[i], here[i]))).concat([0, 1].map((i) => cut(Math.max(from.at[i], here[i]))));
    }
    show();
  };
  area.onpointerup = () => { if (from && box !== from.start) tell(); from = null; };
  area.onpointercancel = () => { if (from) box = from.start; from = null; show(); };
  area.addEventListener("lostpointercapture", () => { from = null; });
  return { area, image, set: (given) => { box = given.length ? given : whole; show(); } };
};
