// The keyboard. A key does something only where it does not write.

const typing = (event) => event.target.closest("input:not([type=checkbox]), select, textarea");

/** `holding()`: whether the space bar is held to speak, `hold(pressed)`: it is; `escape()`; and a
 * function for each other key, by its name. */
export function listenToKeys({ holding, hold, escape, ...others }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && holding() && !typing(event)) {
      event.preventDefault(); // also the repeated ones: the page must not scroll
      hold(true);
      return;
    }
    if (event.repeat) return;
    if (event.key === "Escape") {
      escape();
      return;
    }
    const action = !typing(event) && others[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") hold(false);
  });
  addEventListener("blur", () => hold(false));
}
