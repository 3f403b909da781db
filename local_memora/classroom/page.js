// The teacher's page: asks the server every two seconds and draws what it says. Text is never read as HTML.
"use strict";
const at = (id) => document.getElementById(id);
const EVERY = 2000;
let key = sessionStorage.getItem("key") || "";

function when(student) {
  if (student.revoked) return "key revoked";
  if (student.seconds === null) return "not yet";
  if (student.seconds < 10) return "now";
  return student.seconds < 90 ? `${student.seconds} s ago` : `${Math.round(student.seconds / 60)} min ago`;
}

function row(student) {
  const line = document.createElement("tr");
  line.className = student.here ? "here" : "away";
  const cells = [student.name, when(student), student.collections, student.rows, student.searches, student.mistakes];
  for (const cell of cells) {
    const box = document.createElement("td");
    box.textContent = typeof cell === "number" ? cell.toLocaleString("en") : cell;
    line.append(box);
  }
  return line;
}

function item(mistake) {
  const line = document.createElement("li");
  const who = mistake.students === 1 ? "1 student" : `${mistake.students} students`;
  line.textContent = `${mistake.mistake} (${mistake.times} times, ${who})`;
  return line;
}

function draw(state) {
  const here = state.students.filter((student) => student.here).length;
  at("title").textContent = `${state.class}: ${here} of ${state.students.length} are here`;
  const load = state.load;
  const slow = load.search_p95_ms === null ? "no search" : `half of the searches within ${load.search_p50_ms} ms, 95% within ${load.search_p95_ms} ms`;
  at("load").textContent = `Last minute: ${load.calls_a_second} calls a second, ${slow}, ${load.too_many} calls sent too fast. Shared pictures: ${state.shared.rows} rows.`;
  at("students").replaceChildren(...state.students.map(row));
  at("mistakes").replaceChildren(...state.mistakes.map(item));
  at("shown").hidden = false;
  at("enter").hidden = true;
}

async function ask() {
  try {
    const answer = await fetch("/class/state", { headers: { "Api-Key": key } });
    const said = await answer.json();
    if (answer.status === 401 || answer.status === 403) {
      key = "";
      sessionStorage.removeItem("key");
      at("enter").hidden = false;
      at("shown").hidden = true;
      at("status").textContent = `Not shown: ${said.message}.`;
      return;
    }
    if (!answer.ok) throw new Error(said.message);
    draw(said);
    at("status").textContent = `As of ${new Date().toLocaleTimeString("en")}.`;
  } catch (error) {
    at("status").textContent = `The server does not answer (${error.message}). This is what it said last; trying again.`;
  }
  setTimeout(ask, EVERY);
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  at("key").value = "";
  sessionStorage.setItem("key", key);
  ask();
});
if (key) ask();
