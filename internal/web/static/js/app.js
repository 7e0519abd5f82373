// app is the shell: it asks who is logged in, draws the bar, and mounts the page
// of the address. Pages know nothing of one another.
//
// A page is a module in pages/ that exports `title` (a text, or a function of the
// context) and `mount(root, ctx)`, which returns a function that unmounts. ctx:
//   api, live, session {name, role, csrf}, may(role), route {path, label, tab},
//   navigate(address), toast(message, {kind}), confirm({title, body, confirm, danger}).

import { createApi } from './api.js';
import { attr, h, s, text } from './dom.js';
import { age, clock } from './format.js';
import { createLive } from './live.js';
import { confirm, setMark, mark, toast } from './widgets.js';

const routes = [
  { path: '/', label: 'Overview', module: 'overview' },
  { path: '/servers', label: 'Servers', module: 'servers' },
  { path: '/connections', label: 'Connections', module: 'connections' },
  { path: '/events', label: 'Events', module: 'events' },
  { path: '/doctor', label: 'Doctor', module: 'doctor' },
  { path: '/flow', label: 'Flow', module: 'config', tab: 'flow', group: 'Configuration' },
  { path: '/l4', label: 'LB layer 4', module: 'config', tab: 'l4' },
  { path: '/services', label: 'Services', module: 'services', tab: 'services' },
];
const login = { path: '/login', label: 'Log in', module: 'login' };
const ranks = ['none', 'viewer', 'operator', 'admin'];

const main = document.getElementById('main');
const bar = document.getElementById('bar');
const banner = document.getElementById('banner');

let session = null;
let leave = null; // unmounts the present page
let visit = 0; // counts navigations: a page that loads late is not mounted over a newer one
const links = new Map(); // by path
const parts = {}; // of the bar: state, alarms

const api = createApi({ csrf: () => session?.csrf, lost: loggedOut });
const live = createLive({ refused: loggedOut });

const may = (role) => ranks.indexOf(session?.role) >= ranks.indexOf(role);

function loggedOut() {
  if (!session) return;
  session = null;
  live.stop();
  drawBar();
  toast('Your login is no longer valid. Log in again to go on.');
  show(loginAddress());
}

const loginAddress = () => login.path + '?next=' + encodeURIComponent(location.pathname + location.search);

// navigate goes to an address of these pages.
async function navigate(address, { replace = false } = {}) {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  await show();
}

async function show(address) {
  if (address) history.replaceState(null, '', address);
  const mine = ++visit;
  const known = routes.find((r) => r.path === location.pathname);
  const route = session ? known : login;
  if (!session && location.pathname !== login.path) history.replaceState(null, '', loginAddress());
  if (session && location.pathname === login.path) return navigate('/', { replace: true });
  let page;
  try {
    page = route ? await import(`./pages/${route.module}.js`) : missing;
  } catch (failed) {
    page = broken(route, failed);
  }
  if (mine === visit) mountPage(page, route ?? { path: location.pathname, label: 'No such page' });
}

function mountPage(page, route) {
  leave?.();
  main.replaceChildren();
  main.className = 'page page-' + (route.module ?? 'missing');
  for (const [path, link] of links) attr(link, 'aria-current', path === route.path ? 'page' : null);
  bar.querySelector('details')?.removeAttribute('open');
  const ctx = context(route);
  const title = typeof page.title === 'function' ? page.title(ctx) : page.title;
  document.title = `${title ?? route.label} · Fairlead`;
  window.scrollTo(0, 0);
  leave = page.mount(main, ctx) ?? null;
}

function context(route) {
  return {
    api, live, session, may, route, navigate, toast, confirm,
    begin: (who) => begin(who),
  };
}

const missing = {
  title: 'No such page',
  mount: (root) => root.append(notice('There is no such page', `Nothing is at ${location.pathname}.`)),
};

function broken(route, failed) {
  return {
    title: route.label,
    mount: (root) => root.append(notice('This page could not be loaded', `${failed.message}. Reload it; when that does not help, look whether the daemon answers.`)),
  };
}

const notice = (title, body) => h('section', { class: 'card notice' }, h('h1', {}, title), h('p', {}, body), h('p', {}, h('a', { href: '/' }, 'Go to Overview')));

// The bar.

function drawBar() {
  links.clear();
  bar.replaceChildren(brand());
  if (!session) {
    bar.append(h('span', { class: 'grow' }), themeButton());
    return;
  }
  parts.alarms = h('span', { class: 'count', hidden: true });
  parts.state = mark('connecting', 'unknown');
  const nav = h('nav', { class: 'tabs', 'aria-label': 'Pages' }, routes.flatMap(tab));
  bar.append(
    nav,
    h('details', { class: 'menu' }, h('summary', {}, 'Menu'), h('nav', { 'aria-label': 'Pages, small screen' }, routes.map(menuLink))),
    h('span', { class: 'grow' }),
    h('span', { class: 'daemon', role: 'status', title: 'Whether the daemon answers' }, parts.state),
    themeButton(),
    account());
}

function brand() {
  return h('a', { class: 'brand', href: '/', 'aria-label': 'Fairlead, Overview' },
    s('svg', { viewBox: '0 0 32 32', 'aria-hidden': 'true', class: 'logo' },
      s('circle', { cx: 16, cy: 16, r: 8 }), s('path', { d: 'M1 20.5Q10 20.5 16 16T31 11.5' })),
    h('span', {}, 'Fairlead'));
}

