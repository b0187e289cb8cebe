// Small comforts. Every page works without it.
"use strict";

const SECONDS = 1000;

// The waking page: goes on as soon as the workspace is ready, and says why it is not.
function wait(box) {
  const reason = box.querySelector("[data-reason]");
  const failedAtFirst = "failed" in box.dataset;
  const ask = async () => {
    try {
      const answer = await fetch(box.dataset.wait, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return location.replace(box.dataset.then);
      const state = await answer.json();
      if (state.ready) return location.replace(box.dataset.then);
      if (Boolean(state.failed) !== failedAtFirst) return location.reload();
      reason.textContent = state.reason || "";
      reason.hidden = !state.reason;
    } catch {
      // The door itself restarts, or the network is away: asked again.
    }
    setTimeout(ask, 1.5 * SECONDS);
  };
  setTimeout(ask, SECONDS);
}

// The front page: shown anew when the workspace does something else than it says.
function watch(box) {
  const settled = box.dataset.phase !== "starting";
  const ask = async () => {
    try {
      if (!document.hidden) {
        const answer = await fetch(box.dataset.watch, { headers: { Accept: "application/json" }, cache: "no-store" });
        if (answer.status === 401) return location.reload();
        const state = await answer.json();
        const typing = document.activeElement && document.activeElement.matches("input");
        if (state.phase && state.phase !== box.dataset.phase && !typing) return location.replace("/");
      }
    } catch {
      // As above.
    }
    setTimeout(ask, (settled ? 20 : 2) * SECONDS);
  };
  setTimeout(ask, (settled ? 20 : 2) * SECONDS);
}

function copy(button) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
  });
}

function reveal(label) {
  const field = document.getElementById(label.dataset.reveal);
  label.hidden = false;
  label.querySelector("input").addEventListener("change", (event) => {
    field.type = event.target.checked ? "text" : "password";
  });
  // A password manager keeps what was typed into a field of passwords only.
  field.form.addEventListener("submit", () => { field.type = "password"; });
}

document.querySelectorAll("[data-wait]").forEach(wait);
document.querySelectorAll("[data-watch]").forEach(watch);
document.querySelectorAll("[data-copy]").forEach(copy);
document.querySelectorAll("[data-reveal]").forEach(reveal);
