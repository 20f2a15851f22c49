"use strict";
// Text from data reaches the page by textContent and value alone, never as markup.
const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const KEYS = "123456789abcdefghijklmnopqrstuvwxyz";
const UNTOLD = "?";
const total = data.samples.length;
let answers = new Map(), at = 0, shownSet = -1, kept = true, unsaved = false;

function restore() {
  try {
    const known = new Set(data.samples.map(sample => sample.id));
    const saved = JSON.parse(localStorage.getItem(data.key) || "[]");
    answers = new Map(saved.filter(([id, answer]) => known.has(id) && typeof answer === "string"));
  } catch { /* nothing usable was kept */ }
  keep();
}

function keep() {
  try {
    localStorage.setItem(data.key, JSON.stringify([...answers]));
  } catch {
    kept = false;
    notice("This browser keeps nothing for this page: save gold.csv before you close it.");
  }
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
}

// The same as `guarded` in cotforge/gold/cells.py: no spreadsheet shall take an id or an answer for a formula.
function guarded(cell) {
  return spelled(/^'*[=+\-@\t\r]/.test(cell) && !/^[+-]?[0-9][0-9.,]*%?$/.test(cell) ? "'" + cell : cell);
}

// The same as `visible` and `spelled` in cotforge/visible.py: nobody sees these characters, so they are shown as escapes.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0d\u{e0100}-\u{e01ef}]/gu;
const ESCAPE = /\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})/;

function escaped(character) {
  const point = character.codePointAt(0).toString(16);
  return point.length < 3 ? "\\x" + point.padStart(2, "0") : point.length < 5 ? "\\u" + point.padStart(4, "0") : "\\U" + point.padStart(8, "0");
}

function visible(text, kept = "\n\t") {
  return text.replace(UNSEEN, character => kept.includes(character) ? character : escaped(character));
}

function spelled(text) {
  const shown = visible(text, "\n\t\r");
  if (shown === text && !ESCAPE.test(text)) return text;
  return [...text].map(character => character === "\\" ? "\\x5c" : visible(character, "\n\t\r")).join("");
}

function csv() {
  const cell = text => /[",\r\n;\t]|^\s|\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  // Each sample's probability of being drawn goes with its answer, and that of samples checked before, where another drawing has changed it.
  const drawn = "known" in data;
  const row = sample => [sample.id, answers.get(sample.id), ...(drawn ? [sample.drawn] : [])];
  const rows = data.samples.filter(sample => answers.has(sample.id)).map(row);
  const columns = ["id", "answer", ...(drawn ? ["drawn"] : [])];
  return [columns, ...rows, ...(rows.length && drawn ? data.known : [])].map(row => row.map(text => cell(guarded(text))).join(",") + "\r\n").join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv;charset=utf-8"}));
  link.download = "gold.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  say("gold.csv with " + answers.size + " answers is saved");
}

const say = text => { $("said").textContent = text; };
const sampleNow = () => data.samples[at];
const optionsNow = () => data.sets[sampleNow().options];

function give(answer) {
  if (at >= total) return;
  answers.set(sampleNow().id, answer);
  unsaved = true;
  keep();
  go(at + 1);
}

function clear() {
  if (at >= total) return;
  answers.delete(sampleNow().id);
  keep();
  show();
  if (!$("free").hidden) $("text").focus();
}

function go(place) {
  at = Math.max(0, Math.min(place, total));
  show();
  say(at < total ? at + 1 + " of " + total : $("sum").textContent);
}

const firstOpen = () => data.samples.findIndex(sample => !answers.has(sample.id));

function show() {
  const end = at >= total;
  $("ask").hidden = end;
  $("done").hidden = !end;
  $("at").textContent = end ? answers.size + " of " + total + " answered" : at + 1 + " of " + total;
  $("answered").textContent = end ? "" : " · " + answers.size + " answered";
  $("bar").style.width = 100 * answers.size / total + "%";
  if (end) showEnd(); else showSample();
  scrollTo(0, 0);
}

function showEnd() {
  const open = total - answers.size;
  $("sum").textContent = open ? open + " of " + total + " are still open" : "All " + total + " are answered. Thank you!";
  $("open").hidden = !open;
  $("saveend").focus();
}

function showSample() {
  const sample = sampleNow(), answer = answers.get(sample.id);
  $("question").textContent = visible(data.questions[sample.question]);
  // Not its id: that may be a path which tells the label.
  showPictures(sample);
  showOptions(sample.options);
  for (const button of $("options").children) button.setAttribute("aria-pressed", String(button.value === answer));
  $("untold").setAttribute("aria-pressed", String(answer === UNTOLD));
  $("clear").disabled = answer === undefined;
  $("back").disabled = at === 0;
  if (!$("free").hidden) $("text").value = answer === undefined || answer === UNTOLD ? "" : answer;
}

function showPictures(sample) {
  $("stage").replaceChildren(...sample.pictures.map((uri, place) => {
    if (!uri) return Object.assign(document.createElement("p"), {textContent: "This picture can no longer be read."});
    const image = Object.assign(document.createElement("img"), {src: uri, alt: "picture " + (place + 1) + " of " + sample.pictures.length});
    image.addEventListener("load", () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 96));
    return image;
  }));
}

