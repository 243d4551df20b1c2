"use strict";
const field = document.getElementById("search");
const count = document.getElementById("count");
const rows = Array.from(document.querySelectorAll("#objects tbody tr"), (row) => [row, row.textContent.toLowerCase()]);
function search() {
  const words = field.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const [row, text] of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = field.value ? shown + " of " + rows.length : "";
}
document.getElementById("searching").hidden = false;
const asked = new URLSearchParams(location.hash.slice(1)).get("search");
if (asked) field.value = asked;
field.addEventListener("input", search);
search();
