"use strict";
// The page's data: colours, methods, keys to sort by, and examples with their maps.
const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);

// Pixels of a picture's file, as RGBA.
async function pixelsOf(url) {
  const image = new Image();
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("A picture of this page cannot be read."));
    image.src = url;
  });
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Maps are stored as the square root of each pixel's share of the largest, in 256 steps.
function strengthsOf(map) {
  return Float32Array.from({ length: map.data.length / 4 }, (_, i) => (map.data[4 * i] / 255) ** 2);
}

function colour(strength) {
  const at = strength * (data.colours.length - 1);
  const below = Math.min(Math.floor(at), data.colours.length - 2);
  return [0, 1, 2].map((c) => {
    const [low, high] = [data.colours[below][c], data.colours[below + 1][c]];
    return 255 * (low + (at - below) * (high - low));
  });
}

function draw(view, opacity, percentile) {
  const sorted = view.sorted;
  const rank = Math.round((percentile / 100) * (sorted.length - 1));
  const full = sorted[rank] > 0 ? sorted[rank] : sorted[sorted.length - 1];
  const picture = new ImageData(view.image.width, view.image.height);
  for (let i = 0; i < view.strengths.length; i++) {
    const strength = full > 0 ? Math.min(view.strengths[i] / full, 1) : 0;
    const cover = opacity * strength ** 0.7;
    const [r, g, b] = view.image.data.subarray(4 * i, 4 * i + 3);
    const grey = 0.75 * (0.299 * r + 0.587 * g + 0.114 * b);
    const hot = colour(strength);
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = (1 - cover) * grey + cover * hot[c];
    picture.data[4 * i + 3] = 255;
  }
  view.canvas.getContext("2d").putImageData(picture, 0, 0);
}

function figure(picture, title, lines) {
  const made = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const heading = document.createElement("b");
  heading.textContent = title;
  caption.append(heading, ...lines.flatMap((line) => [line, document.createElement("br")]));
  made.append(picture, caption);
  return made;
}

const views = [];
async function build(example) {
  const row = document.createElement("div");
  row.className = "example";
  const image = new Image();
  image.src = example.image;
  row.append(figure(image, example.name, example.notes));
  const pixels = await pixelsOf(example.image);
  for (const method of data.methods) {
    const found = example.methods[method];
    if (!found || !found.map) continue;
    const canvas = document.createElement("canvas");
    canvas.width = pixels.width;
    canvas.height = pixels.height;
    const strengths = strengthsOf(await pixelsOf(found.map));
    views.push({ canvas, image: pixels, strengths, sorted: strengths.slice().sort() });
    row.append(figure(canvas, method, found.notes));
  }
  example.row = row;
}

function redraw() {
  const [opacity, percentile] = ["opacity", "percentile"].map((id) => Number(element(id).value));
  element("opacity-value").value = opacity.toFixed(2);
  element("percentile-value").value = percentile.toFixed(1);
  for (const view of views) draw(view, opacity, percentile);
}

function sortExamples() {
  const [key, method] = [element("key").value, element("method").value];
  const sign = element("descending").checked ? -1 : 1;
  const value = (example) => example.methods[method]?.values[key] ?? Infinity * sign;
  const sorted = [...data.examples].sort((a, b) => sign * (value(a) - value(b)) || 0);
  element("rows").replaceChildren(...sorted.map((example) => example.row));
}

function sortTable(heading) {
  const body = heading.closest("table").tBodies[0];
  const at = heading.cellIndex;
  const sign = heading.dataset.sign === "-1" ? 1 : -1;
  heading.dataset.sign = sign;
  const value = (row) => Number(row.cells[at].dataset.value || NaN);
  const compare = (a, b) =>
    at === 0
      ? sign * b.cells[0].textContent.localeCompare(a.cells[0].textContent)
      : (Number.isNaN(value(a)) - Number.isNaN(value(b))) || sign * (value(a) - value(b));
  body.append(...[...body.rows].sort(compare));
}

async function main() {
  for (const key of data.keys) element("key").add(new Option(key));
  for (const method of data.methods) element("method").add(new Option(method));
  for (const example of data.examples) await build(example);
  for (const id of ["key", "method", "descending"]) element(id).onchange = sortExamples;
  for (const id of ["opacity", "percentile"]) element(id).oninput = redraw;
  for (const heading of document.querySelectorAll("thead th")) {
    heading.onclick = () => sortTable(heading);
  }
  sortExamples();
  redraw();
  document.body.dataset.ready = String(views.length);
}

main();
