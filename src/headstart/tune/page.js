// Draws every figure of the page in the reader's colours, and again when these change.
(() => {
  const figures = JSON.parse(document.getElementById("figure-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function draw() {
    const color = getComputedStyle(document.body).color;
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    for (const [name, figure] of Object.entries(figures)) {
      const axis = (own) => ({ automargin: true, gridcolor: line, zeroline: false, ...own, title: { text: own?.title } });
      const layout = {
        ...figure.layout, font: { color }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
        margin: { l: 60, r: 30, t: name === "coordinates" ? 60 : 10, b: 50 },
        xaxis: axis(figure.layout.xaxis), yaxis: axis(figure.layout.yaxis), legend: { orientation: "h", y: 1.15 },
      };
      Plotly.react(name, figure.data, layout, { responsive: true, displayModeBar: false });
    }
  }
  draw();
  dark.addEventListener("change", draw);
})();
