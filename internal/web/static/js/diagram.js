// diagram draws one director as the application note draws it: clients, virtual IP,
// director, servers, and the replies that go straight back. It is built once for a
// shape of the service, and then only its words and marks change.

import { query } from './api.js';
import { attr, h, s, text } from './dom.js';
import { bits, count, packets, plural } from './format.js';
import { address, copyShort, copyTone, healthOf, role, serversOf, under } from './state.js';
import { shapePath, toneOf } from './widgets.js';

const mostServers = 18; // boxes that are drawn; the rest are named on Servers
const mostVIPs = 3;

// createDiagram returns {node, draw(picture)}, picture = {name, director, flows, rate}:
// flows [{name, vips}] lead to the director; rate(pick) is the live picture's.
export function createDiagram() {
  const svg = s('svg', { class: 'diagram', role: 'group' });
  const node = h('div', { class: 'diagram-box' }, svg);
  let built = '';
  let parts = null;
  let picture = null;
  const sizes = new ResizeObserver(() => picture && draw(picture));
  sizes.observe(node);

  function draw(next) {
    picture = next;
    const { clientWidth: width } = node;
    if (!width) return;
    const servers = serversOf(picture.director);
    const vips = picture.flows.flatMap((f) => f.vips.map((v) => ({ ...v, flow: f.name })));
    const plan = layout(width, Math.min(servers.length, mostServers), servers.length, Math.min(vips.length, mostVIPs), vips.length);
    const shape = [picture.name, width, servers.length, vips.length].join('|');
    if (shape !== built) {
      built = shape;
      parts = build(svg, plan);
    }
    fill(svg, parts, picture, servers, vips);
  }

  return { node, draw, close: () => sizes.disconnect() };
}

// A plan is where everything stands. Columns on a wide screen, rows on a narrow one.
function layout(width, servers, allServers, vips, allVips) {
  return width >= 940 ? wide(width, servers, allServers, vips, allVips) : narrow(width, servers, allServers, vips, allVips);
}

function wide(width, servers, allServers, vips, allVips) {
  const k = Math.min(1.8, Math.max(1, width / 1180));
  const many = servers > 6;
  const roomy = Math.min(1, (width - 640) / 540); // narrower boxes leave room for the rates
  const box = { client: (118 + 32 * roomy) * k, vip: (140 + 30 * roomy) * k, director: (128 + 40 * roomy) * k, server: (212 + 66 * roomy) * k };
  const margin = 22 * k; // on the right, for the way back
  const gaps = (width - box.client - box.vip - box.director - box.server - margin - 2) / 3.35;
  const high = (many ? 30 : 84) * k;
  const step = high + (many ? 7 : 18) * k;
  const more = allServers > servers ? 26 * k : 0;
  const height = Math.max(200 * k, servers * step - (step - high) + more + 70 * k);
  const middle = (height - 40 * k) / 2 + 4 * k;
  const x = { client: 2, vip: 2 + box.client + gaps * 1.2 };
  x.director = x.vip + box.vip + gaps * 0.8;
  x.server = width - box.server - margin;
  const at = (left, w, tall) => ({ x: left, y: middle - tall / 2, w, h: tall });
  const first = middle - (servers * step - (step - high) + more) / 2;
  return {
    k, width, height, many, upright: false, more: allServers - servers,
    client: at(x.client, box.client, 76 * k),
    vip: at(x.vip, box.vip, (30 + 24 * Math.max(1, vips) + (allVips > vips ? 20 : 0)) * k + 8 * k),
    vips, moreVips: allVips - vips,
    director: at(x.director, box.director, 96 * k),
    servers: Array.from({ length: servers }, (_, i) => ({ x: x.server, y: first + i * step, w: box.server, h: high })),
    reply: { y: height - 20 * k, x: width - 4 * k },
  };
}

