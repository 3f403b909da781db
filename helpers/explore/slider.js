// A slider with a label that is one: see Slider in browser.py.
export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<label class="memora-slider"><span></span><input type="range"><output></output></label>`;
  const [name, input, shown] = el.firstChild.children;
  name.textContent = model.get("description");
  for (const one of ["min", "max", "step"]) input[one] = model.get(one);
  const draw = () => { input.value = model.get("value"); shown.textContent = input.value; };
  input.oninput = () => { model.set("value", Number(input.value)); model.save_changes(); };
  model.on("change:value", draw);
  draw();
} };
