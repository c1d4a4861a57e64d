// Live panels, commands, keys. Panels come as HTML over server-sent events (htmx); the picture as data.
"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);

  // A panel that is replaced keeps its open details and the keyboard's place.
  let kept = null;
  document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
    const panel = event.target;
    if (panel.id === "picture") return;
    const focused = document.activeElement;
    kept = {
      open: [...panel.querySelectorAll("details[open][id]")].map((d) => d.id),
      focus: panel.contains(focused) ? address(focused) : null,
    };
  });
  document.body.addEventListener("htmx:sseMessage", (event) => {
    const panel = event.target;
    if (panel.id === "picture") {
      window.headraceChart.update(JSON.parse(event.detail.data));
      document.documentElement.dataset.frames = String(Number(document.documentElement.dataset.frames || 0) + 1);
      return;
    }
    for (const id of kept ? kept.open : []) document.getElementById(id)?.setAttribute("open", "");
    if (kept && kept.focus) document.querySelector(kept.focus)?.focus({ preventScroll: true });
    kept = null;
  });
  const address = (element) => {
    if (element.id) return "#" + CSS.escape(element.id);
    const details = element.closest("details[id]");
    if (element.tagName === "SUMMARY" && details) return "#" + CSS.escape(details.id) + " > summary";
    const { command, target } = element.dataset;
    return command ? `[data-command="${CSS.escape(command)}"][data-target="${CSS.escape(target)}"]` : null;
  };

  // The connection: say when what is shown is no longer live.
  const offline = (lost) => document.documentElement.classList.toggle("offline", lost);
  document.body.addEventListener("htmx:sseOpen", () => offline(false));
  document.body.addEventListener("htmx:sseError", () => offline(true));

  // Commands: every one is asked about and carries a reason.
  const dialog = $("#dialog");
  const form = $("#command");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-command]");
    if (!button) return;
    const { command, target, text } = button.dataset;
    $("#dialog-title").textContent = button.textContent.trim() + (target ? " " + target : "");
    $("#dialog-text").textContent = text;
    form.elements.command.value = command;
    form.elements.target.value = target;
    form.elements.reason.value = "";
    dialog.showModal();
    form.elements.reason.focus();
  });
  $("#cancel").addEventListener("click", () => dialog.close());
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.requestConfig?.path === "/control" && event.detail.xhr.status < 500) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
      if (!event.detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) {
        event.detail.serverResponse = "";
        const line = document.createElement("p");
        line.className = "said bad";
        line.textContent = readable(event.detail.xhr.responseText);
        event.detail.serverResponse = line.outerHTML;
      }
    }
  });
  const readable = (text) => {
    try { return JSON.parse(text).detail || text; } catch { return text; }
  };
  form.addEventListener("htmx:afterRequest", () => { dialog.close(); $("#said").scrollIntoView({ block: "nearest" }); });

  // Theme and keys.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const flip = () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("headrace-theme", next);
    window.headraceChart.restyle();
  };
  $("#theme").addEventListener("click", flip);
  system.addEventListener("change", () => window.headraceChart.restyle());
  const places = { q: "quality", a: "alerts", r: "jobs", m: "models", c: "audit", x: "rejected" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.closest("input, textarea, select")) return;
    if (event.key === "t") flip();
    const place = places[event.key];
    if (!place) return;
    location.hash = place;
    const heading = document.querySelector(`#${place} h2`);
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
  });

  // A deep link opens what it points to.
  const reveal = () => {
    const item = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!item) return;
    item.querySelector(":scope > details")?.setAttribute("open", "");
    for (let up = item.closest("details"); up; up = up.parentElement.closest("details")) up.open = true;
    item.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
