// plot draws the latency of a server's checks; what failed is marked, not left out.

import { attr, h, s } from './dom.js';
import { clock, instant, plural, span } from './format.js';

// sparkline is a small picture of some results of checks, the oldest first.
export function sparkline() {
  const line = s('path', { class: 'spark-line' });
  const fails = s('path', { class: 'spark-fail' });
  const svg = s('svg', { class: 'spark', viewBox: '0 0 96 22', 'aria-hidden': 'true' }, line, fails);
  return {
    node: svg,
    draw(probes) {
      const last = probes.slice(-48);
      const most = Math.max(...last.filter((p) => p.ok).map((p) => p.latency_ns), 1);
      const x = (i) => 2 + (i * 92) / Math.max(1, last.length - 1);
      attr(line, 'd', path(last, x, (p) => 20 - (p.latency_ns / most) * 15));
      attr(fails, 'd', last.map((p, i) => (p.ok ? '' : `M${x(i).toFixed(1)} 2V20`)).join(''));
    },
  };
}

// path joins the results that passed; a failure parts the line. One that passed between
// two failures is a dash.
function path(probes, x, y) {
  let open = false;
  return probes.map((p, i) => {
    const alone = p.ok && !open && !probes[i + 1]?.ok;
    const at = `${open ? 'L' : 'M'}${x(i).toFixed(1)} ${y(p).toFixed(1)}${alone ? 'h3' : ''}`;
    open = p.ok;
    return p.ok ? at : '';
  }).join('');
}

// latencyPlot is a larger one, with axes, as {node, draw(probes)}.
export function latencyPlot() {
  const svg = s('svg', { class: 'plot', role: 'img', 'aria-label': 'Latency of the checks over time' });
  const said = h('figcaption', { class: 'small muted' });
  const node = h('figure', { class: 'plot-box' }, svg, said);
  let probes = [];
  const sizes = new ResizeObserver(() => render());
  sizes.observe(node);

  function render() {
    const width = node.clientWidth;
    if (!width || probes.length === 0) return;
    const box = { left: 58, right: width - 12, top: 12, bottom: 150 };
    attr(svg, 'viewBox', `0 0 ${width} 178`);
    attr(svg, 'width', width);
    attr(svg, 'height', 178);
    const from = Date.parse(probes[0].at);
    const to = Math.max(Date.parse(probes.at(-1).at), from + 1);
    const most = nice(Math.max(...probes.filter((p) => p.ok).map((p) => p.latency_ns), 1e5));
    const x = (i) => box.left + ((Date.parse(probes[i].at) - from) / (to - from)) * (box.right - box.left);
    const y = (p) => box.bottom - (p.latency_ns / most) * (box.bottom - box.top);
    svg.replaceChildren(
      ...[0, 0.5, 1].flatMap((part) => grid(box, most * part, box.bottom - part * (box.bottom - box.top))),
      ...times(box, from, to),
      s('path', { class: 'plot-line', d: path(probes, x, y) }),
      ...probes.flatMap((p, i) => point(p, x(i), y(p), box)));
  }

  return {
    node,
    close: () => sizes.disconnect(),
    draw(next) {
      probes = next;
      svg.classList.toggle('hide', probes.length === 0);
      said.replaceChildren(...summary(probes));
      render();
    },
  };
}

function summary(probes) {
  if (probes.length === 0) return ['No check of it has ended yet, or it has none.'];
  const passed = probes.filter((p) => p.ok).map((p) => p.latency_ns).sort((a, b) => a - b);
  const failed = probes.length - passed.length;
  const middle = passed.length ? `median ${span(passed[passed.length >> 1])}, most ${span(passed.at(-1))}` : 'none passed';
  return [`${plural(probes.length, 'check')}: ${middle}; `, failed ? h('span', { class: 'tone-bad' }, `◆ ${failed} failed`) : 'none failed', '.'];
}

// nice is the next round figure above: 1, 2 or 5 of its decade.
function nice(n) {
  const decade = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((f) => f * decade).find((f) => f >= n);
}

function grid({ left, right }, ns, y) {
  return [s('path', { class: 'plot-grid', d: `M${left} ${y}H${right}` }), s('text', { class: 'plot-text', x: left - 8, y: y + 4, 'text-anchor': 'end' }, ns ? span(ns) : '0')];
}

function times({ left, right, bottom }, from, to) {
  const n = right - left > 500 ? 4 : 2;
  return Array.from({ length: n + 1 }, (_, i) => s('text', {
    class: 'plot-text', x: left + ((right - left) * i) / n, y: bottom + 20, 'text-anchor': i === 0 ? 'start' : i === n ? 'end' : 'middle',
  }, clock(new Date(from + ((to - from) * i) / n))));
}

function point(p, x, y, box) {
  if (p.ok) return [];
  const mid = box.top + 10;
  return [
    s('path', { class: 'plot-fail', d: `M${x} ${mid + 6}V${box.bottom}` }),
    s('path', { class: 'plot-mark', d: `M${x} ${mid - 6}l6 6l-6 6l-6 -6z` }, s('title', {}, `${clock(instant(p.at))}: ${p.error}`)),
  ];
}
