// Small parts of which the page is made; text is never read as HTML.

const OUTCOMES = { dropped: "dropped", eroded: "eroded", kept: "kept whole", true: "in the ground truth", lost: "lost: had found an object" };
const MARKS = { dropped: "✕", eroded: "◐", kept: "●", true: "◇" };

const byId = (id) => document.getElementById(id);

function element(tag, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// What is said of a segment, as elements that fit a button as well as the tip.
function lines(segment, layer) {
  const share = layer ? ` · ${((100 * segment.area) / layer.pixels).toFixed(1)} %` : "";
  const title = segment.score === null ? segment.name : `${segment.name} ${segment.score.toFixed(2)}`;
  const mark = element("i", { className: `mark ${segment.outcome}`, text: MARKS[segment.outcome] });
  const kind = segment.isthing ? "thing" : "stuff";
  const outcome = segment.outcome === "true" ? kind : `${kind}, ${segment.outcome}`;
  return [
    element("span", { className: "name" }, mark, element("b", { text: title })),
    element("span", { className: "area", text: `${outcome} · ${segment.area.toLocaleString("en")} px${share}` }),
    ...(segment.text ? [element("span", { className: "why", text: segment.text })] : []),
  ];
}

// Beside the pointer, and inside the window.
function placeTip(tip, event) {
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const gap = event.pointerType === "mouse" ? 16 : 28;
  const right = event.clientX + gap;
  const below = event.clientY + gap;
  const x = right + width < window.innerWidth ? right : Math.max(event.clientX - gap - width, 4);
  const y = below + height < window.innerHeight ? below : Math.max(event.clientY - gap - height, 4);
  tip.style.transform = `translate(${x}px, ${y}px)`;
}

const option = (value, text) => element("option", { value, text });

const short = (value) => (Number.isInteger(value) ? String(value) : value.toPrecision(3));

function fill(place, text) {
  place.textContent = text;
  place.hidden = !text;
}
