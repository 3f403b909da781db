// Values to choose, as buttons that stay pressed: see Chips in browser.py.
export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-chips" role="group"><span></span></div>`;
  const group = el.firstChild;
  group.setAttribute("aria-label", model.get("label"));
  group.firstChild.textContent = model.get("label");
  const buttons = model.get("values").map(([value, count], i) => {
    const button = document.createElement("button");
    button.value = value;
    button.tabIndex = i ? -1 : 0;  // one stop for Tab; arrow keys go on
    button.append(value.replaceAll("_", " "), Object.assign(document.createElement("small"), { textContent: ` ${count}` }));
    button.onclick = () => {
      const chosen = model.get("value");
      model.set("value", chosen.includes(value) ? chosen.filter((v) => v !== value) : [...chosen, value]);
      model.save_changes();
    };
    return button;
  });
  group.append(...buttons);
  group.onkeydown = (e) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[e.key];
    if (!by) return;
    e.preventDefault();
    buttons[buttons.indexOf(e.target) + by]?.focus();
  };
  group.addEventListener("focusin", (e) => buttons.forEach((b) => { b.tabIndex = b === e.target ? 0 : -1; }));
  const draw = () => buttons.forEach((b) => b.setAttribute("aria-pressed", model.get("value").includes(b.value)));
  model.on("change:value", draw);
  draw();
} };
