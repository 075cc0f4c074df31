// Fill in your own values: what you type once stands in every command, and in what is copied. It stays in this browser.
// A version belongs to its page and this tab alone: tomorrow's release, or a rollback, must not begin with an old one.
// A secret has no field. PLACEHOLDERS and NAMES, the rules of convention.py, stand before this.
const matches = (pattern, value) => new RegExp(`^(?:${pattern})$`).test(value);
const drawer = (rule) =>
  rule.once ? [sessionStorage, `image-process ${location.pathname} ${rule.name}`] : [localStorage, `image-process ${rule.name}`];
const stored = (rule) => {
  const [store, key] = drawer(rule);
  return store.getItem(key) ?? "";
};
const spots = [...document.querySelectorAll(".nb-in var.p")];
const known = new Map(PLACEHOLDERS.map((one) => [`<${one.name}>`, one]));
spots.forEach((spot) => (spot.dataset.name = spot.textContent));

function problem(rule, value) {
  return value === "" || matches(rule.pattern, value) ? "" : rule.hint;
}

function fill(bar, open) {
  spots.forEach((spot) => {
    const rule = known.get(spot.dataset.name);
    const value = rule ? stored(rule) : "";
    const right = value !== "" && problem(rule, value) === "";
    spot.textContent = right ? value : spot.dataset.name;
    spot.classList.toggle("filled", right);
  });
  const filled = open.filter((rule) => stored(rule) !== "");
  const shown = filled.map((rule) => `${rule.name} ${stored(rule)}${problem(rule, stored(rule)) && " (refused)"}`);
  bar.firstElementChild.textContent = shown.length ? `Your values: ${shown.join(", ")}` : "Fill in your own values";
}

// An input with its label, and a line that says what is wrong with what is typed.
function field(label, placeholder, judge, changed) {
  const place = document.createElement("div");
  const input = document.createElement("input");
  const said = document.createElement("span");
  const name = document.createElement("label");
  name.append(label, input);
  place.append(name, said);
  Object.assign(input, { placeholder, autocomplete: "off", spellcheck: false, autocapitalize: "none" });
  said.setAttribute("role", "status");
  const check = () => {
    const { wrong, right } = judge(input.value.trim());
    said.textContent = wrong || right;
    input.setAttribute("aria-invalid", String(wrong !== ""));
  };
  input.addEventListener("input", () => {
    check();
    changed(input.value.trim());
  });
  return { place, input, check };
}

function ownValues(bar) {
  const form = document.createElement("form");
  const words = document.createElement("p");
  const clear = document.createElement("button");
  const open = [...new Set(spots.map((spot) => known.get(spot.dataset.name)))].filter(Boolean); // in the order of their use
  form.setAttribute("aria-label", "Your own values");
  words.textContent = "Every command here, and what you copy, follows. What you type stays in this browser; a version stays on this page.";
  form.append(words);
  for (const rule of open) {
    const judge = (value) => ({ wrong: problem(rule, value), right: "" });
    const { place, input, check } = field(rule.name, rule.what, judge, (value) => {
      const [store, key] = drawer(rule);
      store.setItem(key, value);
      fill(bar, open);
    });
    input.value = stored(rule);
    check();
    form.append(place);
  }
  Object.assign(clear, { type: "reset", textContent: "Clear my values" });
  form.append(clear);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const [store, key] of open.map(drawer)) store.removeItem(key);
    form.querySelectorAll("input").forEach((input) => (input.value = ""));
    form.querySelectorAll("input").forEach((input) => input.removeAttribute("aria-invalid"));
    form.querySelectorAll("span").forEach((said) => (said.textContent = ""));
    fill(bar, open);
  });
  bar.append(form);
  fill(bar, open);
}

// How many letters must change to make one word of the other.
function distance(one, other) {
  let row = [...other, ""].map((_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++)
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[other.length];
}

// What is wrong with an image's name, as parse_reference of convention.py judges it; here the registry may be left out.
function wrongName(text) {
  const start = [NAMES.start, NAMES.short].find((one) => text.startsWith(one));
  if (start === undefined) return `A name begins with ${NAMES.start}, or ${NAMES.short} for short.`;
  const [stack, ...rest] = text.slice(start.length).split(":");
  const tag = rest.join(":");
  if (!NAMES.stacks.includes(stack)) {
    const near = NAMES.stacks.find((one) => distance(one, stack) <= 2);
    return `There is no such stack. ${near ? `Did you mean ${near}?` : `The stacks are: ${NAMES.stacks.join(", ")}.`}`;
  }
  if (tag === "") return `The tag is missing. Add a release, such as :v1.0.0, or one of ${NAMES.moving.join(", ")}.`;
  if (NAMES.moving.includes(tag) || matches(NAMES.release, tag)) return "";
  if (tag === "latest") return `latest isn't used, as it doesn't say which version it is. Did you mean ${NAMES.moving[0]}, or a release?`;
  return `This isn't a tag of the convention. ${NAMES.hint} Or: ${NAMES.moving.join(", ")}.`;
}

function nameChecker(form) {
  const example = `${NAMES.start}${NAMES.stacks[0]}:v1.0.0`;
  const judge = (text) => {
    const wrong = text === "" ? "" : wrongName(text);
    return { wrong, right: text === "" || wrong ? "" : "This name follows the convention." };
  };
  const { place } = field("Check a name", example, judge, () => {});
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(place);
}

// A step that needs the one before it cannot be copied until its reader says that that one has worked.
document.querySelectorAll(".nb-after").forEach((block) => {
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  label.className = "nb-worked";
  label.append(box, "The step before has worked");
  block.before(label);
  block.classList.add("nb-wait");
  box.addEventListener("change", () => block.classList.toggle("nb-wait", !box.checked));
});

document.querySelectorAll("details.nb-values").forEach(ownValues);
document.querySelectorAll("form.nb-name").forEach(nameChecker);
