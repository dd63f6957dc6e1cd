/** Light, dark, or as the system: a button that goes round, remembered in this browser. */

const ORDER = ["auto", "light", "dark"];
const LABELS = { auto: "as the system", light: "light", dark: "dark" };

function read() {
  try {
    return ORDER.find((it) => it === localStorage.getItem("theme")) ?? "auto";
  } catch {
    return "auto"; // storage may be forbidden; then nothing is remembered
  }
}

function apply(theme, button) {
  document.documentElement.dataset.theme = theme;
  button.setAttribute("aria-label", `Colours: ${LABELS[theme]}. Change`);
  button.title = `Colours: ${LABELS[theme]}`;
  document.dispatchEvent(new Event("themechange"));
}

const button = document.getElementById("theme");
apply(read(), button);
button.addEventListener("click", () => {
  const next = ORDER[(ORDER.indexOf(document.documentElement.dataset.theme) + 1) % ORDER.length];
  try {
    localStorage.setItem("theme", next);
  } catch {
    // as above
  }
  apply(next, button);
});