function tab(route) {
  const link = h('a', { href: route.path }, route.label, route.path === '/' && parts.alarms);
  links.set(route.path, link);
  return route.group ? [h('span', { class: 'divider', 'aria-hidden': 'true' }), link] : [link];
}

function menuLink(route) {
  const link = h('a', { href: route.path }, route.label);
  links.set('menu ' + route.path, link);
  return link;
}

function account() {
  return h('span', { class: 'account' },
    h('span', { class: 'who', title: `Role: ${session.role}` }, session.name, h('span', { class: 'role' }, session.role)),
    h('button', { type: 'button', class: 'quiet', on: { click: logout } }, 'Log out'));
}

async function logout() {
  try {
    await api.del('/session');
  } catch (failed) {
    toast(`You are still logged in: ${failed.message}`, { kind: 'bad' });
    return;
  }
  session = null;
  live.stop();
  drawBar();
  await show(login.path);
}

function themeButton() {
  const names = { auto: 'system', light: 'light', dark: 'dark' };
  const now = () => document.documentElement.dataset.theme ?? 'auto';
  const glyph = s('path');
  const button = h('button', { type: 'button', class: 'quiet theme', on: { click: turn } },
    s('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('circle', { cx: 8, cy: 8, r: 6 }), glyph));
  const draw = () => {
    const d = { auto: 'M8 2a6 6 0 0 1 0 12Z', light: '', dark: 'M8 2a6 6 0 0 1 0 12A6 6 0 0 1 8 2Z' }[now()];
    attr(glyph, 'd', d);
    attr(button, 'aria-label', `Colours: ${names[now()]}. Change them`);
    attr(button, 'title', `Colours: ${names[now()]}`);
  };
  function turn() {
    const next = { auto: 'light', light: 'dark', dark: 'auto' }[now()];
    if (next === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem('fairlead.theme', next);
    } catch {
      // Storage is forbidden: the choice holds until the page is left.
    }
    draw();
  }
  draw();
  return button;
}

// What the bar and the banner say of the daemon.

function drawDaemon() {
  if (!session) {
    banner.replaceChildren();
    return;
  }
  const lag = live.behind();
  const alarms = live.value?.alarms?.length ?? 0;
  text(parts.alarms, alarms);
  parts.alarms.hidden = alarms === 0;
  attr(parts.alarms, 'aria-label', `, ${alarms} alarms`);
  const gone = live.state === 'lost';
  setMark(parts.state, gone ? 'no answer' : lag ? 'stuck' : live.state === 'open' && live.value ? 'live' : 'connecting',
    gone || lag ? 'bad' : live.state === 'open' && live.value ? 'ok' : 'unknown');
  document.body.classList.toggle('stale', gone || lag > 0);
  drawBanner(gone, lag);
}

function drawBanner(gone, lag) {
  if (!gone && !lag) {
    banner.replaceChildren();
    return;
  }
  // The age is for the eye only: a voice would read the banner anew each second.
  if (!banner.firstChild) banner.append(mark('', 'bad'), h('p', {}, h('span'), h('span', { 'aria-hidden': 'true' }), h('span')));
  const [sign, said] = banner.children;
  setMark(sign, gone ? 'Daemon gone' : 'Daemon stuck', 'bad');
  text(said.children[0], gone ? `The daemon does not answer since ${clock(live.lostSince)}` : 'The daemon hangs: its heartbeat is old');
  text(said.children[1], ` (${age(gone ? (Date.now() - live.lostSince) / 1000 : lag)})`);
  text(said.children[2], '. The data plane keeps forwarding as it was, but nobody checks the servers and nobody would switch. ' +
    `What you see below is what was last known. On the director: ${gone ? 'start the daemon again as it was started, with fairlead run' : 'end the daemon and start it again'}. It takes over what is there, and no packet is lost.`);
}

// begin takes a session over after a login.
function begin(who) {
  session = who;
  drawBar();
  live.start();
  const next = new URLSearchParams(location.search).get('next');
  return show(next?.startsWith('/') && !next.startsWith('//') && !next.startsWith('/login') ? next : '/');
}

function follow(event) {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const address = new URL(link.getAttribute('href'), location.href); // an SVG link has no other
  if (address.origin !== location.origin || link.getAttribute('target') || link.hasAttribute('download')) return;
  if (address.pathname.startsWith('/api/') || address.pathname.startsWith('/static/') || address.pathname === '/metrics') return;
  if (address.hash && address.pathname === location.pathname) return; // the skip link
  event.preventDefault();
  navigate(address.pathname + address.search);
}

async function start() {
  document.addEventListener('click', follow);
  window.addEventListener('popstate', () => show());
  live.watch(drawDaemon);
  live.subscribe(drawDaemon);
  setInterval(drawDaemon, 1000);
  // The page is loaded while the daemon says who is logged in. What fails is told when
  // it is shown.
  const known = routes.find((r) => r.path === location.pathname);
  if (known) import(`./pages/${known.module}.js`).catch(() => {});
  // The login's own address is only served to who is not logged in.
  if (location.pathname !== login.path) {
    try {
      session = await api.get('/session');
    } catch (failed) {
      if (failed.status !== 401) toast(failed.message, { kind: 'bad' });
    }
  }
  drawBar();
  if (session) live.start();
  await show();
}

start();
