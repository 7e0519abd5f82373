// sse reads a stream of server-sent events by fetch. Unlike EventSource it sees
// the comment lines that keep a stream alive, and the status of a refusal.

// stream reads until the stream ends or the signal aborts. on.open() when it was
// accepted, on.event({event, data, id}) for each, on.alive() for anything at all.
// A refusal is thrown as {status}.
export async function stream(path, on, { signal, headers } = {}) {
  const answer = await fetch(path, {
    headers: { Accept: 'text/event-stream', ...headers },
    signal,
    cache: 'no-store',
    credentials: 'same-origin',
  });
  if (!answer.ok) throw Object.assign(new Error(`the stream was refused: ${answer.status}`), { status: answer.status });
  on.open?.();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = parser(on.event);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    on.alive?.();
    parse(value);
  }
}

// parser takes pieces of text and hands on whole events. A large event comes in
// many pieces: what was searched once is not searched again.
export function parser(emit) {
  let rest = '';
  let searched = 0;
  return (piece) => {
    rest += piece;
    for (;;) {
      const end = rest.indexOf('\n\n', searched);
      if (end < 0) {
        searched = Math.max(0, rest.length - 1);
        return;
      }
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      searched = 0;
      const event = fields(block);
      if (event) emit(event);
    }
  };
}

function fields(block) {
  const event = { event: 'message', data: '', id: '' };
  const data = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon === 0) continue; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'data') data.push(value);
    else if (name === 'event' || name === 'id') event[name] = value;
  }
  if (data.length === 0) return null;
  event.data = data.join('\n');
  return event;
}
