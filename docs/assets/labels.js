// A screen reader hears which block a button or a scrolling area belongs to, instead of the same word many times.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".md-typeset .highlight").forEach((block, index) => {
    const code = block.querySelector("code");
    const kind = block.classList.contains("nb-out") ? "Output" : "Command";
    const first = code ? code.textContent.trim().split("\n")[0] : "";
    const nav = block.querySelector(".md-code__nav");
    if (nav) nav.setAttribute("aria-label", `${kind} ${index + 1}: ${first}`);
  });
});
// A wide table scrolls in a frame that the theme puts around it: the keyboard must reach it too, also once a phone is turned.
window.addEventListener("load", () => {
  const sizes = new ResizeObserver((changes) => {
    for (const { target: frame } of changes) {
      if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
      else frame.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((frame) => sizes.observe(frame));
});
// What differs at the reader's says why; a whole digest can be copied with a click, or with Enter.
const WHY = { time: "The moment of the run: yours differs", size: "The size of this build: yours may differ" };
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".nb-out var").forEach((part) => {
    part.title = WHY[part.className] ?? "Yours may differ: it depends on the build or the engine";
    if (!/sha256:[0-9a-f]{64}/.test(part.textContent)) return;
    part.title = "Another build has another digest: yours may differ. Click to copy";
    part.tabIndex = 0;
    part.setAttribute("role", "button");
    const copy = () => navigator.clipboard.writeText(part.textContent).then(() => (part.dataset.copied = "copied"));
    part.addEventListener("click", copy);
    part.addEventListener("keydown", (event) => event.key === "Enter" && copy());
  });
});
// A pasted error message is searched for as words: its quotes and colons would be taken for operators. The theme waits for a key,
// which a menu's paste lacks.
document.querySelector(".md-header").addEventListener("input", (event) => {
  if (event.inputType === "insertFromPaste") event.target.value = event.target.value.replace(/[^\w./]+/g, " ").trim();
  event.target.dispatchEvent(new Event("keyup"));
}, true);
