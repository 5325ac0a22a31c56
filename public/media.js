// Makes the buttons of the media page work: each moves the film, and asks for the bytes at about that place.
// A script can't see the requests of the player itself, so this one sends its own. The page is useful without it.

const PART_BYTES = 1000;

const video = document.querySelector("#tray");
const ranges = document.querySelector("#ranges");
const answer = ranges.querySelector(".answer code");

for (const button of ranges.querySelectorAll("button")) {
  button.addEventListener("click", async () => {
    const second = Number(button.dataset.second);
    video.currentTime = second;
    try {
      answer.textContent = await exchange(second / video.duration);
    } catch {
      answer.textContent = "No answer. Is the server still running?";
    }
  });
}
ranges.hidden = false;

document.querySelector("[data-page=origin]").textContent = location.origin;

// Asks for a part of the film that begins at this fraction of it; tells the exchange as text.
async function exchange(fraction) {
  const url = new URL(video.currentSrc);
  const head = await fetch(url, { method: "HEAD", cache: "no-store" });
  const first = Math.floor(Number(head.headers.get("content-length")) * (fraction || 0));
  const range = `bytes=${first}-${first + PART_BYTES - 1}`;

  const part = await fetch(url, { headers: { Range: range }, cache: "no-store" });
  const bytes = (await part.arrayBuffer()).byteLength;
  return [
    `GET ${url.pathname}`,
    `Range: ${range}`,
    "",
    `${part.status} ${part.statusText}`,
    `Content-Range: ${part.headers.get("content-range") ?? "none: this server sent the whole file"}`,
    `${bytes} bytes received`,
  ].join("\n");
}
