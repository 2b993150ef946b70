// Niceties only: the page is complete without this. A theme button, a search in the samples, quicker tips, a filter and sorting for long tables.
(() => {
  "use strict";
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const say = () => { button.textContent = now() === "dark" ? "Light theme" : "Dark theme"; };
  // Files opened from a disk may be denied storage; then the choice lasts as long as the page.
  try { const kept = localStorage.getItem("cribble-theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch {}
  if (button) {
    button.hidden = false;
    say();
    dark.addEventListener("change", say);
    button.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      try { localStorage.setItem("cribble-theme", root.dataset.theme); } catch {}
      say();
    });
  }

  // Search: a card stays when every word is in it, in the title of its group or in the name of its section.
  const search = document.getElementById("search");
  if (search) {
    const [field, said] = [search.querySelector("input"), search.querySelector("output")];
    const lower = (element) => (element ? element.textContent.toLowerCase() : "");
    let cards = null;
    const read = () => [...document.querySelectorAll("main .card")].map((card) => {
      const [group, section] = [card.closest(".group"), card.closest("section")];
      const title = group && (group.querySelector("summary") || group.querySelector("h3"));
      const about = group && group.classList.contains("cluster") ? `${lower(group.querySelector(".facts"))} ${lower(group.querySelector(".reason"))}` : "";
      return { card, text: [lower(card), lower(title), about, lower(section && section.querySelector("h2"))].join(" ") };
    });
    const opened = new Set();
    const find = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      cards ??= read();
      let found = 0;
      for (const { card, text } of cards) {
        card.hidden = !words.every((word) => text.includes(word));
        found += card.hidden ? 0 : 1;
      }
      const has = (box) => box.querySelector(".card:not([hidden])") !== null;
      for (const box of document.querySelectorAll("main .group, main .strip.ends")) {
        box.hidden = words.length > 0 && box.querySelector(".card") !== null && !has(box);
        const title = box.previousElementSibling;
        if (box.classList.contains("ends") && title && title.tagName === "H4") title.hidden = box.hidden;
      }
      for (const fold of document.querySelectorAll("main details.fold")) {
        if (words.length > 0 && has(fold)) { if (!fold.open) { fold.open = true; opened.add(fold); } }
        else if (opened.delete(fold)) fold.open = false;
      }
      said.textContent = words.length > 0 ? `${found} of ${cards.length}` : "";
    };
    search.hidden = false;
    field.addEventListener("input", find);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { field.value = ""; find(); }
      // The first hit comes into view only when it is asked for: a page that jumps while one types is no help.
      if (event.key === "Enter") document.querySelector("main .card:not([hidden])")?.scrollIntoView({ block: "center" });
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof Element && event.target.closest("input, textarea");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); field.focus(); }
    });
  }
  // A link to a cluster that lies in a fold opens it.
  const reveal = () => {
    let fold = document.getElementById(location.hash.slice(1))?.closest("details.fold");
    if (fold && !fold.open) { fold.open = true; document.getElementById(location.hash.slice(1)).scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Tips: the browser's own wait a second and cannot be seen on a telephone.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  document.querySelectorAll(".plot title").forEach((title) => {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  });
  document.querySelectorAll(".bar[title]").forEach((bar) => { bar.dataset.tip = bar.title; bar.removeAttribute("title"); });
  const show = (event) => {
    const mark = event.target instanceof Element && event.target.closest("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const { innerWidth: width } = window;
    const x = Math.min(event.clientX + 12, width - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 20}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // Long tables: a filter, and sorting by a click on a head.
  document.querySelectorAll("table[data-filter]").forEach((table) => {
    const filter = document.createElement("input");
    filter.type = "search";
    filter.className = "filter";
    filter.placeholder = "Filter rows";
    filter.setAttribute("aria-label", `Filter: ${table.getAttribute("aria-label") || "rows"}`);
    table.closest(".table-frame").before(filter);
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  });
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number.parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^[<>]/, ""));
    return Number.isNaN(number) ? text : number;
  };
  document.querySelectorAll("table[data-sort]").forEach((table) => {
    if (table.tBodies[0].rows.length < 3) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.classList.add("sortable");
      head.tabIndex = 0;
      const sort = () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [x, y] = [value(a, column), value(b, column)];
          const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows);
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
    });
  });

  // Which section is being read.
  if ("IntersectionObserver" in window) {
    const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
    }, { rootMargin: "-20% 0px -75% 0px" });
    document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));
  }
})();
