// The query's picture with a box around the part to search by. Drag corners, sides or box; arrow keys do the same.
const LEAST = 0.04;  // of a side: a smaller drag is a click
const HANDLES = [["upper left", [0, 1]], ["upper right", [2, 1]], ["lower left", [0, 3]], ["lower right", [2, 3]],
  ["left", [0]], ["right", [2]], ["upper", [1]], ["lower", [3]]];
const cropper = (crop) => {
  const clip = h("div", { className: "clip" }, h("div", { className: "cover" }));
  const area = h("div", { className: "memora-crop" }, clip);
  const whole = [0, 0, 1, 1], cut = (x, low = 0, high = 1) => Math.min(high, Math.max(low, x));
  let box = whole, from = null, later = 0;
  const show = () => {
    ["left", "top", "right", "bottom"].forEach((name, i) => area.style.setProperty(`--${name}`, `${100 * box[i]}%`));
    area.classList.toggle("part", box.some((side, i) => side !== whole[i]));
  };
  const tell = () => crop(box.every((side, i) => Math.abs(side - whole[i]) < 0.005) ? null : box);
  const shifted = (start, sides, x, y) => {
    const all = sides.length === 4;  // the box keeps its size
    return start.map((side, i) => {
      const by = [x, y][i % 2], low = start[i % 2], high = start[i % 2 + 2];
      if (!sides.includes(i)) return side;
      if (all) return side + cut(by, -low, 1 - high);
      return i < 2 ? cut(side + by, 0, high - LEAST) : cut(side + by, low + LEAST);
    });
  };
  const grip = (name, sides, label) => h("div", { className: `grip ${name}`, tabIndex: sides.length > 1 ? 0 : -1,
    role: "button", "aria-label": `${label}: arrow keys move it`, data: { sides: sides.join("") }, onkeydown: (e) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (!way) return;
      e.preventDefault();
      const [x, y] = way.map((one) => one * (e.shiftKey ? 0.1 : 0.02));
      box = shifted(box, sides, x, y); show();
      clearTimeout(later); later = setTimeout(tell, 400);
    } });
  area.append(grip("box", [0, 1, 2, 3], "Part to search by"), ...HANDLES.map(([name, sides]) =>
    grip(name.replace(" ", "-"), sides, `${name} ${sides.length > 1 ? "corner" : "side"} of the part`)));
  const at = (e) => {
    const r = area.getBoundingClientRect();
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
    const here = at(e), way = here.map((x, i) => x - from.at[i]), ends = [from.at, here];
    if (from.sides.length) box = shifted(from.start, from.sides, ...way);
    else if (way.every((x) => Math.abs(x) > LEAST)) {
      box = [Math.min, Math.max].flatMap((end) => [0, 1].map((i) => cut(end(...ends.map((one) => one[i])))));
    }
    show();
  };
  area.onpointerup = () => { if (from && box !== from.start) tell(); from = null; };
  area.onpointercancel = area.onlostpointercapture = () => { if (from) box = from.start; from = null; show(); };
  const fill = (image) => {
    image.draggable = false;
    area.querySelector("img")?.remove();
    area.prepend(image);
  };
  return { area, fill, set: (given) => { box = given.length ? given : whole; show(); } };
};
