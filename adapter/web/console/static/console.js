// What the pages do by themselves: live parts, charts, copying. Without it they can be read and
// every form can be sent.
"use strict";

(function () {
  const pulse = document.getElementById("pulse");
  const trouble = document.getElementById("trouble");
  let stream = null;

  function say(text, fresh) {
    if (pulse && pulse.textContent !== text) pulse.textContent = text;
    if (pulse) pulse.classList.toggle("stale", !fresh);
  }

  // Puts new HTML in place of a part. What is open in it stays open, the focus stays where it is.
  function put(part, html) {
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) {
      part.pending = html;
      return;
    }
    const open = Array.from(part.querySelectorAll("details[open][id]"), (each) => each.id);
    const focused = part.contains(document.activeElement) ? focusPath(document.activeElement) : null;
    htmx.swap(part, html, { swapStyle: "innerHTML" });
    for (const id of open) {
      const found = document.getElementById(id);
      if (found) found.open = true;
    }
    if (focused) {
      const found = part.querySelector(focused);
      if (found) found.focus({ preventScroll: true });
    }
    charts(part);
    labels(part);
    localTimes(part);
  }

  function focusPath(element) {
    if (element.id) return "#" + CSS.escape(element.id);
    const href = element.getAttribute("href");
    if (href) return `a[href="${CSS.escape(href)}"]`;
    return element.getAttribute("aria-label") ? `[aria-label="${CSS.escape(element.getAttribute("aria-label"))}"]` : null;
  }

  function connect() {
    const address = document.body.dataset.live;
    if (!address || stream) return;
    stream = new EventSource(address);
    stream.onopen = () => say("live", true);
    stream.onerror = () => {
      const since = new Date().toISOString().slice(11, 19);
      if (!pulse.classList.contains("stale")) say(`not live since ${since}`, false);
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        setTimeout(connect, 5000);
      }
    };
    stream.addEventListener("trouble", (event) => {
      trouble.hidden = event.data === "";
      trouble.textContent = event.data && `Not up to date: ${event.data}`;
    });
    for (const part of document.querySelectorAll("[id^=live_]")) {
      stream.addEventListener(part.id, (event) => put(part, event.data));
    }
  }

  // A page that nobody looks at needs no stream: a browser has only six to one server.
  function hide() {
    if (document.hidden && stream) {
      stream.close();
      stream = null;
      say("paused", false);
    } else if (!document.hidden) {
      connect();
    }
  }

  // In UTC, as all times of the pages.
  function hours(chart, splits) {
    return splits.map((at) => {
      const text = new Date(at * 1000).toISOString();
      return text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
    });
  }

  function charts(within) {
    for (const each of within.querySelectorAll(".chart[data-x]")) {
      const x = JSON.parse(each.dataset.x);
      const rows = JSON.parse(each.dataset.series);
      const style = getComputedStyle(document.documentElement);
      const line = (n) => style.getPropertyValue(`--series-${(n % 4) + 1}`).trim();
      const text = style.getPropertyValue("--quiet").trim();
      const grid = { stroke: style.getPropertyValue("--line").trim(), width: 1 };
      each.replaceChildren();
      new uPlot(
        {
          width: Math.max(each.clientWidth, 240),
          height: Math.max(each.clientHeight, 120),
          cursor: { y: false },
          tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
          legend: { show: true, live: true },
          axes: [{ stroke: text, grid, ticks: grid, values: hours }, { stroke: text, grid, ticks: grid, size: 56 }],
          series: [{}, ...rows.map((row, n) => ({
            label: row[1] ? `${row[0]} (${row[1]})` : row[0],
            stroke: line(n), width: 1.5, dash: row[3] ? [4, 4] : undefined, spanGaps: false,
            points: { show: row[2].filter((value) => value !== null).length < 3 },
          }))],
        },
        [x, ...rows.map((row) => row[2])],
        each,
      );
    }
  }

  // On a phone the cells of a list stand below each other: each says what it is.
  function labels(within) {
    for (const table of within.querySelectorAll(".stacked table")) {
      const names = Array.from(table.querySelectorAll("thead th"), (each) => each.textContent.trim());
      for (const row of table.querySelectorAll("tbody tr")) {
        Array.from(row.cells).forEach((cell, n) => {
          if (names[n] && cell.textContent.trim()) cell.dataset.label = names[n];
        });
      }
    }
  }

  function localTimes(within) {
    for (const each of within.querySelectorAll("time[datetime]")) {
      each.title = `${each.dateTime} · here ${new Date(each.dateTime).toLocaleString()}`;
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  });
  document.addEventListener("selectionchange", () => {
    for (const part of document.querySelectorAll("[id^=live_]")) {
      const selection = document.getSelection();
      const busy = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
      if (part.pending !== undefined && !busy) {
        const html = part.pending;
        delete part.pending;
        put(part, html);
      }
    }
  });
  document.addEventListener("visibilitychange", hide);
  document.addEventListener("htmx:afterSwap", (event) => {
    const part = event.detail.target;  // none where a part was put in place above
    if (part) charts(part);
    if (part) labels(part);
    if (part) localTimes(part);
  });
  charts(document);
  labels(document);
  localTimes(document);
  connect();
})();
