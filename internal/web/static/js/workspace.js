// Workspace is the configuration as somebody edits it: the documents that the
// director has, the texts that were typed over them on any page, the draft that is
// kept on the director, and what the daemon says of it all. It shows nothing.

import { after } from './dom.js';
import { Problem } from './api.js';

const PAUSE = 250; // ms without a key until the daemon is asked
const spaces = new WeakMap(); // by the api that they use: one for all pages

// workspaceOf gives the workspace of who is logged in. It outlives a page, so that
// what was typed on one tab is there when the next one opens.
export function workspaceOf({ api, session, live }) {
  const had = spaces.get(api);
  if (had && had.user === session.name && had.role === session.role) return had;
  had?.close();
  const made = createWorkspace({ api, live, user: session.name, role: session.role });
  spaces.set(api, made);
  return made;
}

const plain = (text) => text.replaceAll('\r\n', '\n').replace(/^\uFEFF/u, '');
const finished = (text) => (text === '' || text.endsWith('\n') ? text : text + '\n');
const same = (a, b) => finished(plain(a)) === finished(plain(b));
const quoted = (hash) => (hash ? `"${hash}"` : '*');

function createWorkspace({ api, live, user, role }) {
  const readers = new Set();
  const kept = storage(`fairlead.config.${user}`);
  let asked = 0; // counts the questions to the daemon: only the last answer holds
  let loading = null;
  let turn = 0; // counts the changes that were made from here: odd while one is under way
  let looked = 0; // counts the looks: only the last one holds
  let stale = false; // somebody told of a change meanwhile
  let leaveLive = () => {};
  const me = {
    user,
    role,
    editable: role === 'admin',
    base: null, // api.Configuration that the texts are edits of
    newer: null, // api.Configuration that somebody else brought meanwhile
    texts: new Map(), // name → text, of the documents that were changed
    opened: '', // hash of the draft that the texts came from or were saved as
    found: { diagnostics: [], notes: [], ok: true }, // what the daemon says of the texts
    refused: [], // diagnostics of the last answer that refused them
    checking: false,
    restored: null, // Date of the text that this browser had kept
    target: null, // {source, line, column, text}: where the next editor should go
    subscribe(fn) {
      readers.add(fn);
      return () => readers.delete(fn);
    },
    load: () => (loading ??= load().finally(() => { loading = null; })),
    refresh,
    names: () => (me.base?.documents ?? []).map((d) => d.name),
    original: (name) => plain(document(name)?.text ?? ''),
    text: (name) => me.texts.get(name) ?? me.original(name),
    changed: () => me.names().filter((name) => me.texts.has(name)),
    documents,
    edit,
    takeAll,
    openDraft,
    unsaved,
    draft: () => me.base?.draft ?? null,
    diagnostics: () => [...me.refused, ...me.found.diagnostics],
    refuse(diagnostics) {
      me.refused = diagnostics ?? [];
      tell('checked');
    },
    check,
    save: (match) => changing(() => save(match)),
    discard: () => changing(discard),
    apply: () => changing(apply),
    restore: (id) => changing(() => restore(id)),
    rebase,
    close() {
      leaveLive();
      readers.clear();
      window.removeEventListener('beforeunload', warn);
      window.removeEventListener('pagehide', keep);
    },
  };
  const checkSoon = after(PAUSE, () => me.check());
  const keepSoon = after(300, keep);

  function tell(what) {
    for (const fn of [...readers]) fn(what);
  }

  const document = (name) => me.base?.documents.find((d) => d.name === name);

  // documents are all of them as they were edited.
  function documents() {
    return me.base.documents.map((d) => (me.texts.has(d.name) ? { ...d, text: finished(me.texts.get(d.name)) } : d));
  }

  function edit(name, text) {
    if (same(text, document(name)?.text ?? '')) me.texts.delete(name);
    else me.texts.set(name, text);
    me.refused = me.refused.filter((d) => d.source !== name);
    me.restored = null;
    me.checking = true;
    asked++; // an answer that is under way is about an older text
    keepSoon();
    checkSoon();
    tell('text');
  }

  // takeAll makes the texts those of documents, as a draft or a version has them.
  // opened is the draft's hash when they are a draft's.
  function takeAll(list, opened = '') {
    me.opened = opened;
    me.texts.clear();
    for (const d of list) {
      const known = document(d.name);
      if (known && !same(d.text, known.text)) me.texts.set(d.name, plain(d.text));
    }
    me.refused = [];
    changedWhole();
  }

  // openDraft goes on with the draft. When another configuration came into force after
  // it was begun, both changes are there to be put together.
  async function openDraft() {
    const draft = me.draft();
    const now = me.base;
    const began = draft.base && draft.base !== now.hash ? await versionWith(draft.base) : null;
    if (began) {
      me.base = { ...now, hash: began.hash, documents: began.documents };
      me.newer = now;
    }
    takeAll(draft.documents, draft.hash);
  }

  // versionWith finds the version that has a hash, if it is still kept.
  async function versionWith(hash) {
    const found = (await api.get('/config/versions')).find((v) => v.hash === hash);
    return found ? api.get(`/config/versions/${found.id}`) : null;
  }

  function changedWhole() {
    keep();
    tell('base');
    me.check();
  }

  // unsaved tells whether there is text that only this browser holds.
  function unsaved() {
    if (!me.base || !me.texts.size) return false;
    const draft = me.draft();
    if (!draft || draft.hash !== me.opened) return true;
    return documents().some((d) => {
      const saved = draft.documents.find((s) => s.name === d.name);
      return !same(d.text, saved ? saved.text : document(d.name).text);
    });
  }

  function warn(event) {
    if (unsaved()) event.preventDefault();
  }

  // What this browser keeps over a reload.
  function keep() {
    keepSoon.cancel();
    if (!me.editable || !me.base) return;
    if (!me.texts.size) {
      kept.drop();
      return;
    }
    const { hash, documents: docs } = me.base;
    kept.put({ base: { hash, documents: docs }, texts: [...me.texts], opened: me.opened, at: new Date().toISOString() });
  }

  async function load() {
    const now = await api.get('/config');
    const old = me.editable && !me.base ? kept.get() : null;
    me.base = now;
    if (old?.texts?.length) bringBack(old, now);
    if (!leaveLive.set) follow();
    tell('base');
    me.check();
  }

  function bringBack(old, now) {
    me.texts = new Map(old.texts);
    me.opened = old.opened ?? '';
    me.restored = unsavedAt(old.at);
    if (old.base.hash === now.hash) return;
    me.newer = now;
    me.base = { ...now, ...old.base };
  }

  const unsavedAt = (at) => (Number.isNaN(Date.parse(at)) ? new Date() : new Date(at));

  // follow asks for the documents again when another configuration came into force.
  function follow() {
    let generation = null;
    const leave = live?.subscribe?.((value) => {
      const was = generation;
      generation = value?.generation ?? was;
      if (was !== null && generation !== was) me.refresh();
    }) ?? (() => {});
    let gone = false;
    const unwatch = live?.watch?.(({ state }) => {
      if (gone && state === 'open') me.refresh().then(() => me.found.failed && me.check());
      gone = state === 'lost' || (gone && state !== 'open');
    }) ?? (() => {});
    leaveLive = Object.assign(() => {
      leave();
      unwatch();
    }, { set: true });
  }

  // changing keeps what is asked for meanwhile from being taken for the newest.
  async function changing(fn) {
    turn++;
    try {
      return await fn();
    } finally {
      turn++;
      if (stale) me.refresh();
      stale = false;
    }
  }

  // refresh looks whether somebody else changed the documents or the draft.
  async function refresh() {
    if (!me.base) return me.load().catch(() => {}); // the page has said why, and offers to try again
    const mine = turn;
    const look = ++looked;
    if (mine % 2) {
      stale = true;
      return undefined;
    }
    let now;
    try {
      now = await api.get('/config');
    } catch {
      return undefined; // the shell says that the daemon does not answer
    }
    if (look !== looked) return undefined;
    return mine === turn ? take(now) : me.refresh();
  }

  function take(now) {
    if (now.hash === me.base.hash) {
      const moved = now.draft?.hash !== me.base.draft?.hash || now.running !== me.base.running;
      me.base = { ...me.base, draft: now.draft, running: now.running, generation: now.generation };
      me.newer = null;
      if (moved) tell('draft');
    } else if (me.texts.size) {
      me.newer = now;
      me.base = { ...me.base, draft: now.draft };
      tell('draft');
    } else {
      me.base = now;
      me.newer = null;
      tell('base');
      me.check();
    }
  }

  // check asks the daemon what it says of the texts. An answer to an older text is
  // thrown away.
  async function check() {
    checkSoon.cancel();
    const mine = ++asked;
    me.checking = true;
    try {
      const found = await api.post('/config/validate', { documents: documents() });
      if (mine !== asked) return;
      me.found = { ...found, diagnostics: found.diagnostics ?? [], notes: found.notes ?? [] };
    } catch (failed) {
      if (mine !== asked) return;
      me.found = { diagnostics: failed.diagnostics ?? [], notes: [], ok: false, failed: failed.message };
    }
    me.checking = false;
    tell('checked');
  }

  // save keeps the texts on the director. They are not in force.
  async function save(match = me.draft()?.hash) {
    const draft = await api.put('/config/draft', { documents: documents() }, { match: quoted(match) });
    me.base = { ...me.base, draft: { documents: documents(), ...draft } };
    me.opened = draft.hash;
    me.restored = null;
    keep();
    tell('draft');
    return draft;
  }

  async function discard() {
    const draft = me.draft();
    if (!draft) return;
    await api.del('/config/draft', { match: quoted(draft.hash) });
    me.base = { ...me.base, draft: null };
    me.opened = '';
    tell('draft');
  }

  // apply brings the texts into force, and takes away the draft that they came from or
  // were saved as, whatever was added since; and one that says the same.
  async function apply() {
    const sent = documents();
    const done = await api.put('/config', { documents: sent }, { match: quoted(me.base.hash) });
    await settle(sent);
    return done;
  }

  async function restore(id) {
    const done = await api.post(`/config/versions/${id}/restore`, undefined, { match: quoted(me.base.hash) });
    if (me.texts.size) take(await api.get('/config')); // what is being edited stays, as an edit of what was before
    else await settle(null);
    return done;
  }

  // settle begins anew from what the director has now.
  async function settle(sent) {
    const { opened } = me;
    me.opened = '';
    me.texts.clear();
    me.refused = [];
    me.newer = null;
    me.restored = null;
    kept.drop();
    await load();
    const draft = me.draft();
    const said = sent && draft && (draft.hash === opened || draft.documents.every((d) => sent.some((s) => s.name === d.name && same(s.text, d.text))));
    if (!said) return;
    try {
      await discard();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed; // somebody else was faster: their draft stays
    }
  }

  // rebase makes the texts edits of a newer configuration. texts: name → text.
  function rebase(now, texts) {
    me.base = now;
    me.newer = null;
    me.texts.clear();
    for (const [name, text] of texts) {
      const known = document(name);
      if (known && !same(text, known.text)) me.texts.set(name, text);
    }
    changedWhole();
  }

  window.addEventListener('beforeunload', warn);
  window.addEventListener('pagehide', keep); // what was typed a moment ago too
  return me;
}

// storage keeps one value for as long as the browser's tab lives. When the browser
// keeps nothing, nothing is kept.
function storage(key) {
  const tried = (fn) => {
    try {
      return fn();
    } catch {
      return null;
    }
  };
  return {
    get: () => tried(() => JSON.parse(sessionStorage.getItem(key))),
    put: (value) => tried(() => sessionStorage.setItem(key, JSON.stringify(value))),
    drop: () => tried(() => sessionStorage.removeItem(key)),
  };
}