function narrow(width, servers, allServers, vips, allVips) {
  const w = Math.min(width - 34, 420);
  const many = servers > 4;
  const vipHeight = 34 + 24 * Math.max(1, vips) + (allVips > vips ? 20 : 0);
  let y = 2;
  const next = (tall, gap) => {
    const box = { x: 2, y, w, h: tall };
    y += tall + gap;
    return box;
  };
  const client = next(62, 46);
  const vip = next(vipHeight, 24);
  const director = next(96, 34);
  const list = Array.from({ length: servers }, () => next(many ? 34 : 84, 12));
  return { k: 1, width: w + 32, height: y + 34, many, upright: true, more: allServers - servers, client, vip, vips, moreVips: allVips - vips, director, servers: list, reply: { x: w + 20 } };
}

function build(svg, plan) {
  svg.replaceChildren();
  attr(svg, 'viewBox', `0 0 ${plan.width} ${plan.height}`);
  attr(svg, 'width', plan.width);
  attr(svg, 'height', plan.height);
  svg.style.setProperty('--k', plan.k);
  const title = s('title', { id: 'diagram-title' });
  attr(svg, 'aria-labelledby', 'diagram-title');
  const edges = s('g', { class: 'edges' });
  const boxes = s('g', {});
  svg.append(title, edges, boxes);
  const parts = { plan, title, servers: [], client: clientBox(boxes, plan), vip: vipBox(boxes, plan), director: directorBox(boxes, plan) };
  parts.in = edge(edges, plan, plan.client, plan.vip);
  parts.to = edge(edges, plan, plan.vip, plan.director, false);
  parts.reply = replyPath(edges, plan);
  plan.servers.forEach((box, i) => {
    parts.servers.push({ ...serverBox(boxes, plan, box), edge: serverEdge(edges, plan, box, i) });
  });
  if (plan.more > 0) {
    const last = plan.servers.at(-1);
    boxes.append(s('text', { class: 'd-more', x: last.x + 4, y: last.y + last.h + 20 * plan.k }, `and ${count(plan.more)} more: see Servers`));
  }
  return parts;
}

const label = (parent, cls, x, y, anchor) => {
  const node = s('text', { class: cls, x, y, 'text-anchor': anchor });
  parent.append(node);
  return node;
};

function frame(parent, box, cls) {
  const g = s('g', { class: `d-box ${cls}` });
  g.append(s('rect', { x: box.x, y: box.y, width: box.w, height: box.h, rx: 8 }));
  parent.append(g);
  return g;
}

function clientBox(parent, { client, k }) {
  const g = frame(parent, client, 'd-client');
  const x = client.x + 14 * k;
  label(g, 'd-name', x, client.y + 25 * k).textContent = 'Clients';
  return { known: label(g, 'd-line', x, client.y + 45 * k), old: label(g, 'd-line d-warn', x, client.y + 63 * k) };
}

function vipBox(parent, { vip, vips, moreVips, k }) {
  const g = frame(parent, vip, 'd-vip');
  const x = vip.x + 14 * k;
  label(g, 'd-kind', x, vip.y + 22 * k).textContent = vips + moreVips === 1 ? 'Virtual IP' : `Virtual IPs (${vips + moreVips})`;
  const lines = Array.from({ length: vips }, (_, i) => {
    const y = vip.y + (46 + 24 * i) * k;
    const sign = s('path', { class: 'd-shape', transform: `translate(${x} ${y - 10 * k}) scale(${0.68 * k})` });
    g.append(sign);
    return { sign, addr: label(g, 'd-strong', x + 17 * k, y), title: g.appendChild(s('title')) };
  });
  if (vips === 0) label(g, 'd-line', x, vip.y + 46 * k).textContent = 'no flow leads here';
  if (moreVips > 0) label(g, 'd-line', x, vip.y + (44 + 24 * vips) * k).textContent = `and ${count(moreVips)} more`;
  return { lines };
}

function directorBox(parent, { director: box, k }) {
  const g = frame(parent, box, 'd-director');
  const x = box.x + 14 * k;
  label(g, 'd-kind', x, box.y + 22 * k).textContent = 'Director';
  return {
    g, name: label(g, 'd-name', x, box.y + 43 * k), epoch: label(g, 'd-line', x, box.y + 63 * k), held: label(g, 'd-line', x, box.y + 81 * k),
  };
}

