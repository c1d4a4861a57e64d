// The picture: lines (uPlot), lanes and marks over one axis. All positions follow the plot's own scale.
"use strict";
window.headraceChart = (() => {
  const AXIS = 54;
  const RIGHT = 12;
  const LINES = {
    published: { color: "--line-published", width: 2.6, dash: [] },
    linear: { color: "--line-linear", width: 1.6, dash: [8, 4] },
    no_change: { color: "--line-no-change", width: 1.6, dash: [2, 4] },
    majority: { color: "--line-majority", width: 1.4, dash: [1, 3] },
    mean: { color: "--line-majority", width: 1.4, dash: [1, 3] },
    rule: { color: "--line-rule", width: 1.4, dash: [5, 3, 1, 3] },
  };
  const SHADOWS = [[10, 3, 2, 3], [3, 2], [12, 4]].map((dash) => ({ color: "--line-shadow", width: 1.6, dash }));
  const chart = document.getElementById("chart");
  const lanes = document.getElementById("lanes");
  const rate = document.getElementById("rate");
  const legend = document.getElementById("legend");
  const reading = document.getElementById("reading");
  const whole = document.getElementById("whole");
  const hidden = new Set(JSON.parse(localStorage.getItem("headrace-hidden") || "[]"));
  const sync = uPlot.sync("headrace");
  let data = null, main = null, below = null, shape = "", zoomed = false;

  const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const look = (series) => LINES[series.name] || (series.kind === "shadow"
    ? SHADOWS[data.series.filter((s) => s.kind === "shadow").map((s) => s.name).sort().indexOf(series.name) % SHADOWS.length]
    : LINES.rule);
  const isTime = () => chosen("axis") === "time_s";
  const share = () => data.metric === "accuracy";
  const show = (v) => v == null ? "–" : share() ? (100 * v).toFixed(1) + " %" : Number(v.toPrecision(4)).toLocaleString("en");
  const at = (x) => isTime()
    ? new Date(x * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC"
    : Math.round(x).toLocaleString("en") + " events";
  const columns = () => [data[chosen("axis")], ...data.series.map((s) => s[chosen("span")])];

  function axes(y, hideX) {
    const stroke = style("--muted"), grid = { stroke: style("--grid"), width: 1 }, ticks = { show: false };
    const font = "11px system-ui, sans-serif";
    return [
      { stroke, grid, ticks, font, show: !hideX, size: 28, space: 70, values: isTime() ? days : (u, v) => v.map((n) => n.toLocaleString("en")) },
      { stroke, grid, ticks, font, size: AXIS, gap: 4, values: (u, v) => v.map(y) },
    ];
  }

  // `7 May 1996`, then `14 May`, or `06:30` when zoomed in; UTC.
  function days(u, splits, axis, space, step) {
    let day = "", year = "";
    return splits.map((seconds) => {
      const t = new Date(seconds * 1000);
      const date = t.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
      const fresh = date !== day, full = date + (t.getUTCFullYear() !== year ? " " + t.getUTCFullYear() : "");
      day = date; year = t.getUTCFullYear();
      return step >= 86400 ? full : fresh ? full : t.toISOString().slice(11, 16);
    });
  }

  function scales() { return { x: { time: isTime() }, y: { range: (u, lo, hi) => lo == null ? [0, 1] : pad(lo, hi) } }; }
  function pad(lo, hi) { const p = Math.max((hi - lo) * 0.08, 1e-6); return share() ? [Math.max(0, lo - p), Math.min(1, hi + p)] : [Math.max(0, lo - p), hi + p]; }

  function build() {
    main?.destroy(); below?.destroy();
    const width = chart.clientWidth;
    const series = data.series.map((s) => {
      const l = look(s);
      return { label: s.label, stroke: style(l.color), width: l.width, dash: l.dash, show: !hidden.has(s.name), spanGaps: false, points: { show: false } };
    });
    main = new uPlot({
      width, height: innerWidth < 600 ? 220 : 300, tzDate: (t) => uPlot.tzDate(new Date(t * 1000), "UTC"),
      padding: [14, RIGHT, 0, 0], legend: { show: false }, scales: scales(),
      cursor: { sync: { key: sync.key, setSeries: false }, y: false, drag: { x: true, y: false } },
      axes: axes((v) => share() ? Math.round(v * 1000) / 10 + " %" : v, false),
      series: [{}, ...series],
      hooks: {
        setCursor: [read],
        setScale: [(u, key) => { if (key === "x") link(u); }],
        draw: [place],
        setSelect: [(u) => { if (u.select.width > 0) { zoomed = true; whole.hidden = false; } }],
      },
    }, columns(), chart);
    main.over.addEventListener("dblclick", unzoom);
    below = new uPlot({
      width, height: 92, tzDate: (t) => uPlot.tzDate(new Date(t * 1000), "UTC"),
      padding: [8, RIGHT, 8, 0], legend: { show: false },
      scales: { x: { time: isTime() }, y: { range: (u, lo, hi) => [0, (hi || 1) * 1.15] } },
      cursor: { sync: { key: sync.key, setSeries: false }, y: false, drag: { x: false, y: false } },
      axes: axes((v) => v, true),
      series: [{}, { label: "event rate", stroke: style("--muted"), fill: style("--wash"), width: 1.2, points: { show: false } }],
    }, [columns()[0], data.rate], rate);
    buildLegend(); drawLanes();
  }

  function link(u) {
    const { min, max } = u.scales.x;
    if (below && min != null && (below.scales.x.min !== min || below.scales.x.max !== max)) below.setScale("x", { min, max });
  }

  function unzoom() {
    zoomed = false; whole.hidden = true;
    main.setData(columns()); below.setData([columns()[0], data.rate]);
  }
  whole.addEventListener("click", unzoom);

  // Lanes: bars in up to three rows each; their words stay readable without colour.
  function drawLanes() {
    lanes.replaceChildren(...data.lanes.map((lane) => {
      const row = element("div", "lane lane-" + lane.kind);
      row.append(element("span", "lane-name", lane.items.length ? lane.name : lane.name + ": none so far"));
      const track = element("div", "track");
      track.append(...lane.items.map((item) => {
        const bar = element("a", "bar-item " + (item.tone || ""));
        bar.href = item.href; bar.title = item.title;
        bar.append(element("span", "glyph", item.glyph), element("span", "words", item.text));
        bar.item = item;
        if (item.since) bar.append(element("span", "since"));
        return bar;
      }));
      row.append(track);
      return row;
    }));
    const name = element("span", "lane-name", `Events a ${data.rate_unit} (event time)`);
    const row = element("div", "lane lane-rate"); row.append(name); lanes.append(row);
    main.over.querySelectorAll(".mark").forEach((mark) => mark.remove());
    for (const lane of data.lanes) for (const item of lane.items) {
      if (!item.mark) continue;
      const mark = element("a", "mark mark-" + lane.kind);
      mark.href = item.href; mark.title = item.title; mark.item = item;
      mark.append(element("span", "glyph", item.glyph));
      main.over.append(mark);
    }
    chart.dataset.marks = main.over.querySelectorAll(".mark").length;
  }

  function place() {
    if (!main) return;
    const { min, max } = main.scales.x;
    if (min == null || max <= min) return;
    const axis = chosen("axis"), width = main.over.clientWidth;
    const px = (x) => (x - min) / (max - min) * width;
    for (const track of lanes.querySelectorAll(".track")) {
      track.style.left = AXIS + "px"; track.style.width = width + "px";
      const rows = [[], [], []];
      for (const bar of track.children) {
        const from = px(bar.item.from[axis]), to = bar.item.to ? px(bar.item.to[axis]) : width;
        const left = Math.min(Math.max(from, 0), width), right = Math.min(Math.max(to, 0), width);
        const off = to < 0 || from > width;
        bar.hidden = off;
        if (off) continue;
        const words = bar.item.glyph.length * 12 + bar.item.text.length * 7.3 + 14;
        const room = Math.max(right - left, 20);
        const start = Math.min(left, width - 20);
        const since0 = bar.item.since ? Math.min(start, Math.max(0, px(bar.item.since[axis]))) : start;
        const free = (end) => rows.findIndex((row) => row.length === 0 || row.at(-1)[end] <= since0);
        const inside = room >= words, wide = inside ? room : room + words - 10;
        let fits = inside || start + wide <= width;
        let line = free("words");
        if (line < 0) { line = free("bar"); fits = inside; if (line >= 0) hush(rows[line].at(-1).node); }
        if (line < 0) line = 2;
        bar.classList.toggle("small", !fits);
        bar.classList.toggle("out", fits && !inside);
        bar.style.left = start + "px"; bar.style.width = room - 1 + "px";
        rows[line].push({ node: bar, bar: start + room, words: start + (fits ? wide : room) });
        bar.style.top = line * 22 + "px";
        const since = bar.querySelector(".since");
        if (since) { const w = Math.max(0, left - Math.max(0, px(bar.item.since[axis]))); since.style.width = w + "px"; since.style.left = -w - 1 + "px"; }
      }
      track.style.height = Math.max(1, rows.filter((row) => row.length).length) * 22 + "px";
    }
    const deep = lanes.getBoundingClientRect().bottom - main.over.getBoundingClientRect().top - 8;
    for (const mark of main.over.querySelectorAll(".mark")) {
      const x = px(mark.item.from[axis]);
      mark.hidden = x < 0 || x > width;
      mark.style.left = x + "px";
      mark.style.height = deep + "px";
    }
  }

  const hush = (bar) => { if (bar.classList.contains("out")) { bar.classList.remove("out"); bar.classList.add("small"); } };

  function buildLegend() {
    legend.replaceChildren(...data.series.map((s, i) => {
      const button = element("button", "chip");
      button.type = "button"; button.setAttribute("aria-pressed", String(!hidden.has(s.name)));
      button.title = "Show or hide this line";
      button.append(sample(look(s)), element("span", "", s.label + " "), element("b", "now"));
      button.addEventListener("click", () => {
        hidden.has(s.name) ? hidden.delete(s.name) : hidden.add(s.name);
        localStorage.setItem("headrace-hidden", JSON.stringify([...hidden]));
        button.setAttribute("aria-pressed", String(!hidden.has(s.name)));
        main.setSeries(i + 1, { show: !hidden.has(s.name) });
      });
      return button;
    }));
    read(main);
  }

  function sample(l) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 28 8"); svg.setAttribute("width", "28"); svg.setAttribute("height", "8"); svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [k, v] of Object.entries({ x1: 0, x2: 28, y1: 4, y2: 4, stroke: style(l.color), "stroke-width": l.width, "stroke-dasharray": l.dash.join(" ") })) line.setAttribute(k, v);
    svg.append(line);
    return svg;
  }

  // The reading line: values under the cursor, else the newest.
  function read(u) {
    if (!u || !data || !data[chosen("axis")].length) return;
    const last = data.place.length - 1, i = u.cursor.idx ?? last;
    legend.querySelectorAll(".now").forEach((node, k) => {
      const values = data.series[k][chosen("span")];
      let j = i;
      if (u.cursor.idx == null) while (j > 0 && values[j] == null) j--;
      node.textContent = show(values[j]);
    });
    const per = data.rate[i] == null ? "" : `, ${Number(data.rate[i].toPrecision(3))} events a ${data.rate_unit}`;
    reading.textContent = `${u.cursor.idx == null ? "Newest" : "At the line"}: ${at(data[chosen("axis")][i])}, after ${data.place[i].toLocaleString("en")} predictions and ${data.outcomes[i].toLocaleString("en")} labels${per}.`;
  }

  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (event.key === "Escape") { main.setCursor({ left: -10, top: -10 }); return; }
    if (!step || !main) return;
    event.preventDefault();
    const xs = data[chosen("axis")], i = Math.min(xs.length - 1, Math.max(0, (main.cursor.idx ?? xs.length - 1) + step));
    main.setCursor({ left: main.valToPos(xs[i], "x"), top: 10 });
  });

  function element(tag, cls, text) {
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function update(fresh) {
    data = fresh;
    const nothing = !data.series.length || !data.place.length;
    document.getElementById("nothing").hidden = !nothing;
    document.getElementById("picture").hidden = nothing;
    if (nothing) return;
    const now = JSON.stringify([data.series.map((s) => s.name), chosen("axis")]);
    if (!main || now !== shape) { shape = now; build(); return; }
    const { min, max } = main.scales.x;
    main.batch(() => {
      main.setData(columns(), !zoomed);
      if (zoomed) main.setScale("x", { min, max });
    });
    below.setData([columns()[0], data.rate], !zoomed);
    if (zoomed) below.setScale("x", { min, max });
    drawLanes(); place(); read(main);
  }

  document.querySelectorAll('input[name="span"], input[name="axis"]').forEach((input) =>
    input.addEventListener("change", () => { shape = ""; zoomed = false; whole.hidden = true; if (data) update(data); }));
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(() => { shape = ""; if (data) update(data); }, 150); });
  fetch("/api/series").then((answer) => answer.json()).then(update).catch(() => {});
  return { update, restyle: () => { shape = ""; if (data) update(data); } };
})();
