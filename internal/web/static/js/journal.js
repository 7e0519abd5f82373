// journal reads the daemon's journal: what was, and then what comes, through lost
// connections too.

import { query } from './api.js';
import { stream } from './sse.js';

const retry = 2000; // ms

// follow hands lists of events to told, the oldest first, and says with state
// 'open' or 'lost' how the stream stands. It returns a function that ends it.
export function follow({ since = '', told, state = () => {} }) {
  const ending = new AbortController();
  let last = ''; // number of the newest entry
  let batch = [];
  let waiting = false;

  // Thousands of entries come at once at the beginning: they are handed on together.
  function take(event) {
    if (event.id) last = event.id;
    batch.push(JSON.parse(event.data));
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      const now = batch;
      batch = [];
      if (!ending.signal.aborted) told(now);
    }, 30);
  }

  async function run() {
    while (!ending.signal.aborted) {
      const headers = last ? { 'Last-Event-ID': last } : {};
      try {
        await stream('/api/v1/events' + query({ since: last || since, follow: 1 }),
          { open: () => state('open'), event: take }, { signal: ending.signal, headers });
      } catch (failed) {
        if (failed.status === 401 || failed.status === 403) return;
      }
      if (ending.signal.aborted) return;
      state('lost');
      await new Promise((done) => setTimeout(done, retry));
    }
  }

  run();
  return () => ending.abort();
}

// The kinds of entries by what they are about, for filters and marks.
export const groups = {
  'the switches': ['suspect', 'health', 'hold', 'fence', 'promote', 'verify', 'flip', 'applied', 'reset', 'done', 'stay', 'copy'],
  'what people did': ['order', 'reload', 'audit'],
  'the daemon': ['start', 'stop', 'vip', 'alarm', 'alarm-over', 'finding', 'mended'],
};

const tones = {
  suspect: 'warn', hold: 'warn', stay: 'warn', alarm: 'bad', 'alarm-over': 'ok', finding: 'warn', mended: 'ok', flip: 'accent', applied: 'accent', done: 'ok',
};

// errorOf is the error of an entry, unless its text says it already.
export const errorOf = (event) => (event.error && !event.text.includes(event.error) ? event.error : '');

// toneOf is how an entry is marked.
export function toneOf(event) {
  if (event.error) return 'bad';
  if (event.kind === 'health') return / is up/.test(event.text) ? 'ok' : 'bad';
  return tones[event.kind] ?? 'plain';
}
