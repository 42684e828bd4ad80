// The large view: two views of an image under a seam that moves, and what lies under the pointer.

const DRAG_PX = 6; // a press that moves less is a tap

function makeViewer(index) {
  const dialog = byId("viewer");
  const stage = byId("stage");
  const sides = { left: byId("left-view"), right: byId("right-view") };
  const details = loader(index);
  let order = []; // numbers of the images that the gallery shows
  let number = -1; // of the image shown
  let detail = null;
  let chosen = {}; // the views chosen by hand, kept from image to image
  let shown = null; // the segment whose outline is drawn

  async function show(wanted) {
    number = wanted;
    const image = index.images[wanted];
    byId("viewer-name").textContent = image.key;
    byId("viewer-place").textContent = placeText(image);
    clear();
    fill(byId("message"), "");
    let loaded;
    try {
      loaded = await details(wanted);
    } catch (error) {
      fill(byId("message"), error.message);
      return;
    }
    if (number !== wanted) return; // another one was asked for meanwhile
    detail = loaded;
    stage.parentElement.style.setProperty("--ratio", image.width / image.height);
    const views = Object.keys(detail.pictures);
    for (const side of ["left", "right"]) {
      const view = Object.hasOwn(detail.pictures, chosen[side]) ? chosen[side] : image.pair[side === "left" ? 0 : 1];
      sides[side].replaceChildren(...views.map((name) => option(name, keyedName(name))));
      sides[side].value = view;
    }
    showViews();
  }

  function placeText(image) {
    const ranks = index.ranks.filter((name) => typeof image.ranks[name] === "number");
    const values = ranks.map((name) => `${name} ${short(image.ranks[name])}`);
    return [`${order.indexOf(number) + 1} of ${order.length}`, `${image.width} × ${image.height}`, ...values].join(" · ");
  }

  function keyedName(view) {
    const key = index.views.indexOf(view) + 1;
    return key <= 10 ? `${key % 10}  ${view}` : view;
  }

  function showViews() {
    for (const side of ["left", "right"]) {
      const picture = byId(`${side}-picture`);
      picture.src = detail.pictures[sides[side].value];
      picture.alt = `${sides[side].value} of ${index.images[number].key}`;
    }
    clear();
    listSegments();
  }

  function choose(side, view) {
    if (!detail || !Object.hasOwn(detail.pictures, view)) return;
    sides[side].value = view;
    chosen[side] = view;
    showViews();
  }

  function step(by) {
    const place = order.indexOf(number) + by;
    if (place >= 0 && place < order.length) show(order[place]);
  }

  // The layer of a view; else that of the same store, which has the same name before the colon.
  function layerName(view) {
    if (Object.hasOwn(detail.layers, view)) return view;
    const store = (name) => name.split(": ")[0];
    return Object.keys(detail.layers).find((name) => name.includes(": ") && store(name) === store(view));
  }

  function visibleLayers() {
    return [...new Set([layerName(sides.right.value), layerName(sides.left.value)])].filter((name) => name);
  }

  function listSegments() {
    const lists = visibleLayers().flatMap((name) => listOf(name, detail.layers[name]));
    byId("segments").replaceChildren(...lists);
  }

  function listOf(name, layer) {
    const all = [...layer.dropped, ...layer.segments];
    const sorted = Object.keys(MARKS).flatMap((outcome) => all.filter((segment) => segment.outcome === outcome));
    const rows = sorted.map((segment) => element("li", {}, segmentButton(layer, segment)));
    const counts = Object.keys(MARKS).map((outcome) => [all.filter((s) => s.outcome === outcome).length, outcome]);
    const words = counts.filter(([count, outcome]) => count && outcome !== "true").map(([n, o]) => `${n} ${o}`);
    return [
      element("h3", { text: name }),
      element("p", { className: "note", text: words.join(", ") || `${all.length} segments` }),
      element("ul", {}, ...rows),
    ];
  }

  function segmentButton(layer, segment) {
    const button = element("button", { type: "button" }, ...lines(segment));
    const point = () => {
      clear();
      outline(layer, segment);
    };
    button.addEventListener("pointerenter", point);
    button.addEventListener("focus", point);
    button.addEventListener("click", () => {
      stage.scrollIntoView({ block: "nearest" }); // on a phone it stands far above the list
      point();
    });
    button.addEventListener("pointerleave", clear);
    button.addEventListener("blur", clear);
    return button;
  }

  function outline(layer, segment) {
    if (segment !== shown) drawOutline(byId("outline"), layer, segment, index.images[number]);
    shown = segment;
  }

  function clear() {
    outline(null, null);
    byId("tip").hidden = true;
  }

  function pointAt(event) {
    if (!detail) return;
    const bounds = stage.getBoundingClientRect();
    const [x, y] = [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
    const [here, there] = 100 * x < byId("wipe").value ? ["left", "right"] : ["right", "left"];
    const name = layerName(sides[here].value) ?? layerName(sides[there].value);
    if (!name) return;
    const layer = detail.layers[name];
    const segment = layer.segments[placeAt(layer, x, y) - 1] ?? null;
    outline(layer, segment);
    const telling = (other) => visibleLayers().includes(other) || !other.includes(": ") || other.endsWith(": panoptic");
    const others = Object.keys(detail.layers).filter((other) => other !== name && telling(other));
    const elsewhere = others.map((other) => {
      const found = detail.layers[other].segments[placeAt(detail.layers[other], x, y) - 1];
      return element("p", { className: "note", text: `${other}: ${found ? found.name : "nothing"}` });
    });
    const said = segment ? lines(segment, layer) : [element("p", { text: "nothing here" })];
    byId("tip").replaceChildren(element("p", { className: "note", text: name }), ...said, ...elsewhere);
    placeTip(byId("tip"), event);
  }

  function wipeTo(percent) {
    byId("wipe").value = percent;
    stage.style.setProperty("--wipe", `${byId("wipe").value}%`);
  }

  function followPointer() {
    let from = null; // where a press began
    let dragged = false;
    const wipe = (event) => {
      const bounds = stage.getBoundingClientRect();
      wipeTo((100 * (event.clientX - bounds.left)) / bounds.width);
    };
    stage.addEventListener("pointerdown", (event) => {
      from = event.clientX;
      dragged = false;
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (from !== null && Math.abs(event.clientX - from) > DRAG_PX) dragged = true;
      if (dragged) {
        clear();
        wipe(event);
      } else if (event.pointerType === "mouse") pointAt(event);
    });
    stage.addEventListener("pointerup", (event) => {
      if (!dragged && event.pointerType !== "mouse") pointAt(event);
      from = null;
      dragged = false;
    });
    stage.addEventListener("pointercancel", () => {
      from = null;
      dragged = false;
    });
    stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && clear());
  }

  function onKey(event) {
    if (!dialog.open || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    if (digit) choose(event.shiftKey ? "left" : "right", index.views[(+digit[1] || 10) - 1]);
    if (event.target.matches("input")) return; // there the arrows move the seam
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  }

  for (const side of ["left", "right"]) sides[side].addEventListener("change", () => choose(side, sides[side].value));
  byId("swap").addEventListener("click", () => {
    const [left, right] = [sides.left.value, sides.right.value];
    choose("left", right);
    choose("right", left);
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  byId("wipe").addEventListener("input", (event) => wipeTo(event.target.value));
  dialog.addEventListener("scroll", () => (byId("tip").hidden = true));
  document.addEventListener("keydown", onKey); // a removed button leaves the focus outside the dialog
  followPointer();

  return {
    open(wanted, numbers) {
      order = numbers;
      wipeTo(50);
      dialog.showModal();
      show(wanted);
    },
    onClose: (act) => dialog.addEventListener("close", () => act(number)),
  };
}
