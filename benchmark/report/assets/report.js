// What the page can do beyond being read: sort its tables, and draw the curves to explore where their library is.
"use strict";

/** Make a button of every head of a table; a press sorts by that column: up, down, then as it was. */
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const written = [...body.rows];
  const value = (row, i) => {
    const cell = row.cells[i];
    return cell.dataset.value ?? (cell.classList.contains("number") ? null : cell.textContent);
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      const direction = next === undefined ? "ascending" : next;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (direction) head.setAttribute("aria-sort", direction);
      const number = head.classList.contains("number");
      const compare = (a, b) => {
        const [one, other] = [value(a, i), value(b, i)];
        if (one === null || other === null) return (one === null) - (other === null); // nothing comes last either way
        const order = number ? one - other : one.localeCompare(other, "en", { numeric: true });
        return direction === "descending" ? -order : order;
      };
      body.append(...(direction ? [...written].sort(compare) : written));
    });
  });
}

/** Draw the chart whose data lies beside its place, and give each series' box the colour of its line. */
async function draw(place) {
  const chart = JSON.parse(document.getElementById(`${place.id}-data`).textContent);
  chart.description = place.dataset.title;
  await vegaEmbed(place, chart, { actions: false, ast: true, renderer: "svg" });
  const colors = chart.layer.map((layer) => layer.encoding.color?.scale?.range).find(Boolean) ?? [];
  place.querySelectorAll("input[type=checkbox]").forEach((box, i) => { box.style.accentColor = colors[i]; });
  place.dataset.drawn = "";
}

document.querySelectorAll("table.sortable").forEach(sortable);

/** Draw all charts, one after the other, with room between them for the reader to scroll. */
async function drawAll() {
  const places = document.querySelectorAll(".chart");
  places.forEach((place) => { place.style.minHeight = "26rem"; }); // what is below stays where it is
  for (const place of places) {
    await new Promise((then) => setTimeout(then));
    await draw(place);
  }
}

if (typeof vegaEmbed === "function") drawAll();
