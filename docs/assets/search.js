// The search's worker: the theme's finds and marks words, and this ranks what is found. WORKER, its file, stands before this.
// Small words are dropped from a query; what is left counts by how rare it is, and most of it must be there.
const SMALL = new Set(
  ("a after an and are as at be by can cant could did do does doesn don for from get gets has have how i if in is isn it its me mean my need " +
    "not of on or our please should so t that the their there these they this to up use used using want was we when where why will " +
    "with would you your").split(" "),
);
const ASKING = new Set(["what", "which"]); // these count where words.toml has them beside another word of the query, and are not missed elsewhere
const COUNTS = { words: 14, title: 9, ofPage: 4, text: 1, sections: 0.5 };
const text = (html) => html.replace(/<[^>]*>/g, " ").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&").toLowerCase();
const singular = (word) => (word.length > 3 ? word.replace(/(?<=sh|ch|ss|x)es$|(?<=[^s])s$/, "") : word);
const wordsOf = (html) => (text(html).match(/\w+(?:\.\d+)*/g) ?? []).map(singular);
const all = new Map();
const curated = new Set();
const pages = new Map();

function counted(words) {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function add(doc) {
  const page = doc.location.split("#")[0];
  if (!pages.has(page)) pages.set(page, doc);
  const phrases = [doc.title, ...(doc.phrases ?? [])].map((phrase) => wordsOf(phrase).join(" "));
  if (page !== doc.location) wordsOf(doc.title + " " + doc.text).forEach((word) => all.get(page).sections.add(word));
  wordsOf(doc.words ?? "").forEach((word) => curated.add(word));
  all.set(doc.location, {
    doc, page, phrases,
    title: counted(wordsOf(doc.title)),
    sections: new Set(),
    words: new Set(wordsOf(doc.words ?? "")),
    text: counted(wordsOf(doc.text)),
    plain: ` ${wordsOf(doc.title).join(" ")} ${wordsOf(doc.text).join(" ")} `,
  });
}

// The content of a query; of one that is nothing but small words, all of them.
function contentOf(query) {
  const words = [...new Set(text(query).match(/\w+(?:\.\d+)*/g) ?? [])];
  const content = words.filter((word) => !SMALL.has(word));
  return (content.length ? content : words).map(singular);
}

// How well a word is found among others: whole, as the beginning of one, or with an ending that they lack.
function found(word, others, last) {
  if (others.has(word)) return 1 + Math.log2(others.get?.(word) ?? 1) / 4;
  for (const other of others.keys()) {
    if ((word.length > 4 || (last && word.length > 1)) && other.startsWith(word)) return 0.6;
    if (other.length > 4 && word.startsWith(other) && word.length - other.length < 4) return 0.5;
  }
  return 0;
}

function weigh(entry, word, last) {
  if (ASKING.has(word)) return 0;
  const page = all.get(entry.page);
  const section = entry !== page;
  return Math.max(
    COUNTS.title * found(word, entry.title, last),
    section ? COUNTS.ofPage * Math.max(page.words.has(word) ? 1 : 0, found(word, page.title, last)) : 0,
    COUNTS.text * found(word, entry.text, last),
    COUNTS.sections * found(word, entry.sections, last),
  );
}

// What a word of words.toml gives, however rare it is.
function curatedGain(entry, word, rarity, words) {
  if (!entry.words.has(word)) return 0;
  if (!ASKING.has(word)) return COUNTS.words * Math.max(2.5, Math.min(4, rarity));
  return words.some((other) => !ASKING.has(other) && (entry.words.has(other) || entry.title.has(other))) ? COUNTS.words * 4 : 0;
}

// Entries by location, with their scores.
function rank(query) {
  const words = contentOf(query);
  const phrase = words.filter((word) => !ASKING.has(word)).join(" ");
  const whole = wordsOf(query).join(" ");
  const weights = words.map((word, at) => [...all.values()].map((entry) => weigh(entry, word, at === words.length - 1)));
  const rarity = weights.map((of) => Math.log(1 + all.size / (1 + of.filter((weight) => weight > 0).length)));
  const known = (of, at) => !ASKING.has(words[at]) && (of.some((weight) => weight > 0) || curated.has(words[at])); // a word that no page has is not missed
  const wanted = weights.filter(known).length || 1;
  const scored = [...all.values()].map((entry, at) => {
    const met = weights.filter((of, word) => of[at] > 0 || (entry.words.has(words[word]) && !ASKING.has(words[word]))).length / wanted;
    const gains = weights.map((of, word) => curatedGain(entry, words[word], rarity[word], words) || of[at] * rarity[word]);
    let score = gains.reduce((sum, gain) => sum + gain, 0) * met ** 1.5;
    if (entry.phrases.includes(whole) || entry.phrases.includes(phrase)) score += 20 * words.length;
    if (words.length > 1 && entry.plain.includes(` ${whole} `)) score += 12;
    return { entry, met, score: score * (entry.doc.boost ?? 1) };
  });
  const most = scored.some(({ met }) => met >= 0.5) ? 0.5 : 0;
  return scored.filter(({ met, score }) => met >= most && score > 0).sort((a, b) => b.score - a.score);
}

// The theme's items, in our order; what it did not find itself is shown as it stands.
function arrange(query, marked) {
  const known = new Map(marked.flat().map((item) => [item.location, item]));
  const groups = new Map();
  for (const { entry, score } of rank(query)) {
    const item = { ...(known.get(entry.doc.location) ?? { ...entry.doc, terms: {} }), score };
    groups.set(entry.page, [...(groups.get(entry.page) ?? []), item]);
  }
  for (const [page, items] of groups) {
    const missing = !items.some((item) => item.location === page);
    if (missing) items.push({ ...pages.get(page), score: 0, terms: {} });
  }
  return [...groups.values()];
}

const [SETUP, QUERY, RESULT] = [0, 2, 3];
const asked = [];
if (typeof importScripts === "function") {
  const post = self.postMessage.bind(self);
  self.postMessage = (message) =>
    post(message.type === RESULT ? { ...message, data: { ...message.data, items: arrange(asked.shift(), message.data.items) } } : message);
  self.addEventListener("message", (event) => {
    if (event.data.type === SETUP) event.data.data.docs.forEach(add);
    if (event.data.type !== QUERY || event.data.content) return;
    event.stopImmediatePropagation();
    asked.push(event.data.data);
    self.dispatchEvent(new MessageEvent("message", { data: { ...event.data, data: contentOf(event.data.data).join(" "), content: true } }));
  });
  importScripts(new URL(WORKER, self.document?.currentScript.src ?? location.href).href);
}
