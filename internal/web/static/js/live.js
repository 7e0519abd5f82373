// live holds the daemon's live picture: one whole value, then merge patches (RFC
// 7396). Values are never changed in place, only replaced, and what a patch does
// not name stays the same object: a page sees by identity what changed.

import { stream } from './sse.js';

const silence = 20_000; // ms without a byte: a comment is due every 15 s
const keep = 3_000; // ms of pictures that rates are computed over
const stale = 5; // s that the daemon's heartbeat may lag behind
const backoff = [250, 500, 1000, 2000, 4000];

// merge applies a merge patch and shares what it leaves alone.
export function merge(target, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const base = target !== null && typeof target === 'object' && !Array.isArray(target) ? target : {};
  const next = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name];
    else next[name] = merge(base[name], value);
  }
  return next;
}

// createLive returns the picture. refused() is told when the login is not valid.
// start() begins; stop() ends; subscribe(fn) calls fn(value, before) at every
// change, fn() at once when there is a value already; watch(fn) is told when the
// stream's state changes.
export function createLive({ refused }) {
  const readers = new Set();
  const watchers = new Set();
  let past = []; // [{at: ms, value}], the oldest first
  let ending = null;
  let heard = 0; // when the last picture came, by performance.now()
  const live = {
    value: null,
    state: 'connecting', // connecting, open, lost
    lostSince: null, // Date
    subscribe(fn) {
      readers.add(fn);
      if (live.value) fn(live.value, null);
      return () => readers.delete(fn);
    },
    watch(fn) {
      watchers.add(fn);
      fn(live);
      return () => watchers.delete(fn);
    },
    start() {
      if (ending) return;
      ending = new AbortController();
      run(ending.signal);
    },
    stop() {
      ending?.abort();
      ending = null;
      live.value = null;
      past = [];
      turn('connecting');
    },
    // rate is the growth per second of a counter that pick finds in a picture,
    // over the last seconds; null when it is not known.
    rate(pick) {
      const last = past.at(-1);
      if (!last || live.state === 'lost') return null;
      const now = pick(last.value);
      for (const first of past) {
        const seconds = (last.at - first.at) / 1000;
        if (seconds < 0.2) return null;
        const then = pick(first.value);
        if (then === undefined || then === null || now === undefined || now < then) continue;
        return (now - then) / seconds;
      }
      return null;
    },
    // behind is for how many seconds the daemon has not been heard to turn; 0 when it
    // does. A picture that stands still, on a stream that is open, says so as well.
    behind() {
      if (!live.value || live.state !== 'open') return 0;
      const beat = live.value.heartbeat ? Date.parse(live.value.at) - Date.parse(live.value.heartbeat) : 0;
      const still = performance.now() - heard;
      const lag = Math.max(beat, 0) + (still > stale * 1000 ? still : 0);
      return lag > stale * 1000 ? lag / 1000 : 0;
    },
  };

  function turn(state) {
    if (state === live.state && state !== 'lost') return;
    live.state = state;
    if (state !== 'lost') live.lostSince = null;
    else live.lostSince ??= new Date();
    for (const fn of watchers) fn(live);
  }

  function take(value) {
    const before = live.value;
    heard = performance.now();
    live.value = value;
    const at = Date.parse(value.at);
    if (past.length && at < past.at(-1).at) past = []; // the director's clock was set back
    past.push({ at, value });
    while (past.length > 2 && past[1].at < at - keep) past.shift();
    for (const fn of readers) fn(value, before);
  }

  function event({ event: name, data }) {
    if (name === 'live') {
      past = [];
      performance.mark('fairlead:live');
      take(JSON.parse(data));
    } else if (name === 'patch' && live.value) {
      take(merge(live.value, JSON.parse(data)));
    }
  }

  // once reads the stream until it ends, and gives up when it is silent.
  async function once(outer) {
    const mine = new AbortController();
    const end = () => mine.abort();
    outer.addEventListener('abort', end);
    let timer = setTimeout(end, silence);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(end, silence);
    };
    let opened = false;
    try {
      await stream('/api/v1/stream', {
        open() {
          opened = true;
          turn('open');
        },
        event,
        alive,
      }, { signal: mine.signal });
    } catch (failed) {
      if (failed.status === 401) refused();
    } finally {
      clearTimeout(timer);
      outer.removeEventListener('abort', end);
    }
    return opened;
  }

  async function run(signal) {
    for (let tries = 0; !signal.aborted; tries++) {
      if (await once(signal)) tries = 0;
      if (signal.aborted) return;
      turn('lost');
      await new Promise((done) => {
        const timer = setTimeout(done, backoff[Math.min(tries, backoff.length - 1)]);
        signal.addEventListener('abort', () => {
          clearTimeout(timer);
          done();
        }, { once: true });
      });
    }
  }

  return live;
}
