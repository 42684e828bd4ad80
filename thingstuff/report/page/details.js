// What is known of one image, loaded when it is opened.

const KEPT_DETAILS = 6;

// number -> the pictures and layers of an image: inside the page, or in a script beside it that calls receiveImage.
function loader(index) {
  const nonce = document.currentScript.nonce;
  const kept = new Map();
  const arrived = new Map();
  window.receiveImage = (number, detail) => arrived.set(number, detail);

  function read(number) {
    if (!index.scripts.length) return Promise.resolve(JSON.parse(byId(`image-${number}`).textContent));
    const script = element("script", { src: index.scripts[number], nonce });
    return new Promise((resolve, reject) => {
      script.onload = () => resolve(arrived.get(number));
      script.onerror = () => reject(new Error(`${index.scripts[number]} is not there: it belongs beside this page`));
      document.head.append(script);
    }).finally(() => {
      script.remove();
      arrived.delete(number);
    });
  }

  async function complete(number) {
    const detail = await read(number);
    for (const layer of Object.values(detail.layers)) layer.places = await unpackMap(layer);
    return detail;
  }

  return (number) => {
    if (!kept.has(number)) kept.set(number, complete(number));
    const detail = kept.get(number);
    detail.catch(() => kept.delete(number));
    if (kept.size > KEPT_DETAILS) kept.delete(kept.keys().next().value);
    return detail;
  };
}

// The packed map of a layer -> an array of places in `segments` + 1, 0 for nothing; see layer_record.py.
async function unpackMap(layer) {
  const packed = Uint8Array.from(atob(layer.map), (letter) => letter.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = await new Response(plain).arrayBuffer();
  const places = layer.bytes === 1 ? new Uint8Array(bytes) : new Uint16Array(bytes);
  for (let i = layer.width; i < places.length; i++) places[i] ^= places[i - layer.width];
  return places;
}
