"use strict";
// Text from data reaches the page by textContent alone, never as markup.
const $ = id => document.getElementById(id);
const WIDTH = 460, NONE = 255, RESCUED = 4, UNWANTED = 8;

// A sample is five bytes (state, confidence, class, traces, how many of these repeat an earlier lesson: the last ones), then a byte for each
// measure of each trace. A byte is 2 i + 1 where the value
// is the slider's position i, and 2 i where it lies just below: see cotforge/report/recount.py.
function explore(data) {
  const bytes = Uint8Array.from(atob(data.codes), one => one.charCodeAt(0));
  const sliders = [data.target, ...data.sliders];
  const inputs = sliders.map((_, place) => $("slider-" + place));
  const factor = data.kept ? data.total / data.kept : 0;
  const whole = Math.max(data.known.rows, 1);
  const steps = ["agreed", "rescued", "filters", "dedup", "select"].filter(name => name in data.known);
  const number = new Intl.NumberFormat("en");

  function isAgreed(state, sure, at) {
    const kind = state & 3;
    if (kind === 0) return at <= data.target.at || sure >= 2 * at + 1;
    return kind === 1 && at < data.target.at && sure >= 2 * at + 1;
  }

  function count(places) {
    const found = { agreed: 0, rescued: 0, filters: 0, dedup: 0, select: 0, lessons: 0, classes: new Array(data.classes.length + 1).fill(0) };
    const wanted = data.sliders.map((slider, place) => [slider.column, slider.side === "min", 2 * places[place + 1] + 1]);
    for (let at = 0; at < bytes.length;) {
      const [state, sure, answer, traces, repeats] = bytes.subarray(at, at + 5);
      const first = at + 5;
      at = first + traces * data.columns;
      const agreed = isAgreed(state, sure, places[0]);
      if (!agreed && !(state & RESCUED)) continue;
      found.agreed += agreed;
      found.rescued += 1;
      let good = 0, again = 0;
      for (let place = 0; place < traces; place += 1) {
        const trace = first + place * data.columns;
        let holds = true;
        for (const [column, least, bound] of wanted) {
          const value = bytes[trace + column];
          holds &&= value === NONE || (least ? value >= bound : value <= bound);
        }
        if (place < traces - repeats) good += holds; else again += holds;
      }
      if (!good && !again) continue;
      found.filters += 1;
      if (!good) continue;
      found.dedup += 1;
      if (state & UNWANTED) continue;
      found.select += 1;
      found.lessons += Math.min(good, data.perSample);
      found.classes[answer] += 1;
    }
    return found;
  }

  const start = count(sliders.map(slider => slider.at));

  function step(name, value, before) {
    $(`step-${name}-bar`).parentNode.classList.toggle("moved", value !== before);
    $(`step-${name}-bar`).setAttribute("width", Math.max(value ? 1.5 : 0, WIDTH * value / whole).toFixed(2));
    $(`step-${name}-text`).textContent = number.format(value) + (data.known.rows ? ` · ${(100 * value / data.known.rows).toFixed(1)}%` : "");
  }

  function setting(slider, place, value) {
    if (place) return `--set ${slider.path}=${value}`;
    return data.target.targeted ? `--set consensus.target=${value}` : `--set 'filters.+={measure: confidence, min: ${value}}'`;
  }

  function show() {
    const places = inputs.map(input => Number(input.value));
    const now = count(places);
    const about = name => Math.round(start[name] ? data.known[name] * now[name] / start[name] : now[name] * factor);
    steps.forEach(name => step(name, about(name), data.known[name]));
    const words = [];
    sliders.forEach((slider, place) => {
      const value = slider.positions[places[place]], before = slider.positions[slider.at];
      const text = Number(value.toPrecision(6)).toString();
      $("value-" + place).textContent = value === before ? text : `${Number(before.toPrecision(6))} → ${text}`;
      inputs[place].setAttribute("aria-valuetext", text);
      if (value !== before) words.push(setting(slider, place, value));
    });
    const lessons = about("lessons");
    const change = lessons - data.known.lessons, moved = words.length > 0;
    const sign = change > 0 ? "+" : "";
    $("now").textContent = `${number.format(lessons)} lesson${lessons === 1 ? "" : "s"}`;
    $("change").textContent = !moved ? "with the present bounds" : change ? `instead of ${number.format(data.known.lessons)} (${sign}${number.format(change)})` : "as with the present bounds";
    $("how").hidden = $("back").disabled = !moved;
    $("command").textContent = `cotforge curate ${data.run} ${words.join(" ")}`;
    bars(now);
  }

  function bars(now) {
    const few = data.classes.slice(0, 24), most = Math.max(1, ...start.classes, ...now.classes);
    $("perclass").hidden = few.length < 2;
    $("mini").replaceChildren(...few.flatMap((name, place) => {
      const [told, bar, amount] = ["span", "i", "span"].map(tag => document.createElement(tag));
      told.textContent = told.title = name;
      bar.style.width = `${100 * now.classes[place] / most}%`;
      const [amounts, before] = [now, start].map(one => Math.round(one.classes[place] * factor));
      amount.textContent = number.format(amounts) + (amounts === before ? "" : ` (was ${number.format(before)})`);
      return [told, bar, amount];
    }));
  }

  sliders.forEach((slider, place) => {
    inputs[place].max = slider.positions.length - 1;
    inputs[place].value = inputs[place].defaultValue = slider.at;
    inputs[place].disabled = slider.positions.length < 2;
    inputs[place].addEventListener("input", show);
  });
  $("explorer").addEventListener("reset", () => setTimeout(show));
  $("explorer").addEventListener("submit", event => event.preventDefault());
  if (data.kept < data.total) {
    $("sampled").textContent = `Estimated from ${number.format(data.kept)} of ${number.format(data.total)} samples, drawn evenly.`;
    $("sampled").hidden = false;
  }
  $("explorer").hidden = false;
  show();
}

function browse() {
  const samples = [...document.querySelectorAll(".sample")], buttons = [...document.querySelectorAll("#kinds button")];
  for (const button of buttons) button.addEventListener("click", () => {
    buttons.forEach(one => one.setAttribute("aria-pressed", one === button));
    samples.forEach(one => { one.hidden = button.dataset.kind !== "" && one.dataset.kind !== button.dataset.kind; });
  });
  for (const image of document.querySelectorAll(".look img")) {
    const look = () => image.classList.toggle("tiny", image.naturalWidth < 128);
    image.complete ? look() : image.addEventListener("load", look);
  }
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
    const there = samples.filter(one => !one.hidden), focus = document.activeElement.closest(".sample");
    const next = focus ? there.indexOf(focus) + (event.key === "j" ? 1 : -1) : there.findIndex(one => one.getBoundingClientRect().bottom > 80);
    if (there[next]) {
      there[next].focus({ preventScroll: true });
      there[next].scrollIntoView({ block: "start" });
    }
  });
  $("kinds").hidden = false;
}

if ($("recount").textContent) explore(JSON.parse($("recount").textContent));
if ($("samples")) browse();
