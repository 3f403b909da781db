// A picture to drag a box on, and the place to choose a file or to drop one: see Cropper in browser.py.
const url = (view) => URL.createObjectURL(new Blob([view], { type: "image/jpeg" }));

// What the person has is remembered by the browser's tab: a page that is loaded anew can then say what was lost. It is asked
// once for each time the page is loaded; where a kernel has gone on meanwhile (JupyterLab), nothing is lost.
const KEY = "memora:" + location.pathname;
const remember = (model) => {
  try {
    if (!window.memoraAsked) {
      const before = sessionStorage.getItem(KEY), how = performance.getEntriesByType("navigation")[0]?.type;
      if (how === "reload" && before && !model.get("kept")) { model.set("lost", before); model.save_changes(); }
      sessionStorage.removeItem(KEY);
      window.memoraAsked = true;
    }
    if (model.get("kept")) sessionStorage.setItem(KEY, model.get("kept"));
  } catch { /* this browser keeps nothing for pages */ }
};

export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-drop"><button class="memora-wide">Upload a picture</button>
    <input type="file" accept="image/*" hidden><div class="memora-crop"><img alt=""><div class="clip"><div class="box"
    hidden></div></div></div><p class="memora-caption"></p></div>`;
  const drop = el.querySelector(".memora-drop"), area = el.querySelector(".memora-crop");
  const image = el.querySelector("img"), box = el.querySelector(".box"), hint = el.querySelector("p");
  const input = el.querySelector("input");
  image.draggable = false;
  let src = "", from = null;
  const show = (b) => {
    box.hidden = !b.length;
    if (b.length) {
      const [l, t, r, d] = b.map((x) => 100 * x);
      Object.assign(box.style, { left: l + "%", top: t + "%", width: r - l + "%", height: d - t + "%" });
    }
  };
  const draw = () => {
    URL.revokeObjectURL(src);
    const picture = model.get("picture");
    image.hidden = !picture.byteLength;
    if (picture.byteLength) image.src = src = url(picture);
    image.alt = model.get("alt");
    hint.textContent = picture.byteLength ? "Drag a box to search by a part. Drop or paste another picture here." :
      "Or drop a picture here, or paste one.";
  };
  const at = (e) => {
    const r = image.getBoundingClientRect(), cut = (x) => Math.min(1, Math.max(0, x));
    return [cut((e.clientX - r.left) / r.width), cut((e.clientY - r.top) / r.height)];
  };
  const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  area.onpointerdown = (e) => { if (!image.hidden) { from = at(e); area.setPointerCapture(e.pointerId); } };
  area.onpointermove = (e) => { if (from) show(between(from, at(e))); };
  area.onpointerup = (e) => {
    if (!from) return;
    const b = between(from, at(e)); from = null;
    const click = b[2] - b[0] < 0.03 || b[3] - b[1] < 0.03;
    if (click) return show(model.get("box"));
    model.set("box", b); model.save_changes();
  };
  area.onpointercancel = () => { from = null; show(model.get("box")); };
  drop.ondragover = (e) => { e.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  const give = async (file) => {
    const small = file.size <= model.get("most_bytes");
    const content = small ? new DataView(await file.arrayBuffer()) : new DataView(new ArrayBuffer(0));
    model.set("file", { name: file.name, size: file.size, content, at: Date.now() }); model.save_changes();
  };
  drop.ondrop = (e) => {
    e.preventDefault(); drop.classList.remove("over");
    // a picture dragged out of another page may come without its file; that is told, not passed over
    give(e.dataTransfer.files[0] || new File([], "What was dropped"));
  };
  // a picture in the clipboard, pasted anywhere in this panel; where nothing has the focus, in the page's first panel
  const paste = (e) => {
    const panel = el.closest(".memora-panel"), nowhere = e.target === document.body;
    if (!panel || (nowhere ? panel !== document.querySelector(".memora-panel") : !panel.contains(e.target))) return;
    if (e.clipboardData.files.length) { e.preventDefault(); give(e.clipboardData.files[0]); }
  };
  document.addEventListener("paste", paste);
  el.querySelector("button").onclick = () => input.click();
  input.onchange = () => { if (input.files.length) give(input.files[0]); input.value = ""; };  // else the same file again would be no change
  model.on("change:kept", () => remember(model));
  model.on("change:picture", draw);
  model.on("change:box", () => show(model.get("box")));
  draw(); show(model.get("box")); remember(model);
  return () => document.removeEventListener("paste", paste);
} };
