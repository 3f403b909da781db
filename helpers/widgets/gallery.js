// Pictures that are buttons: see Gallery in browser.py.
const url = (view) => URL.createObjectURL(new Blob([view], { type: "image/jpeg" }));

export default { render({ model, el }) {
  el.classList.add("memora");
  const list = document.createElement("ul");
  list.className = "memora-grid";
  el.append(list);
  let n = 0, urls = [];
  const choose = (key, what) => { model.set("chosen", { key, what, n: ++n }); model.save_changes(); };
  const draw = () => {
    const held = el.contains(document.activeElement) ? document.activeElement.dataset : null;
    urls.forEach(URL.revokeObjectURL);
    const pictures = model.get("pictures");
    urls = pictures.map(url);
    list.setAttribute("aria-label", model.get("label"));
    list.replaceChildren(...model.get("items").map((item, i) => {
      const li = document.createElement("li"), button = document.createElement("button");
      const image = document.createElement("img"), caption = document.createElement("p");
      li.dataset.mark = item.mark || "";
      li.dataset.key = button.dataset.key = item.key;
      button.dataset.what = "picture";
      image.src = urls[i]; image.alt = item.alt;
      button.append(image); button.onclick = () => choose(item.key, "picture");
      caption.className = "memora-caption"; caption.textContent = item.caption;
      li.append(button, caption);
      if (model.get("details")) {
        const more = document.createElement("button");
        more.textContent = "Details"; more.setAttribute("aria-label", "Details of " + item.alt);
        more.dataset.key = item.key; more.dataset.what = "details";
        more.onclick = () => choose(item.key, "details");
        li.append(more);
      }
      return li;
    }));
    if (held) {  // the button that had the focus is gone; its successor gets it
      const same = [...list.querySelectorAll("button")].filter((b) => b.dataset.what === (held.what || "picture"));
      (same.find((b) => b.dataset.key === held.key) || same[0])?.focus();
    }
  };
  model.on("change:items", draw);
  draw();
  return () => urls.forEach(URL.revokeObjectURL);
} };
