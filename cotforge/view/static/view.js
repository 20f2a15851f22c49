"use strict";
// Text from data reaches the page by the server's escaping and by textContent alone, never as markup.
const one = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const LAST = "cotforge-last";

function follow(selector) {
  const link = one(selector);
  if (link) location.assign(link.href);
  return Boolean(link);
}

function reload() {
  if (document.activeElement instanceof HTMLInputElement) setTimeout(reload, 1000);
  else location.reload();
}

// Pages of a search or a source that is still being read come again by themselves.
if (one("[data-again]")) setTimeout(reload, 700);

async function send(body) {
  const answer = await fetch("./answer", {
    method: "POST", headers: {"Content-Type": "application/json", "X-Cotforge": "1"}, body: JSON.stringify(body),
  });
  const type = answer.headers.get("Content-Type") || "";
  return type.includes("json") ? answer.json() : {fault: await answer.text()};
}

function tell(text, isFault) {
  const line = one("#mine");
  line.textContent = text;
  line.classList.toggle("fault", Boolean(isFault));
  line.classList.remove("none");
}

async function answer(button) {
  const desk = one("#sample"), does = button.dataset.does;
  if (does === "undo") return undo();
  const option = button.dataset.from ? one("#" + button.dataset.from).value.trim() : button.dataset.option;
  if (does === "option" && !option) return;
  const said = await send({key: desk.dataset.key, does, option, note: one("#note").value}).catch(fault => ({fault: String(fault)}));
  if (said.fault) return tell(said.fault, true);
  sessionStorage.setItem(LAST, location.href);
  if (does === "note") { one("#note").blur(); return tell("The note is saved."); }
  if (!follow("#later")) { tell("Saved: " + (said.saved === "?" ? "cannot be told" : said.saved) + ". This was the last sample of the list."); }
}

// Takes back the answer to this sample; where there is none, goes back to the sample that was answered last and takes that back.
async function undo() {
  const said = await send({key: one("#sample").dataset.key, does: "undo"}).catch(fault => ({fault: String(fault)}));
  if (said.fault) return tell(said.fault, true);
  if (said.undone) return location.reload();
  const last = sessionStorage.getItem(LAST);
  if (!last || last === location.href) return tell("There is nothing to undo.");
  sessionStorage.removeItem(LAST);
  await send({key: new URL(last).searchParams.get("key"), does: "undo"});
  location.assign(last);
}

function zoom() {
  one(".stage").classList.toggle("large");
}

function move(key) {
  const cards = all(".card"), at = cards.indexOf(document.activeElement);
  const top = card => card.getBoundingClientRect().top;
  const row = cards.filter(card => Math.abs(top(card) - top(cards[0])) < 4).length;
  const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row}[key];
  const next = at < 0 ? 0 : at + step;
  if (next >= cards.length) return step === 1 && follow("#later");
  if (next < 0) return step === -1 && follow("#earlier");
  cards[next].focus();
  cards[next].scrollIntoView({block: "nearest"});
  return true;
}

function pressed(key) {
  const button = all("button[data-key]").find(each => each.dataset.key === key.toLowerCase());
  if (button) { if (!button.disabled) button.click(); return true; }
  if (key === "?") { one("#help").showModal(); return true; }
  if (key === "/" && one("#search")) { one("#search").focus(); one("#search").select(); return true; }
  if (one("#sample")) {
    if (key === "ArrowRight" || key === "j") return follow("#later");
    if (key === "ArrowLeft" || key === "k") return follow("#earlier");
    if (key === "Escape") return follow("#back");
    if (key === "z") { zoom(); return true; }
    if (key === "n" && one("#note")) { one("#note").focus(); return true; }
  } else if (key.startsWith("Arrow") && one(".card")) return move(key);
  return false;
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || one("#help").open) return;
  const field = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (field && event.key === "Escape") return event.target.blur();
  if (field) return;
  if (pressed(event.key)) event.preventDefault();
});

all("#review button[data-does]").forEach(button => button.addEventListener("click", () => answer(button)));
all("#review input").forEach(input => input.addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  const button = input.parentElement.querySelector("button");
  if (button) answer(button);
}));
all("#review").forEach(form => form.addEventListener("submit", event => event.preventDefault()));
all(".stage img").forEach(image => {
  const fit = () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 96);
  if (image.complete) fit(); else image.addEventListener("load", fit);
  image.addEventListener("click", zoom);
});
// Pictures that only the source has are there once it is read that far.
function again(image, tries) {
  image.hidden = true;
  if (tries > 0) setTimeout(() => { image.src = image.src.replace(/&try=.*|$/, "&try=" + tries); }, 1000);
}
all('.card img[src*="first-picture"]').forEach(image => {
  let tries = 60;
  image.addEventListener("load", () => { image.hidden = false; });
  image.addEventListener("error", () => again(image, --tries));
  if (image.complete && !image.naturalWidth) again(image, tries);
});
all("#measure").forEach(choice => choice.addEventListener("change", () => choice.form.requestSubmit()));
one("#keys")?.addEventListener("click", () => one("#help").showModal());
if (matchMedia("(max-width: 60rem)").matches) all(".fold").forEach(fold => { fold.open = false; });
