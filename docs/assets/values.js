// Fill in your own values: what you type once stands in every command of every page, and in what is copied. It stays
// in this browser. A secret has no field. PLACEHOLDERS, with the rules of convention.py, stands before this.
function problem(rule, value) {
  if (value === "" || new RegExp(`^(?:${rule.pattern})$`).test(value)) return "";
  return rule.hint;
}

function fill() {
  document.querySelectorAll(".nb-in var.p").forEach((spot) => {
    const name = (spot.dataset.name ??= spot.textContent.slice(1, -1));
    const known = PLACEHOLDERS.find((one) => one.name === name);
    const value = known ? localStorage.getItem(`image-process ${name}`) ?? "" : "";
    const right = value !== "" && problem(known, value) === "";
    spot.textContent = right ? value : `<${name}>`;
    spot.classList.toggle("filled", right);
  });
}

function field(one) {
  const place = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const said = document.createElement("span");
  label.append(one.name, input);
  place.append(label, said);
  input.value = localStorage.getItem(`image-process ${one.name}`) ?? "";
  input.placeholder = one.what;
  input.autocomplete = "off";
  input.spellcheck = false;
  said.setAttribute("role", "status");
  const check = () => {
    said.textContent = problem(one, input.value.trim());
    input.setAttribute("aria-invalid", String(said.textContent !== ""));
  };
  input.addEventListener("input", () => {
    localStorage.setItem(`image-process ${one.name}`, input.value.trim());
    check();
    fill();
  });
  check();
  return place;
}

document.addEventListener("DOMContentLoaded", () => {
  const here = new Set([...document.querySelectorAll(".nb-in var.p")].map((spot) => spot.textContent.slice(1, -1)));
  const open = PLACEHOLDERS.filter((one) => here.has(one.name));
  if (open.length === 0) return;
  const bar = document.createElement("form");
  bar.className = "nb-values";
  bar.setAttribute("aria-label", "Your own values");
  bar.addEventListener("submit", (event) => event.preventDefault());
  const words = document.createElement("p");
  words.textContent = "Fill in your own values. They stay in this browser.";
  bar.append(words, ...open.map(field));
  const clear = document.createElement("button");
  clear.type = "reset";
  clear.textContent = "Clear my values";
  bar.addEventListener("reset", () => {
    open.forEach((one) => localStorage.removeItem(`image-process ${one.name}`));
    bar.querySelectorAll("input").forEach((input) => (input.defaultValue = ""));
    bar.querySelectorAll("span").forEach((said) => (said.textContent = ""));
    fill();
  });
  bar.append(clear);
  document.querySelector(".md-content h1").after(bar);
  fill();
});