function serverBox(parent, { many, k }, box) {
  const link = s('a', { class: 'd-link' });
  parent.append(link);
  const g = frame(link, box, 'd-server');
  const x = box.x + 14 * k;
  const base = many ? box.y + box.h / 2 + 5 * k : box.y + 25 * k;
  const right = box.x + box.w - 14 * k;
  const sign = s('path', { class: 'd-shape' });
  g.append(sign);
  const tag = s('g', { class: 'd-tag' }, s('rect', { rx: 4 * k, height: 20 * k }), s('text', { 'text-anchor': 'middle' }));
  g.append(tag);
  return {
    g, link, sign, tag, many, box, k, base, right, x,
    name: label(g, 'd-name', x, base),
    addr: many ? null : label(g, 'd-line', x, box.y + 47 * k),
    health: label(g, 'd-line d-health', many ? right : x + 17 * k, many ? base : box.y + 70 * k, many ? 'end' : 'start'),
    connections: many ? null : label(g, 'd-line', right, box.y + 70 * k, 'end'),
    title: g.appendChild(s('title')),
  };
}

// edge is an arrow between two boxes with its rates.
function edge(parent, { upright, k }, from, to, named = true) {
  const path = upright
    ? `M${from.x + from.w / 2} ${from.y + from.h}V${to.y - 6}`
    : `M${from.x + from.w} ${from.y + from.h / 2}H${to.x - 6 * k}`;
  const g = s('g', { class: 'd-edge' }, s('path', { class: 'd-way', d: path }), head(upright, upright ? to.x + to.w / 2 : to.x, upright ? to.y : to.y + to.h / 2, k));
  parent.append(g);
  if (!named) return { g };
  const x = upright ? from.x + from.w / 2 + 12 : (from.x + from.w + to.x - 6 * k) / 2;
  const y = upright ? from.y + from.h + 19 : from.y + from.h / 2;
  const anchor = upright ? 'start' : 'middle';
  return {
    g,
    packets: label(g, 'd-rate', x, upright ? y : y - 9 * k, anchor),
    bits: label(g, 'd-rate', upright ? x : x, upright ? y + 16 : y + 19 * k, anchor),
  };
}

function head(upright, x, y, k) {
  const d = upright ? `M${x} ${y}l-4.5 -8h9z` : `M${x} ${y}l${-8 * k} ${-4.5 * k}v${9 * k}z`;
  return s('path', { class: 'd-head', d });
}

function serverEdge(parent, plan, box, i) {
  const { director, upright, k } = plan;
  const g = s('g', { class: 'd-edge' });
  const from = { x: director.x + director.w, y: director.y + director.h / 2 };
  const y = box.y + box.h / 2;
  if (upright) {
    // A trunk beside the boxes would cross them: the arrow goes from box to box.
    const above = i === 0 ? director : plan.servers[i - 1];
    g.append(s('path', { class: 'd-way', d: `M${box.x + box.w / 2} ${above.y + above.h}V${box.y - 6}` }));
    if (i === 0) g.append(head(true, box.x + box.w / 2, box.y, k));
    parent.append(g);
    return { g, upright, rate: i === 0 ? label(g, 'd-rate', box.x + box.w / 2 + 12, above.y + above.h + 21, 'start') : null };
  }
  const turn = from.x + (box.x - from.x) * 0.42;
  g.append(
    s('path', { class: 'd-way', d: `M${from.x} ${from.y}C${turn} ${from.y} ${from.x + (box.x - from.x) * 0.25} ${y} ${turn + 14 * k} ${y}H${box.x - 6 * k}` }),
    head(false, box.x, y, k));
  parent.append(g);
  // Where the way is short, the words end at the box; they stand on the way then.
  const short = box.x - turn < 92 * k;
  const at = short || plan.many ? box.x - 10 * k : (turn + box.x) / 2 + 4 * k;
  const anchor = short || plan.many ? 'end' : 'middle';
  return { g, rate: label(g, 'd-rate', at, y - 8 * k, anchor), bits: plan.many ? null : label(g, 'd-rate', at, y + 18 * k, anchor) };
}

