// Hides the entries that don't contain what is typed. Only where all entries are on this page: elsewhere the server is
// asked, by Enter or the button, as without a script.
const form = document.querySelector("form[data-complete]");
if (form) {
  const input = form.elements.q;
  const rows = [...document.querySelectorAll("tbody tr[data-entry]")];
  const names = rows.map((row) => row.querySelector("bdi").textContent.toLowerCase());
  const narrow = () => {
    const wanted = input.value.toLowerCase();
    let count = 0;
    rows.forEach((row, at) => {
      row.hidden = !names[at].includes(wanted);
      count += row.hidden ? 0 : 1;
    });
    form.querySelector("output").textContent = wanted ? `${count} of ${rows.length}` : "";
  };
  input.addEventListener("input", narrow);
  // What was typed before is there again when somebody comes back to the page.
  narrow();
}
