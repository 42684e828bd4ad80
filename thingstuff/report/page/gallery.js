// The gallery: small pictures in the order of a rank, of the images that pass the filters.

function makeGallery(index, viewer) {
  const list = byId("images");
  const [rank, kind, outcome, name] = ["rank", "class", "outcome", "name"].map(byId);
  const tiles = index.images.map(tile);
  let descending = !index.lowFirst.includes(index.ranks[0]);
  let shown = []; // numbers of images, in order

  function tile(image, number) {
    const picture = element("img", { loading: "lazy", decoding: "async", alt: "", src: image.small });
    const caption = element("span", { className: "key", title: image.key }, element("bdi", { text: image.key }));
    const button = element("button", { type: "button" }, picture, caption, element("span", { className: "rank" }));
    button.addEventListener("click", () => viewer.open(number, shown));
    return element("li", {}, button);
  }

  function passes(image) {
    if (name.value && !image.key.toLowerCase().includes(name.value.toLowerCase())) return false;
    if (!kind.value && !outcome.value) return true;
    const isWanted = ([c, o]) => (!kind.value || c === +kind.value) && (!outcome.value || o === +outcome.value);
    return image.has.some(isWanted);
  }

  // Images without the rank come last either way.
  function byRank(a, b) {
    const [x, y] = [a, b].map((number) => index.images[number].ranks[rank.value] ?? null);
    if (x === null || y === null) return (x === null) - (y === null);
    return descending ? y - x : x - y;
  }

  function show() {
    shown = [...index.images.keys()].filter((number) => passes(index.images[number])).sort(byRank);
    for (const number of shown) {
      const value = index.images[number].ranks[rank.value];
      tiles[number].querySelector(".rank").textContent = typeof value === "number" ? short(value) : "";
    }
    list.replaceChildren(...shown.map((number) => tiles[number]));
    byId("direction").textContent = descending ? "highest first" : "lowest first";
    const all = index.images.length;
    byId("count").textContent = shown.length === all ? `${all} images` : `${shown.length} of ${all} images`;
  }

  rank.append(...index.ranks.map((entry) => option(entry, entry)));
  for (const id of ["rank-label", "direction"]) byId(id).hidden = !index.ranks.length;
  kind.append(...index.classes.map((entry, place) => option(place, entry)));
  outcome.append(...index.usedOutcomes.map((place) => option(place, OUTCOMES[index.outcomes[place]])));
  rank.addEventListener("input", () => (descending = !index.lowFirst.includes(rank.value)));
  for (const control of [rank, kind, outcome, name]) control.addEventListener("input", show);
  byId("direction").addEventListener("click", () => {
    descending = !descending;
    show();
  });
  list.closest("section").querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  viewer.onClose((number) => tiles[number]?.querySelector("button").focus());
  show();
}