// Buttons stay where they are as long as the set does, and with them the focus.
function showOptions(set) {
  if ($("filter").value) { $("filter").value = ""; narrow(); }
  if (set === shownSet) return;
  shownSet = set;
  const options = data.sets[set];
  $("free").hidden = options.length > 0;
  $("finding").hidden = options.length <= 20;
  $("options").replaceChildren(...options.map(optionButton));
  const wordy = options.some(option => option.length > 14);
  $("options").classList.toggle("wordy", wordy);
  $("options").classList.toggle("many", options.length > 10 && !wordy);
  $("options").classList.toggle("long", options.length > 20);
}

function optionButton(option, place) {
  const button = Object.assign(document.createElement("button"), {type: "button", value: option});
  if (place < KEYS.length) {
    const hint = Object.assign(document.createElement("kbd"), {textContent: KEYS[place].toUpperCase()});
    hint.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-keyshortcuts", KEYS[place]);
    button.append(hint);
  }
  button.append(Object.assign(document.createElement("span"), {textContent: visible(option)}));
  button.addEventListener("click", () => give(option));
  return button;
}

function narrow() {
  const wanted = $("filter").value.trim().toLocaleLowerCase();
  for (const button of $("options").children) button.hidden = !button.value.toLocaleLowerCase().includes(wanted);
}

function typed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || event.target instanceof HTMLInputElement) return;
  const key = event.key.toLowerCase();
  if (key === "arrowleft") go(at - 1);
  else if (at >= total) return;
  else if (key === "arrowright") go(at + 1);
  else if (key === UNTOLD) give(UNTOLD);
  else if (key === "backspace" || key === "delete") clear();
  else if (key === "/" && optionsNow().length > 20) $("filter").focus();
  else if (key.length === 1 && KEYS.includes(key) && KEYS.indexOf(key) < optionsNow().length) give(optionsNow()[KEYS.indexOf(key)]);
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", typed);
$("filter").addEventListener("input", narrow);
$("filter").addEventListener("keydown", event => {
  const first = [...$("options").children].find(button => !button.hidden);
  if (event.key === "Escape") { $("filter").value = ""; narrow(); $("filter").blur(); }
  else if (event.key === "Enter" && !event.isComposing && $("filter").value.trim() && first) give(first.value);
});
$("free").addEventListener("submit", event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) give(text);
});
$("untold").addEventListener("click", () => give(UNTOLD));
$("clear").addEventListener("click", clear);
$("back").addEventListener("click", () => go(at - 1));
$("next").addEventListener("click", () => go(at + 1));
$("again").addEventListener("click", () => go(total - 1));
$("open").addEventListener("click", () => go(firstOpen()));
for (const id of ["save", "saveend"]) $(id).addEventListener("click", save);
window.addEventListener("beforeunload", event => { if (!kept && unsaved) event.preventDefault(); });

$("then").textContent = data.then;
restore();
at = Math.max(0, firstOpen() < 0 ? total : firstOpen());
show();
