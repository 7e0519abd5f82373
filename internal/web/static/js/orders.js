// orders asks before an order is given, says what it will do, gives it, and tells
// what came of it. Force is offered only after a refusal.

import { h } from './dom.js';
import { count, plural } from './format.js';
import { address, healthOf, marked, under } from './state.js';
import { problemText } from './widgets.js';

// possible are the orders that make sense for a server now: [{verb, label}].
export function possible(director, server) {
  const active = !director.balanced && director.applied === server.name && !under(director);
  const all = [];
  if (!director.balanced && !active) all.push({ verb: 'switch', label: under(director) ? 'Switch to it' : 'Make active' });
  if (server.mark !== 'draining') all.push({ verb: 'drain', label: 'Drain' });
  if (server.mark !== 'disabled') all.push({ verb: 'disable', label: 'Disable' });
  if (marked(server)) all.push({ verb: 'enable', label: 'Enable' });
  return all;
}

const titles = {
  switch: (d, s) => `Make ${s} the active server of ${d}?`,
  drain: (d, s) => `Drain ${d}/${s}?`,
  disable: (d, s) => `Disable ${d}/${s}?`,
  enable: (d, s) => `Enable ${d}/${s}?`,
};
const buttons = {
  switch: (s) => `Switch to ${s}`, drain: (s) => `Drain ${s}`, disable: (s) => `Disable ${s}`, enable: (s) => `Enable ${s}`,
};

// order asks, orders, and tells. It gives true when the order was carried out.
export async function order(ctx, verb, directorName, serverName) {
  const director = ctx.live.value?.directors?.[directorName];
  const server = director?.servers?.[serverName];
  if (!server) return false;
  const said = effects(verb, directorName, director, { name: serverName, ...server });
  const yes = await ctx.confirm({
    title: titles[verb](directorName, serverName),
    body: h('ul', {}, said.map((line) => h('li', {}, line))),
    confirm: buttons[verb](serverName),
    danger: resets(verb, director, serverName),
  });
  return yes && give(ctx, { verb, director: directorName, server: serverName });
}

async function give(ctx, order) {
  const name = `${order.verb} ${order.director}/${order.server}`;
  // Hooks may take minutes.
  let waits = () => {};
  const slow = setTimeout(() => { waits = ctx.toast(`${name} is being carried out. It waits for hooks, if there are any.`, { ms: 0 }); }, 500);
  const over = () => { clearTimeout(slow); waits(); };
  try {
    const done = await ctx.api.post('/order', order);
    over();
    ctx.toast(done.text, { kind: 'ok' });
    return true;
  } catch (refused) {
    over();
    if (refused.status === 409 && !order.force && order.verb !== 'enable') return byForce(ctx, order, refused);
    ctx.toast(`${name}: ${problemText(refused)}`, { kind: 'bad' });
    return false;
  }
}

// byForce tells of a refusal and offers force.
async function byForce(ctx, order, refused) {
  const yes = await ctx.confirm({
    title: 'The order was refused',
    body: [
      h('p', { class: 'refusal' }, problemText(refused)),
      'By force, a switch goes on without a hook that fails, and to a server whose check does not pass. Its clients may then find no service there, ' +
        'and what a hook would have prevented can happen: two servers that write to the same data.',
      'Nothing was changed so far.',
    ],
    confirm: `By force: ${order.verb} ${order.server}`,
    cancel: 'Leave it as it is',
    danger: true,
  });
  return yes && give(ctx, { ...order, force: true });
}

// resets is whether an order ends connections.
function resets(verb, director, name) {
  if (verb === 'switch') return true;
  return verb !== 'enable' && (director.balanced ? verb === 'disable' : director.applied === name);
}

// effects says what an order will do, in sentences.
export function effects(verb, directorName, director, server) {
  if (verb === 'enable') return enabled(director, server);
  if (verb === 'switch') return switched(director, server);
  return director.balanced ? taken(verb, server) : marking(verb, directorName, director, server);
}

function switched(director, server) {
  const old = director.applied;
  const health = healthOf(server);
  return [
    `New connections go to ${server.name} (${address(server)})${old ? ` instead of ${old}` : ''}.`,
    old && `The ${plural(director.connections, 'old connection')} of ${old} ${director.connections === 1 ? 'is' : 'are'} reset, never moved. The clients connect again at once; what was under way is sent again by them.`,
    health !== 'up' && `${server.name} is ${health}${server.why ? ` (${server.why})` : ''}: nobody measured that it works.`,
    'If the configuration has fence or promote hooks, they run first. Until they end, new connections are held.',
    'Fairlead copies no data: make sure that ' + server.name + ' has what the clients need.',
    'It stays so until another order, or until ' + server.name + ' fails.',
  ].filter(Boolean);
}

function marking(verb, directorName, director, server) {
  const word = verb === 'drain' ? 'draining' : 'disabled';
  if (director.applied !== server.name) {
    return [`${server.name} is not active: no connection is touched.`, `It is ${word}, and is not used when ${director.applied || 'another server'} fails, until it is enabled again.`];
  }
  return [
    `${server.name} is the active server of ${directorName}: the director switches to another one, if one can be used.`,
    `Its ${plural(director.connections, 'connection')} ${director.connections === 1 ? 'is' : 'are'} reset, because an active/passive director never has two servers at once. The clients connect again at once.`,
    `${server.name} is not used until it is enabled again.`,
  ];
}

function taken(verb, server) {
  const n = count(server.connections);
  return [
    `${server.name} gets no new connection until it is enabled again; the other servers share them.`,
    verb === 'drain' ? `Its ${n} connections may end by themselves.` : `Its ${n} connections are reset; the clients connect again, to the other servers.`,
  ];
}

function enabled(director, server) {
  return [
    `${server.name} may be used again.`,
    director.balanced ? 'It gets its share of new connections as soon as its check passes.'
      : director.applied ? `${director.applied} stays active; nothing is switched by this alone unless the configuration says that the director fails back by itself.`
        : 'No server is active: it is taken as soon as its check passes.',
  ];
}
