// The running page asks again every few seconds and changes only the cells that differ: focus and selection stay.
"use strict";
const live = document.getElementById("live");
const news = document.getElementById("news");
const every = 1000 * Number(live.dataset.every);

function cellsOf(row) { return Array.from(row.children); }

function renewed(old, fresh) {
  const cells = cellsOf(fresh);
  cellsOf(old).forEach((cell, number) => {
    if (cell.isEqualNode(cells[number]) || cell.contains(document.activeElement)) return;
    cell.replaceWith(cells[number].cloneNode(true));
  });
}

function show(page) {
  const fresh = page.getElementById("live");
  if (!fresh) return;
  for (const id of ["headline", "fresh"]) {
    const here = document.getElementById(id), there = page.getElementById(id);
    if (here && there && here.textContent !== there.textContent) here.replaceChildren(...there.cloneNode(true).childNodes);
  }
  const body = live.querySelector("tbody"), next = fresh.querySelector("tbody");
  if (!body || !next) {
    if (!live.isEqualNode(fresh)) {
      const empty = !next;
      if (Boolean(body) !== Boolean(next)) news.textContent = empty ? "Nothing is running any more." : "A stage began.";
      live.replaceChildren(...fresh.cloneNode(true).childNodes);
    }
    return;
  }
  const known = new Map(Array.from(body.rows, (row) => [row.dataset.lease, row]));
  const told = [];
  for (const row of next.rows) {
    const old = known.get(row.dataset.lease);
    known.delete(row.dataset.lease);
    if (old) renewed(old, row);
    else { body.append(row.cloneNode(true)); told.push(row.cells[0].textContent + " began."); }
  }
  for (const row of known.values()) {
    told.push(row.cells[0].textContent + " ended.");
    if (!row.contains(document.activeElement)) row.remove();
    else { row.dataset.lease = ""; cellsOf(row)[5].textContent = "ended"; }
  }
  if (told.length) news.textContent = told.join(" ");
}

async function again() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    const asked = document.getElementById("asked");
    if (asked && !asked.dataset.lost) { asked.dataset.lost = "1"; asked.append(" (the server does not answer)"); }
  }
  window.setTimeout(again, every);
}
window.setTimeout(again, every);
