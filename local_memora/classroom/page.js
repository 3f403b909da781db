// The teacher's page: asks the server every two seconds and draws what it says. Text is never read as HTML.
"use strict";
const at = (id) => document.getElementById(id);
const EVERY = 2000; // milliseconds
const EACH = 15; // students of a table
const COLUMNS = ["Student", "Seen", "Coll.", "Rows", "Searches", "Mistakes", "Right"];
let key = sessionStorage.getItem("key") || "";

function when(student) {
  if (student.revoked) return "revoked";
  if (student.seconds === null) return "never";
  if (student.seconds < 10) return "now";
  return student.seconds < 90 ? `${student.seconds} s` : `${Math.round(student.seconds / 60)} min`;
}

function line(kind, texts, name) {
  const made = document.createElement("tr");
  made.className = name;
  for (const text of texts) {
    const box = document.createElement(kind);
    box.textContent = typeof text === "number" ? text.toLocaleString("en") : text;
    if (kind === "th") box.scope = "col";
    made.append(box);
  }
  return made;
}

function row(student) {
  const done = Object.values(student.exercises);
  const right = done.length ? `${done.filter(Boolean).length} of ${done.length}` : "-";
  const texts = [student.name, when(student), student.collections, student.rows, student.searches, student.mistakes, right];
  return line("td", texts, student.here ? "here" : "away");
}

// Tables of a few students each, side by side where the screen has room.
function tables(students) {
  const made = [];
  for (let first = 0; first < students.length; first += EACH) {
    const table = document.createElement("table");
    table.setAttribute("aria-label", `Students from ${students[first].name} on`);
    table.createTHead().append(line("th", COLUMNS, ""));
    table.createTBody().append(...students.slice(first, first + EACH).map(row));
    made.push(table);
  }
  return made;
}

// How many of those who report have each exercise right.
function exercises(students) {
  const right = new Map();
  for (const student of students) {
    for (const [name, done] of Object.entries(student.exercises)) right.set(name, (right.get(name) || 0) + done);
  }
  const told = [...right].map(([name, count]) => `${name} ${count}`).join(", ");
  return told ? `Exercises, and how many have them right: ${told}.` : "";
}

function item(mistake) {
  const made = document.createElement("li");
  const who = mistake.students === 1 ? "1 student" : `${mistake.students} students`;
  made.textContent = `${mistake.times} times, ${who}: ${mistake.mistake}`;
  made.title = made.textContent; // a long one is cut on the page
  return made;
}

function draw(state) {
  const here = state.students.filter((student) => student.here).length;
  at("title").textContent = `${state.class}: ${here} of ${state.students.length} are here`;
  const load = state.load;
  const slow = load.search_p95_ms === null ? "no search" : `searches within ${load.search_p50_ms} ms (half), ${load.search_p95_ms} ms (95%)`;
  at("load").textContent = `Last minute: ${load.calls_a_second} calls a second, ${slow}, ${load.too_many} too many. Shared: ${state.shared.rows} rows.`;
  at("students").replaceChildren(...tables(state.students));
  at("exercises").textContent = exercises(state.students);
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
