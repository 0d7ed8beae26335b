// Keeps the page current: one stream says that something was recorded, and the page takes its new parts.
(() => {
  const link = document.getElementById("link");
  const say = (state, words) => {
    link.className = `link ${state}`;
    link.querySelector(".words").textContent = words;
    link.title = words;
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  document.getElementById("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("vaultkeel-theme", theme);
    Charts.drawAll();
  });
  dark.addEventListener("change", Charts.drawAll);

  const ages = () => document.querySelectorAll("[data-since]").forEach((node) => {
    const s = Math.max(0, Math.floor(Date.now() / 1000) - Number(node.dataset.since));
    const [size, name] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([unit]) => s >= 2 * unit) ?? [1, "s"];
    node.textContent = `${Math.round(s / size)} ${name}`;
  });

  function take(fresh) {
    const active = document.activeElement;
    const focus = active && active.closest("[data-live]") ? active.id && `#${active.id}` || active.getAttribute("href") : null;
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const here = document.getElementById(part.id);
      if (here && here.innerHTML !== part.innerHTML) here.replaceChildren(...part.childNodes);
    }
    const banner = document.querySelector(".banner");
    const other = fresh.querySelector(".banner");
    if (banner?.innerHTML !== other?.innerHTML) {
      banner?.remove();
      if (other) document.querySelector(".top").after(other);
    }
    document.body.dataset.seen = fresh.body.dataset.seen;
    if (focus) (focus[0] === "#" ? document.querySelector(focus) : document.querySelector(`[data-live] a[href="${CSS.escape(focus)}"]`))?.focus();
    Charts.drawAll();
    ages();
  }

  let busy = false, again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // A page of another kind (no ledger yet, now one) is loaded whole, unless a form is being filled in.
      const same = document.querySelectorAll("main [data-live]").length === fresh.querySelectorAll("main [data-live]").length
        && fresh.title === document.title;
      if (same) take(fresh);
      else if (!document.querySelector("main form[method=post]")) location.reload();
    } catch {
      say("lost", "not connected");
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }

  function listen() {
    const stream = new EventSource("/events");
    stream.addEventListener("open", () => say("live", "connected"));
    stream.addEventListener("error", () => say("lost", "not connected"));
    stream.addEventListener("recorded", (event) => {
      const seen = Object.values(JSON.parse(event.data)).join(":");
      if (seen !== document.body.dataset.seen) refresh();
    });
    addEventListener("pagehide", () => stream.close());
  }

  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(Charts.resized, 80); });
  const tab = document.querySelector(".tabs a[aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - 24;
  Charts.drawAll();
  ages();
  setInterval(ages, 1000);
  listen();
})();
