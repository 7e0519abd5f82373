// format puts figures and times into words. It knows nothing of pages.

const units = ['', 'k', 'M', 'G', 'T', 'P'];

// count is a number with thousands parted: 12 345.
export function count(n) {
  if (n === null || n === undefined) return '–';
  return Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

// scaled is a number of at most four characters, and the letter of its unit.
function scaled(n) {
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  const whole = n >= 99.5 || (unit === 0 && n === Math.round(n));
  return [n.toFixed(whole ? 0 : n >= 9.95 || unit === 0 ? 1 : 2), units[unit]];
}

// short is a number with the letter of its unit: 12.3k.
export const short = (n) => (n === null || n === undefined ? '–' : scaled(n).join(''));

// measure is a number with a unit: 12.3 Mbit/s.
function measure(n, unit) {
  const [digits, letter] = scaled(n);
  return `${digits} ${letter}${unit}`;
}

// packets and bits are rates; null means that no rate is known.
export const packets = (perSecond) => (perSecond === null ? '– pkt/s' : short(perSecond) + ' pkt/s');
export const bits = (bytesPerSecond) => (bytesPerSecond === null ? '– bit/s' : measure(bytesPerSecond * 8, 'bit/s'));
export const bytes = (n) => measure(n, 'B');

// span is a time of ns in the unit that suits it: 340 µs, 1.24 ms, 3.1 s, 2 h 5 min.
export function span(ns) {
  if (ns === null || ns === undefined) return '–';
  if (ns < 0) return '−' + span(-ns);
  if (ns < 1e6) return Math.round(ns / 1e3) + ' µs';
  if (ns < 1e9) return trim(ns / 1e6) + ' ms';
  if (ns < 60e9) return trim(ns / 1e9) + ' s';
  return age(ns / 1e9);
}

// millis is ns as milliseconds, for a timeline: 0.42 ms, 3 120 ms.
export function millis(ns) {
  const ms = ns / 1e6;
  return (Math.abs(ms) >= 1000 ? count(ms) : trim(ms)) + ' ms';
}

function trim(n) {
  if (Math.abs(n) >= 100) return n.toFixed(0);
  return n.toFixed(Math.abs(n) >= 10 ? 1 : 2).replace(/\.?0+$/, '');
}

// age is a time of seconds in at most two units: 3 d 4 h.
export function age(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return s + ' s';
  if (s < 3600) return two(s, 60, 'min', 1, 's');
  if (s < 86400) return two(s, 3600, 'h', 60, 'min');
  return two(s, 86400, 'd', 3600, 'h');
}

function two(s, big, bigName, small, smallName) {
  const rest = Math.floor((s % big) / small);
  return `${Math.floor(s / big)} ${bigName}` + (rest ? ` ${rest} ${smallName}` : '');
}

const pad = (n, width = 2) => String(n).padStart(width, '0');

// clock is a Date as local time of day, with milliseconds if asked.
export function clock(date, exact = false) {
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return exact ? `${text}.${pad(date.getMilliseconds(), 3)}` : text;
}

// day is the local date: 2026-11-24.
export const day = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;

// moment is date and time, local.
export const moment = (date) => `${day(date)} ${clock(date)}`;

// utc is date and time of day in UTC, exact.
export const utc = (date) => date.toISOString().replace('T', ' ').replace('Z', ' UTC');

// instant reads a time of the daemon; null for none (Go's zero time is in the year 1).
export function instant(text) {
  if (!text || text.startsWith('0001-')) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : new Date(ms);
}

// plural is a number with its noun: 1 server, 2 servers.
export const plural = (n, noun, many = noun + 's') => `${count(n)} ${n === 1 ? noun : many}`;
