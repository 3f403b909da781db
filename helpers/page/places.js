// Where the page searches: the kit's pictures, or a folder of one's own; and the page's address. See Places in page.py.
// All files of what was dropped, each with its path; a browser lists a folder a hundred at a time.
const filesOf = async (entry) => {
  if (entry.isFile) {
    const file = await new Promise((yes, no) => entry.file(yes, no));
    return [{ file, path: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader(), found = [];
  for (let more = [null]; more.length;) {
    more = await new Promise((yes, no) => reader.readEntries(yes, no));
    for (const one of more) found.push(...await filesOf(one));
  }
  return found;
};

export default { render({ model, el }) {
  el.classList.add("memora");
  el.innerHTML = `<div class="memora-places"><label>Search in <select></select></label>
    <button class="forget plain" hidden>Forget this folder</button>
    <details><summary>A folder of your own</summary>
      <div class="drop"><form><label>Its path on this computer <input placeholder="such as ~/Pictures/holiday" autocomplete="off"></label>
        <button class="main">Search in it</button></form>
      <p>or <button class="pick">Choose a folder</button><input type="file" webkitdirectory hidden> or drop one here:
        its pictures are copied beside the collection. Nothing leaves this computer.</p></div></details>
    <div class="busy" hidden><progress></progress><span></span><button class="stop">Stop</button></div>
    <p class="told"></p>
    <p class="asks" hidden><button></button> It reads the pictures once, and stores its vectors in a collection of their own.</p></div>`;
  const query = (what) => el.querySelector(what), select = query("select"), busy = query(".busy"), told = query(".told");
  const drop = query(".drop"), input = query("input[type=file]"), path = query("form input");
  let go = () => {}, stopped = false;
  const say = (told) => { model.set("state", { told, wrong: true }); model.save_changes(); };
  const give = async (files) => {  // one file at a time, the next when this one is stored
    const ends = model.get("suffixes"), most = model.get("most");
    const wanted = files.filter(({ path }) => /(^|\/)metadata\.csv$/.test(path) || ends.some((end) => path.toLowerCase().endsWith(end)));
    const kept = wanted.filter(({ file }) => file.size <= most.file), bytes = kept.reduce((sum, { file }) => sum + file.size, 0);
    const name = (files[0]?.path || "").split("/")[0];
    if (!kept.length) return say(`${name || "What was dropped"} has no picture that can be used.`);
    if (kept.length > most.files || bytes > most.bytes) return say(`${name} is too large to be copied: ${kept.length} pictures, ` +
      `${Math.round(bytes / 2 ** 20)} MB. Type its path instead.`);
    stopped = false;
    const next = () => new Promise((yes) => { go = yes; });
    let ready = next();
    model.send({ do: "begin", name, count: kept.length, large: wanted.length - kept.length });
    for (const { file, path } of kept) {
      await ready;
      if (stopped) return;
      ready = next();
      model.send({ do: "file", path: path.split("/").slice(1).join("/") || path }, undefined, [await file.arrayBuffer()]);
    }
    await ready;
    if (!stopped) model.send({ do: "end" });
  };
  query("form").onsubmit = (e) => { e.preventDefault(); model.send({ do: "open", path: path.value }); };
  query(".pick").onclick = (e) => { e.preventDefault(); input.click(); };
  input.onchange = () => { give([...input.files].map((file) => ({ file, path: file.webkitRelativePath }))); };
  drop.ondragover = (e) => { e.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = async (e) => {
    e.preventDefault(); e.stopPropagation(); drop.classList.remove("over");
    const entries = [...e.dataTransfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((one) => one.isDirectory)) return say("That is not a folder: drop a folder of pictures.");
    give((await Promise.all(entries.map(filesOf))).flat());
  };
  query(".stop").onclick = () => { stopped = true; go(); model.send({ do: "stop" }); };
  query(".asks button").onclick = () => model.send({ do: "compare" });
  select.onchange = () => model.send({ do: "choose", key: select.value });
  query(".forget").onclick = () => {
    const name = select.selectedOptions[0].text;
    if (confirm(`Forget ${name}? Its collection is deleted, and the copies that this page has made. ` +
      "Your own folder stays as it is.")) model.send({ do: "forget", key: model.get("place") });
  };
  const draw = () => {
    const places = model.get("places"), state = model.get("state");
    select.replaceChildren(...places.map(([key, name]) => new Option(name, key)));
    select.value = model.get("place");
    query(".forget").hidden = !model.get("place");
    query(".asks").hidden = !model.get("asks");
    query(".asks button").textContent = `Compare with ${model.get("asks")}, too`;
    busy.hidden = !state.busy;
    told.textContent = state.told || "";
    told.setAttribute("role", state.wrong ? "alert" : "status");
    busy.querySelector("span").textContent = state.busy || "";
    const bar = query("progress");
    bar.setAttribute("aria-label", state.busy || "progress");
    if (state.of) { bar.max = state.of; bar.value = state.done; } else bar.removeAttribute("value");
  };
  // The address keeps the query and the settings: a page that is loaded again, or a link on this computer, has them.
  const address = () => model.send({ do: "address", text: location.hash.slice(1) });
  const keep = () => {
    const text = model.get("address");
    if (location.hash.slice(1) !== text) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };
  addEventListener("hashchange", address);
  model.on("change:address", keep);
  model.on("change:places change:place change:asks change:state", draw);
  model.on("msg:custom", (said) => { if (said.next) go(); });
  draw();
  address();
  return () => removeEventListener("hashchange", address);
} };