// replyPath is the way back that passes the director by: the trunk to the clients,
// and a branch of each server, seen when it is active.
function replyPath(parent, { upright, servers, client, reply, k }) {
  const g = s('g', { class: 'd-reply' });
  parent.append(g);
  if (servers.length === 0) return { g, branches: [] };
  const r = 10 * k;
  const branches = servers.map((box) => {
    const path = s('path', { class: 'd-way', d: replyFrom(box, client, reply, r, upright) });
    g.append(path);
    return path;
  });
  if (upright) {
    const last = servers.at(-1);
    g.append(s('path', { class: 'd-head', d: `M${client.x + client.w} ${client.y + client.h / 2}l8 -4.5v9z` }));
    label(g, 'd-rate', client.x, last.y + last.h + 24, 'start').textContent = 'The replies go straight to the clients.';
  } else {
    g.append(s('path', { class: 'd-head', d: `M${client.x + client.w / 2} ${client.y + client.h}l${-4.5 * k} ${8 * k}h${9 * k}z` }));
    label(g, 'd-rate', (client.x + reply.x) / 2, reply.y - 7 * k, 'middle').textContent = 'replies: straight from the server to the clients';
  }
  return { g, branches };
}

function replyFrom(box, client, reply, r, upright) {
  const y = box.y + box.h / 2;
  const right = box.x + box.w;
  if (upright) {
    const top = client.y + client.h / 2;
    return `M${right} ${y}H${reply.x - r}Q${reply.x} ${y} ${reply.x} ${y - r}V${top + r}Q${reply.x} ${top} ${reply.x - r} ${top}H${client.x + client.w + 8}`;
  }
  const x = client.x + client.w / 2;
  return `M${right} ${y}H${reply.x - r}Q${reply.x} ${y} ${reply.x} ${y + r}V${reply.y - r}Q${reply.x} ${reply.y} ${reply.x - r} ${reply.y}` +
    `H${x + r}Q${x} ${reply.y} ${x} ${reply.y - r}V${client.y + client.h + r}`;
}

// What changes.

function fill(svg, parts, { name, director, rate, blind }, servers, vips) {
  const total = (field) => rate((v) => v.directors?.[name]?.total?.[field]);
  text(parts.title, `Director ${name}: ${director.balanced ? 'several servers share the connections' : director.applied ? `${director.applied} is active` : 'no server is active'}.`);
  text(parts.client.known, plural(director.connections ?? 0, 'connection'));
  text(parts.client.old, director.old_connections ? `${count(director.old_connections)} old` : '');
  const perSecond = total('packets');
  text(parts.in.packets, packets(perSecond));
  text(parts.in.bits, bits(total('bytes')));
  const flows = perSecond > 0;
  attr(parts.in.g, 'class', `d-edge ${flows ? 'd-flows' : ''}`);
  attr(parts.to.g, 'class', `d-edge ${flows ? 'd-flows' : ''}`);
  parts.vip.lines.forEach((line, i) => fillVIP(line, vips[i]));
  fillDirector(parts.director, name, director);
  parts.servers.forEach((part, i) => {
    fillServer(part, name, director, servers[i], rate, blind);
    attr(parts.reply.branches[i], 'visibility', role(director, servers[i], blind) === 'active' ? null : 'hidden');
  });
  attr(parts.reply.g, 'visibility', servers.some((one) => role(director, one, blind) === 'active') ? null : 'hidden');
}

function fillVIP(line, vip) {
  const tone = toneOf(vip.state);
  attr(line.sign, 'd', shapePath(tone));
  attr(line.sign, 'class', `d-shape tone-${tone}`);
  text(line.addr, vip.addr + (vip.state === 'announced' ? '' : ` (${vip.state})`));
  text(line.title, `${vip.addr}: ${vip.state}${vip.why ? ', ' + vip.why : ''}; flow ${vip.flow}`);
}

