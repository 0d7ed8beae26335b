// Charts from the figures that a page carries in `data-chart`. Colours are the style sheet's.
const Charts = (() => {
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
  const figure = (value, digits = 2, sign = false) =>
    value == null ? "—" : value.toLocaleString("en", {
      minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: sign ? "exceptZero" : "auto",
    }).replace("-", "−");
  const money = (value) => figure(value, 0, true).replace(/^([+−]?)/, "$1$$");
  const when = uPlot.fmtDate("{D} {MMM} {HH}:{mm}");
  const font = () => `12px ${getComputedStyle(document.body).fontFamily}`;

  const axis = (values, extra = {}) => ({
    stroke: colour("muted"), font: font(), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false },
    size: 58, gap: 6, values, ...extra,
  });
  const timeAxis = () => ({
    stroke: colour("muted"), font: font(), grid: { show: false }, ticks: { stroke: colour("line"), size: 4 },
    gap: 4, size: 40, space: 70,
    values: [
      [3600 * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
      [3600 * 24, "{D} {MMM}", null, null, null, null, null, null, 1],
      [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
      [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
    ],
  });
  const digitsOf = (step) => Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  const plain = (u, splits, _i, _s, step) => splits.map((v) => figure(v, digitsOf(step)));
  const signed = (u, splits, _i, _s, step) => splits.map((v) => figure(v, digitsOf(step), true));
  const dollars = (u, splits) => splits.map(money);
  const line = (name, extra = {}) => ({ stroke: colour(name), width: 1.6, points: { show: false }, ...extra });
  const bare = { stroke: "transparent", width: 0, points: { show: false } };
  const edge = () => ({ stroke: colour("edge"), width: 1, dash: [4, 3], points: { show: false } });

  // Each kind: its data, its series and axes, and what is said about the point under the cursor.
  const kinds = {
    delta: (d) => ({
      data: [d.at, d.high, d.low, d.bandHigh, d.bandLow, d.net, d.traded],
      series: [{}, bare, bare, edge(), edge(), line("net"), {
        stroke: colour("other"), width: 0, points: { show: true, size: 5, fill: colour("other"), stroke: colour("other") },
      }],
      bands: [{ series: [1, 2], fill: colour("err") }, { series: [3, 4], fill: colour("band") }],
      axes: [timeAxis(), axis(signed)],
      say: (i) => `${when(utc(d.at[i]))} · ${figure(d.net[i], 4, true)} (${figure(d.low[i], 2, true)} to ${figure(d.high[i], 2, true)})`
        + (d.bandLow[i] == null ? "" : ` · band ${figure(d.bandLow[i], 2, true)} to ${figure(d.bandHigh[i], 2, true)}`),
    }),
    profit: (d) => ({
      data: [d.at, d.unhedged, d.hedged],
      series: [{}, line("other"), line("net")],
      axes: [timeAxis(), axis(dollars, { size: 70 })],
      say: (i) => `${when(utc(d.at[i]))} · with ${money(d.hedged[i])}, without ${money(d.unhedged[i])}`,
    }),
    price: (d) => ({
      data: [d.at, d.spot],
      series: [{}, line("net")],
      axes: [timeAxis(), axis(plain)],
      say: (i) => `${when(utc(d.at[i]))} · ${figure(d.spot[i])}`,
    }),
    ladder: (d) => ({
      data: [d.price, d.delta, d.book, d.gamma],
      time: false,
      series: [{}, line("net"), line("other"), line("act", { scale: "gamma", dash: [4, 3] })],
      axes: [
        axis(plain, { size: 30, ticks: { show: true, stroke: colour("line"), size: 4 }, space: 70 }),
        axis(signed), axis(signed, { scale: "gamma", side: 1, grid: { show: false } }),
      ],
      mark: d.spot,
      say: (i) => `${figure(d.price[i])} · delta ${figure(d.delta[i], 3, true)}, without ${figure(d.book[i], 3, true)}, gamma ${figure(d.gamma[i], 4, true)}`,
    }),
  };

  function marked(u, at) {
    const x = Math.round(u.valToPos(at, "x", true));
    u.ctx.save();
    u.ctx.strokeStyle = colour("edge");
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
    u.ctx.restore();
  }

  function options(node, kind) {
    const readout = document.querySelector(`output[data-for="${node.id}"]`);
    const setCursor = (u) => { if (readout) readout.textContent = u.cursor.idx == null ? "" : kind.say(u.cursor.idx); };
    return {
      width: node.clientWidth, height: node.clientHeight, tzDate: utc, padding: [8, 16, 0, 0],
      legend: { show: false }, scales: { x: { time: kind.time !== false } },
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 6 }, sync: kind.time === false ? undefined : { key: "time" } },
      series: kind.series, bands: kind.bands, axes: kind.axes,
      hooks: { setCursor: [setCursor], draw: kind.mark == null ? [] : [(u) => marked(u, kind.mark)] },
    };
  }

  function draw(node) {
    drawn.get(node)?.destroy();
    drawn.delete(node);
    node.textContent = "";
    const figures = JSON.parse(node.dataset.chart);
    const kind = kinds[figures.kind](figures);
    if (kind.data[0].length < 2) {
      node.textContent = "A second tick makes this a chart.";
      node.classList.add("quiet");
      return;
    }
    node.classList.remove("quiet");
    drawn.set(node, new uPlot(options(node, kind), kind.data, node));
  }

  const drawAll = () => {
    for (const node of drawn.keys()) if (!node.isConnected) { drawn.get(node).destroy(); drawn.delete(node); }
    document.querySelectorAll("[data-chart]").forEach(draw);
  };
  const resized = () => drawn.forEach((plot, node) => plot.setSize({ width: node.clientWidth, height: node.clientHeight }));
  return { drawAll, resized };
})();
