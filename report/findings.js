// What the page can do beyond being read: fold its contents, enlarge figures, sort tables, turn dark or light.
// All controls are made here, so that a page without scripts has none that do nothing.

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// --- light and dark: as the system has it, until the reader chooses otherwise for this session

function stored(value) {
  // A page opened from a file may be refused any storage; the choice then lasts until it is closed.
  try {
    if (value !== undefined) {
      sessionStorage.setItem("theme", value);
    }
    return sessionStorage.getItem("theme");
  } catch {
    return null;
  }
}

function themes() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = element("button", { type: "button", className: "theme" });
  const current = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const name = () => {
    button.textContent = current() === "dark" ? "Light" : "Dark";
    button.title = `Show the page ${current() === "dark" ? "light" : "dark"}`;
  };
  const chosen = stored();
  if (["light", "dark"].includes(chosen)) {
    root.dataset.theme = chosen;
  }
  button.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    stored(root.dataset.theme);
    name();
    document.dispatchEvent(new Event("theme"));
  });
  system.addEventListener("change", name);
  name();
  document.querySelector("header").append(button);
}

// --- contents: open beside the text on a wide screen, folded above it on a narrow one

function contents(nav) {
  const details = nav.querySelector("details");
  const links = [...nav.querySelectorAll("a")];
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
  const wide = matchMedia("(min-width: 64rem)");
  const fold = () => { details.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  details.addEventListener("click", ({ target }) => {
    if (target.closest("a") && !wide.matches) {
      details.open = false;
    }
  });

  let current = null;
  function mark() {
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const passed = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const place = atEnd ? sections.length - 1 : Math.max(passed.length - 1, 0);
    if (links[place] !== current) {
      current?.removeAttribute("aria-current");
      current = links[place];
      current.setAttribute("aria-current", "true");
      // The list itself scrolls, not the page.
      const middle = current.offsetTop - nav.clientHeight / 2;
      if (wide.matches) {
        nav.scrollTop = middle;
      }
    }
  }
  addEventListener("scroll", mark, { passive: true });
  addEventListener("resize", mark);
  mark();
}

// --- figures: a button each, which shows the figure as large as the window

function enlarging(images) {
  const close = element("button", { type: "button", className: "close" }, "Close");
  const dialog = element("dialog", { className: "enlarged" }, close);
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  for (const image of images) {
    const button = element("button", { type: "button", className: "enlarge" });
    button.setAttribute("aria-label", `Enlarge figure: ${image.alt}`);
    button.setAttribute("aria-haspopup", "dialog");
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      dialog.setAttribute("aria-label", image.alt);
      dialog.replaceChildren(close, image.cloneNode());
      dialog.showModal();
    });
  }
}

// --- tables: a button in each column's head, which sorts up, then down, then as it was

const NUMBER = /^[<>≤≥=≈ ]*([−+-]?\d[\d,]*(?:\.\d+)?)/;
const texts = new Intl.Collator("en", { numeric: true });

/** What a cell counts as: its first number, a little less after "<"; null where it does not start with one. */
function number(text) {
  const found = NUMBER.exec(text);
  if (!found) {
    return null;
  }
  const value = Number(found[1].replaceAll(",", "").replace("−", "-"));
  return text.startsWith("<") ? value * (1 - 1e-9) : text.startsWith(">") ? value * (1 + 1e-9) : value;
}

/** Rows by the text of one column: by number if every cell starts with one, else as text; empty cells last. */
function sorted(rows, column, direction) {
  const cell = (row) => row.cells[column].textContent.trim();
  const filled = rows.filter((row) => cell(row) !== "");
  const numeric = filled.every((row) => number(cell(row)) !== null);
  const compare = numeric
    ? (a, b) => number(cell(a)) - number(cell(b))
    : (a, b) => texts.compare(cell(a), cell(b));
  return [
    ...filled.sort((a, b) => direction * compare(a, b)),
    ...rows.filter((row) => cell(row) === ""),
  ];
}

function sorting(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) {
    return;
  }
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button", title: "Sort" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) {
        head.setAttribute("aria-sort", next);
      }
      body.append(...(next ? sorted(original, column, next === "ascending" ? 1 : -1) : original));
    });
  });
}

document.documentElement.classList.add("scripted");
themes();
document.querySelectorAll("nav").forEach(contents);
enlarging(document.querySelectorAll("figure > img"));
// The claims stand by the question that they answer, and keep to it.
document.querySelectorAll(".table:not(.every-claim) table").forEach(sorting);