function fillDirector(part, name, director) {
  text(part.name, name);
  const hold = under(director);
  attr(part.g, 'class', `d-box d-director ${hold ? 'd-hold' : ''}`);
  text(part.epoch, hold ? `on hold: ${director.step}` : `epoch ${director.epoch}`);
  text(part.held, director.held_syns ? `${plural(director.held_syns, 'SYN')} held` : hold && director.to ? `to ${director.to}` : director.failback && !director.balanced ? `failback: ${director.failback}` : '');
}

const alerting = new Set(['not applied', 'next', 'on hold', 'draining', 'disabled']);

function fillServer(part, directorName, director, server, rate, blind) {
  const is = role(director, server, blind);
  const health = healthOf(server);
  const active = is === 'active';
  const next = under(director) && director.to === server.name;
  attr(part.link, 'href', '/servers' + query({ director: directorName, server: server.name }));
  attr(part.g, 'class', `d-box d-server ${active ? 'd-active' : ''} ${health === 'down' ? 'd-down' : ''}`);
  text(part.name, server.name);
  if (part.addr) {
    text(part.addr, address(server));
    const serves = active || server.connections;
    text(part.connections, serves ? plural(server.connections, 'connection') : copyShort(server));
    attr(part.connections, 'class', `d-line ${serves || !copyTone(server) ? '' : `tone-${copyTone(server)}`}`);
  }
  fillTag(part, is, active ? 'd-on' : alerting.has(is) ? 'd-alert' : '');
  fillHealth(part, health);
  text(part.title, `${server.name}, ${address(server)}: ${is}, ${health}${server.why && health !== 'up' ? ', ' + server.why : ''}${server.copy ? ', ' + copyShort(server) : ''}`);
  const total = (field) => rate((v) => v.directors?.[directorName]?.servers?.[server.name]?.total?.[field]);
  const perSecond = total('packets');
  const flows = perSecond > 0;
  attr(part.edge.g, 'class', `d-edge ${active ? 'd-on' : 'd-off'} ${active && flows ? 'd-flows' : ''} ${next ? 'd-next' : ''}`);
  const told = active || flows;
  if (part.edge.bits) {
    text(part.edge.rate, told ? packets(perSecond) : '');
    text(part.edge.bits, told ? bits(total('bytes')) : '');
  } else if (part.edge.rate) {
    text(part.edge.rate, told ? `${packets(perSecond)}${part.edge.upright ? ', ' + bits(total('bytes')) : ''}` : '');
  }
}

// widthOf is the width of a text that was just set. It is measured when it changed only:
// measuring makes the browser lay everything out.
const widths = new WeakMap();
function widthOf(node, words) {
  const known = widths.get(node);
  if (known?.words === words && known.width) return known.width;
  const width = node.getComputedTextLength();
  widths.set(node, { words, width });
  return width;
}

// The tag beside the name says the role in a word.
function fillTag(part, word, cls) {
  const { k, tag, base, right, many } = part;
  text(tag.lastChild, word);
  const wide = widthOf(tag.lastChild, word) + 16 * k;
  attr(tag, 'class', `d-tag ${cls}`);
  const x = many ? part.x + widthOf(part.name, part.name.textContent) + 8 * k : right - wide;
  const y = base - 15 * k;
  const [rect, words] = tag.children;
  attr(rect, 'x', x);
  attr(rect, 'y', y);
  attr(rect, 'width', wide);
  attr(words, 'x', x + wide / 2);
  attr(words, 'y', y + 14.2 * k);
  attr(tag, 'visibility', many && word.endsWith('standby') ? 'hidden' : null);
}

function fillHealth(part, health) {
  const tone = toneOf(health);
  const { k, right, x, many, health: words } = part;
  text(words, health);
  attr(words, 'class', `d-line d-health tone-${tone}`);
  const y = many ? part.base : part.box.y + 70 * k;
  attr(part.sign, 'd', shapePath(tone));
  attr(part.sign, 'class', `d-shape tone-${tone}`);
  attr(part.sign, 'transform', `translate(${many ? right - widthOf(words, health) - 17 * k : x} ${y - 9.5 * k}) scale(${0.66 * k})`);
}

