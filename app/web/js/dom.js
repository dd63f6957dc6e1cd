/** Small helpers over the DOM; nothing here writes HTML from text. */

export const HUES = 8;

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The colour and the mark of a speaker: eight colours, and after those the mark changes. */
export function setHue(element, speaker) {
  element.dataset.hue = speaker % HUES;
  element.dataset.round = Math.floor(speaker / HUES) % 3;
}

/**
 * A speaker's name that turns into a field in place. Enter keeps, Escape leaves; `onRename(speaker, name)`, or null for
 * readers who may not.
 */
export function nameButton(speaker, transcript, onRename) {
  const label = make("span", {}, transcript.name(speaker));
  label.dataset.nameOf = speaker;
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  if (!onRename) return make("span", { class: "name" }, mark, label);
  const button = make("button", { class: "name", type: "button", title: "Rename" }, mark, label);
  button.addEventListener("click", () => edit(button, speaker, transcript, onRename));
  return button;
}

function edit(button, speaker, transcript, onRename) {
  const field = make("input", { class: "name-field", maxlength: "80", "aria-label": `Name of ${transcript.name(speaker)}` });
  field.value = transcript.names.get(speaker) ?? "";
  field.placeholder = `Speaker ${speaker + 1}`;
  let finished = false;
  const finish = (keep) => {
    if (finished) return;
    finished = true;
    const name = field.value.trim();
    field.replaceWith(button);
    button.focus();
    if (keep && name !== (transcript.names.get(speaker) ?? "")) onRename(speaker, name);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault(); // or the key would press the button that comes back
    finish(event.key === "Enter");
  });
  field.addEventListener("blur", () => finish(true));
  button.replaceWith(field);
  field.focus();
  field.select();
}

/** Offers a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
