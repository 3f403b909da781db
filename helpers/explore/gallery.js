// Pictures that are buttons: see Gallery in browser.py.
const url = (view) => URL.createObjectURL(new Blob([view], { type: "image/jpeg" }));

export default { render({ model, el }) {
  el.classList.add("memora");
  const list = document.createElement("ul");
  list.className = "memora-grid";
  el.append(list);
  let urls = [], wanted = null;
  // the number goes on from the model's: a page that is loaded again would else repeat one, and nobody would be told
  // the second click of a double click is left out: it would hit whatever is under the pointer by then
  const choose = (event, key, what) => {
    if (event.detail > 1) return;
    model.set("chosen", { key, what, n: (model.get("chosen").n || 0) + 1 }); model.save_changes();
  };
  const focus = ({ key, what }) => {
    const same = [...list.querySelectorAll("button")].filter((b) => b.dataset.what === (what || "picture"));
    const found = same.find((b) => b.dataset.key === key) || same[0];
    found?.focus();
    return Boolean(found);
  };
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
      button.append(image); button.onclick = (e) => choose(e, item.key, "picture");
      caption.className = "memora-caption"; caption.textContent = item.caption;
      li.append(button, caption);
      if (!model.get("details")) button.tabIndex = i ? -1 : 0;  // one stop for Tab; arrow keys go on
      else {
        const more = document.createElement("button");
        more.textContent = "Details"; more.setAttribute("aria-label", "Details of " + item.alt);
        more.dataset.key = item.key; more.dataset.what = "details";
        more.onclick = (e) => choose(e, item.key, "details");
        li.append(more);
      }
      return li;
    }));
    if (wanted || held) {  // the button that had the focus is gone; its successor gets it
      focus(wanted || held);
      wanted = null;
    }
  };
  list.onkeydown = (e) => {
    const all = [...list.querySelectorAll('[data-what="picture"]')], at = all.indexOf(e.target);
    const columns = all.filter((b) => b.offsetTop === all[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[e.key];
    if (at < 0 || !by) return;
    e.preventDefault();
    all[at + by]?.focus();
  };
  list.addEventListener("focusin", (e) => {
    if (model.get("details")) return;
    list.querySelectorAll("button").forEach((b) => { b.tabIndex = b === e.target ? 0 : -1; });
  });
  const mark = () => list.classList.toggle("memora-outdated", model.get("outdated"));
  model.on("change:outdated", mark);
  model.on("change:items", draw);
  // see Gallery.focus_on: at once, or when there are pictures again
  model.on("msg:custom", (told) => { if (told.focus && !focus(told.focus)) wanted = told.focus; });
  draw(); mark();
  return () => urls.forEach(URL.revokeObjectURL);
} };
