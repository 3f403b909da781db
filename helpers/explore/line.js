// A line of text to search by, with suggestions: see Line in browser.py.
export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-line"><label><span></span><input type="text"></label><datalist></datalist>
    <button class="memora-wide"></button></div>`;
  const [label, list, button] = el.firstChild.children, [name, input] = label.children;
  name.textContent = model.get("label");
  button.textContent = model.get("button");
  input.placeholder = model.get("placeholder");
  const draw = () => {
    input.value = model.get("value");
    input.disabled = button.disabled = model.get("disabled");
    list.replaceChildren(...model.get("options").map((one) => Object.assign(document.createElement("option"), { value: one })));
    if (list.children.length) {
      list.id ||= "memora-" + Math.random().toString(36).slice(2);
      input.setAttribute("list", list.id);
    }
  };
  // the text travels with the request: a value that is synced on its own may come after it
  const ask = () => {
    model.set("asked", { text: input.value, n: (model.get("asked").n || 0) + 1 }); model.save_changes();
  };
  input.onkeydown = (e) => { e.stopPropagation(); if (e.key === "Enter") ask(); };  // JupyterLab has keys of its own
  button.onclick = ask;
  for (const one of ["value", "disabled", "options"]) model.on(`change:${one}`, draw);
  draw();
} };
