"use strict";
{
  const stored = (id) => JSON.parse(document.getElementById(id).textContent);
  const images = stored("images");
  const claims = [...document.querySelectorAll("details.claim")];
  const filters = ["topic", "where", "whose", "verdict", "status"].map((name) => document.getElementById(name));
  const search = document.getElementById("search");
  let plots = null;

  // Plotly is megabytes of script: it is read when the first plot is asked for.
  const plotly = () => {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return window.Plotly;
  };

  const look = () => {
    const style = getComputedStyle(document.documentElement);
    const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
    const axis = { gridcolor: line, linecolor: line, tickcolor: line, automargin: true };
    return { ink, axis };
  };

  const draw = (place) => {
    plots ??= stored("plots");
    const { data, layout } = structuredClone(plots[place.id]);
    const { ink, axis } = look();
    for (const name of ["xaxis", "yaxis"]) layout[name] = { ...layout[name], ...axis };
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink };
    Object.assign(layout, { font, paper_bgcolor: "transparent", plot_bgcolor: "transparent" });
    plotly().newPlot(place, data, layout, { responsive: true, displayModeBar: false });
    place.dataset.drawn = "yes";
  };

  const own = (details, selector) =>
    [...details.querySelectorAll(selector)].filter((each) => each.closest("details") === details);

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = (image) => {
    const drawn = images[image.dataset.figure];
    image.src = (dark.matches && drawn.dark) || drawn.light;
  };

  const open = (details) => {
    for (const image of own(details, "img[data-figure]")) show(image);
    for (const place of own(details, ".plot")) if (!place.dataset.drawn) draw(place);
  };
  for (const details of document.querySelectorAll("details.claim, details.points")) {
    details.addEventListener("toggle", () => details.open && open(details));
  }

  dark.addEventListener("change", () => {
    for (const image of document.querySelectorAll("img[data-figure][src]")) show(image);
    for (const place of document.querySelectorAll(".plot[data-drawn]")) draw(place);
  });

  const words = new Map(claims.map((claim) => [claim, claim.textContent.toLowerCase()]));
  const matches = (claim, wanted) =>
    filters.every(({ id, value }) => !value || claim.dataset[id].split("|").includes(value)) &&
    wanted.every((word) => words.get(claim).includes(word));

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const claim of claims) claim.hidden = !matches(claim, wanted);
    const left = claims.filter((claim) => !claim.hidden).length;
    document.getElementById("shown").textContent = `${left} of ${claims.length} claims`;
  };
  for (const each of [...filters, search]) each.addEventListener("input", filter);
  const form = document.querySelector(".filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));

  for (const cell of document.querySelectorAll("button.cell")) {
    cell.addEventListener("click", () => {
      form.reset();
      for (const { id } of filters) if (cell.dataset[id]) document.getElementById(id).value = cell.dataset[id];
      setTimeout(() => {
        filter();
        document.getElementById("claims").focus();
      });
    });
  }

  const follow = () => {
    const claim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!claim?.matches("details.claim")) return;
    form.reset();
    filter(); // now, not with the event: what it unhides above would move the claim away
    claim.open = true;
    claim.scrollIntoView();
    claim.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);
  follow();
}
