// Lines of code to copy: see Call in browser.py.
export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<pre tabindex="0" role="region" aria-label="the call"></pre><button class="memora-wide">Copy</button>
    <span role="status"></span>`;
  const [code, copy, said] = el.children;
  const draw = () => { code.textContent = model.get("code"); said.textContent = ""; };
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(model.get("code")); said.textContent = " Copied.";
    } catch {  // forbidden, or no clipboard: browsers give it to https and to this machine only
      getSelection().selectAllChildren(code); said.textContent = " Selected: press Ctrl+C to copy.";
    }
  };
  model.on("change:code", draw);
  draw();
} };
