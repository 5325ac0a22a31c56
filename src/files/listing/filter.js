// Hides the entries that don't contain what is typed. Only where all entries are on this page: elsewhere the server is
// asked, by Enter or the button, as without a script.
const form = document.querySelector("form[data-complete]");
if (form) {
  const input = form.elements.q;
  // Sigma is another letter at the end of a word, and what is typed may end within one.
  const withoutCase = (text) => text.toLowerCase().replaceAll("\u03c2", "\u03c3");
  const rows = [...document.querySelectorAll("tbody tr[data-entry]")];
  const names = rows.map((row) => row.querySelector("bdi").textContent).map(withoutCase);
  const narrow = () => {
    const wanted = withoutCase(input.value);
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
