// The labelling page: an answer is an ordinary label, sent to POST /labels.
"use strict";
(() => {
  const name = document.getElementById("name");
  const token = document.getElementById("token");
  name.value = localStorage.getItem("headrace-labeller") || "";
  name.addEventListener("change", () => localStorage.setItem("headrace-labeller", name.value.trim()));

  const readable = async (answer) => {
    const text = await answer.text();
    try { return JSON.parse(text).detail || text; } catch { return text; }
  };

  const send = async (id, label) => {
    const headers = { "content-type": "application/json" };
    if (token.value) headers.authorization = `Bearer ${token.value}`;
    const body = JSON.stringify({ id, label, source: name.value.trim() || "page" });
    const answer = await fetch("/labels", { method: "POST", headers, body });
    if (answer.status === 401) document.getElementById("token-line").hidden = false;
    if (!answer.ok) throw new Error(await readable(answer));
  };

  for (const form of document.querySelectorAll("form.wanted")) {
    const said = form.querySelector(".answer");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = event.submitter;
      const typed = form.elements.answer;
      let label = button?.dataset.value === undefined ? typed.value : JSON.parse(button.dataset.value);
      if (typed?.type === "number") label = Number(typed.value);
      said.className = "answer";
      said.textContent = "Sending …";
      try {
        await send(form.dataset.id, label);
        for (const control of form.querySelectorAll("button, input")) control.disabled = true;
        said.className = "answer said good";
        said.textContent = `${label} is on the log.`;
      } catch (error) {
        said.className = "answer said bad";
        said.textContent = `Not sent: ${error.message}`;
      }
    });
  }
})();
