// Lines of code to copy: see Call in browser.py.
export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<pre tabindex="0" role="region" aria-label="the call"></pre><button class="memora-wide">Copy</button>
    <span role="status"></span>`;
  const [code, copy, said] = el.children;
  const draw = () => { code.textContent = model.get("code"); said.textContent = ""; };
  copy.onclick = async () => { await navigator.clipboard.writeText(model.get("code")); said.textContent = " Copied."; };
  model.on("change:code", draw);
  draw();
} };
