// Puts the real values into the exchange and the curl lines of the welcome page. The page is complete without it.

for (const element of document.querySelectorAll("[data-page]")) {
  element.textContent = location[element.dataset.page]; // "host" or "origin"
}

// "no-store" keeps the browser's own cache out of it: what is shown is what the server says now.
const head = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });

for (const element of document.querySelectorAll("[data-field]")) {
  const value = head.headers.get(element.dataset.field);
  element.textContent = value ?? element.textContent;
  if (value === null) element.closest("[data-if-told]")?.remove();
}

const again = document.querySelector("#again");
const output = again.querySelector("output");

again.querySelector("button").addEventListener("click", async () => {
  try {
    const answer = await fetch(location.pathname, { headers: condition(head.headers), cache: "no-store" });
    const bytes = (await answer.arrayBuffer()).byteLength;
    const time = new Date().toLocaleTimeString();
    output.textContent = `${answer.status} ${answer.statusText}: ${bytes} bytes of page, at ${time}`;
  } catch {
    output.textContent = "No answer. Is salver still running?";
  }
});
again.hidden = false;

// The question "is there another version by now?", asked by ETag, or by date of a server that sends none.
function condition(headers) {
  const etag = headers.get("etag");
  return etag ? { "If-None-Match": etag } : { "If-Modified-Since": headers.get("last-modified") };
}
