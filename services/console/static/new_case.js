// The pictures of a new case: chosen or dropped, turned into fingerprints by a worker, one after another. Only those are sent.

const worker = new Worker("/desk/static/fingerprint_worker.js", { type: "module" });
const list = document.getElementById("file-list");
const progress = document.getElementById("progress");
const field = document.getElementById("pictures-field");
const declare = document.getElementById("declare");
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const pictures = new Map();
let next = 0;
let waiting = 0;

document.getElementById("wrong")?.focus();
JSON.parse(field.value || "[]").forEach((fingerprints) => add("A picture added before", fingerprints));
told();

input.addEventListener("change", () => {
  take(input.files);
  input.value = "";
});
drop.addEventListener("dragover", (event) => event.preventDefault());
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
worker.addEventListener("message", ({ data: { id, fingerprints, problem } }) => {
  waiting -= 1;
  const entry = pictures.get(id);
  if (entry) {
    entry.fingerprints = fingerprints;
    entry.state.textContent = problem ?? "ready";
  }
  told();
});

function take(files) {
  for (const file of files) {
    const id = add(file.name, null);
    waiting += 1;
    worker.postMessage({ id, file });
  }
  told();
}

function add(name, fingerprints) {
  const id = next++;
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.textContent = name;
  const state = document.createElement("span");
  state.textContent = fingerprints ? "ready" : "being read";
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button quiet";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => {
    pictures.delete(id);
    item.remove();
    input.focus();
    told();
  });
  item.append(label, state, remove);
  list.append(item);
  pictures.set(id, { fingerprints, state });
  return id;
}

function told() {
  const ready = [...pictures.values()].filter((entry) => entry.fingerprints);
  field.value = JSON.stringify(ready.map((entry) => entry.fingerprints));
  declare.disabled = waiting > 0;
  if (waiting > 0) progress.textContent = `${waiting} still to be read.`;
  else progress.textContent = pictures.size ? `${ready.length} of ${pictures.size} ready.` : "";
}
