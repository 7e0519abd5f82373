// Highlight cuts a line of the configuration into coloured pieces. It knows the
// words of the language and where they stand, no more: what is right and what is
// wrong the daemon says. Each line is read on its own, so that an editor may
// colour the lines that are seen and leave the others alone.

const HEADS = new Set(['flow', 'outflow', 'director', 'service', 'sysctl']);

// The words that a line may begin with inside of a section.
const STARTS = new Set([
  'match', 'ignore', 'balance', 'mode', 'check', 'option', 'hook', 'server', 'sysctl', 'no',
  'listen', 'tls', 'cert', 'key', 'webhook', 'email', 'command',
]);

// The words that say what follows them, anywhere on a line.
const WORDS = new Set([
  'iface', 'proto', 'src', 'dst', 'srcport', 'dstport', 'icmptype', 'director', 'table', 'interval', 'timeout',
  'port', 'source', 'rise', 'fall', 'inhibit', 'weight', 'policy', 'delay', 'uri', 'statuscode', 'vhost', 'netmask',
  'on', 'events', 'secret', 'from', 'user', 'via', 'cert', 'key', 'tls',
]);

// The words that choose among a few.
const VALUES = new Set([
  'skip', 'permit', 'deny', 'tcp', 'udp', 'icmp', 'TCP', 'UDP', 'roundrobin', 'leastconn', 'source', 'srcdst', 'dest',
  'shortestexpected', 'neverqueue', 'maglev', 'localitybased', 'replication', 'gateway', 'nat', 'tunnel', 'tcpcheck', 'httpcheck',
  'arpcheck', 'icmpcheck', 'nfscheck', 'persistence', 'failback', 'lastactive', 'holddown', 'auto', 'manual', 'off',
  'own', 'fence', 'promote', 'require', 'try', 'check', 'sorry', 'autostart', 'starttls',
]);

// The words that a name follows.
const BEFORE_NAME = new Set(['flow', 'outflow', 'director', 'service', 'server', 'iface']);

const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*|\[[0-9a-fA-F:.]+\])(:\d+)?(\/[\d.]+)?$/;
const NUMBER = /^\d+(\.\d+)?(ns|us|ms|s|m|h)?(:\d+)?$/;
const PATH = /^(\/|https?:\/\/|smtps?:\/\/)/;
const PIECE = /([\s\u0085]+)|(#.*$)|([^\s\u0085]+)/gsu;

// tokens gives the pieces of a line in order, as [kind, text]; joined they are the
// line. The kinds: blank, comment, head, word, not, name, address, number, value,
// path, plain.
export function tokens(line) {
  const list = [];
  let first = true;
  let before = '';
  for (const [text, blank, comment] of line.matchAll(PIECE)) {
    if (blank !== undefined) {
      list.push(['blank', text]);
    } else if (comment !== undefined) {
      list.push(['comment', text]);
    } else {
      push(list, text, first, before);
      before = text;
      first = false;
    }
  }
  return list;
}

function push(list, text, first, before) {
  const sysctl = before === 'sysctl' && /^([^=]+)(=)(.*)$/su.exec(text);
  if (sysctl) {
    list.push(['name', sysctl[1]], ['plain', sysctl[2]]);
    if (sysctl[3] !== '') list.push(['number', sysctl[3]]);
    return;
  }
  list.push([kind(text, first, before), text]);
}

function kind(text, first, before) {
  if (first) {
    if (HEADS.has(text)) return 'head';
    return STARTS.has(text) ? 'word' : 'plain';
  }
  if (BEFORE_NAME.has(before)) return 'name';
  if (text === 'not') return 'not';
  if (ADDRESS.test(text)) return 'address';
  if (NUMBER.test(text)) return 'number';
  if (PATH.test(text)) return 'path';
  if (VALUES.has(text) && !(text === 'source' && before !== 'balance')) return 'value';
  return WORDS.has(text) ? 'word' : 'plain';
}

// guarded tells whether a line runs a programme of the administrator's as root.
// Such a line is not made or changed through the network.
export function guarded(line) {
  return /^[\s\u0085\uFEFF]*(hook|command)(?=[\s\u0085]|$)/u.test(line);
}
