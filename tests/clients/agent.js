// What Node programs ask of a file server: http.request through an Agent that keeps connections, and fetch.
//
// Usage: agent.js HOST:PORT, of a server that serves the site of tests/clients.rs.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');

const address = process.argv[2];
const [host, port] = address.split(':');
const text = 'one\ntwo\nthree\n';
const large = 8_000_009;
const patience = 20_000;

function ask(agent, path, options = {}, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, agent, timeout: patience, ...options }, (response) => {
      const pieces = [];
      const connection = response.socket.localPort;
      response.on('data', (piece) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(pieces),
        connection,
      }));
    });
    request.on('timeout', () => request.destroy(new Error(`${path} took too long`)));
    request.on('error', reject);
    request.end(body);
  });
}

// One after the other they all go through one connection, whatever the answer is.
async function anAgentKeepsItsConnection() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const first = await ask(agent, '/text.txt');
  assert.deepEqual([first.status, first.body.toString()], [200, text]);
  const tag = first.headers.etag;
  const range = { Range: 'bytes=4-6' };
  for (const [path, options, body, status, content] of [
    ['/text.txt', { method: 'HEAD' }, undefined, 200, ''],
    ['/text.txt', { headers: { 'If-None-Match': tag } }, undefined, 304, ''],
    ['/text.txt', { headers: range }, undefined, 206, 'two'],
    ['/text.txt', { headers: { ...range, 'If-Range': tag } }, undefined, 206, 'two'],
    ['/text.txt', { headers: { ...range, 'If-Range': '"x"' } }, undefined, 200, text],
    ['/text.txt', { headers: { Range: 'bytes=14-' } }, undefined, 416],
    ['/text.txt', { method: 'POST', headers: { 'Content-Length': 3 } }, 'a=b', 405],
    ['/text.txt', { method: 'POST' }, 'chunked: no length was said', 405],
    ['/folder?q=1', {}, undefined, 301],
    ['/not-there', {}, undefined, 404],
    ['*', { method: 'OPTIONS' }, undefined, 204, ''],
    ['/text.txt', {}, undefined, 200, text],
  ]) {
    const answer = await ask(agent, path, options, body);
    const what = `${options.method ?? 'GET'} ${path} ${JSON.stringify(options.headers ?? {})}`;
    assert.equal(answer.status, status, what);
    if (content !== undefined) assert.equal(answer.body.toString(), content, what);
    assert.equal(answer.connection, first.connection, `${what} was on a new connection`);
  }
  // Who asks before it sends its body is told not to, and that the connection ends.
  const asking = { method: 'PUT', headers: { 'Content-Length': 3, Expect: '100-continue' } };
  const refused = await ask(agent, '/text.txt', asking);
  assert.deepEqual([refused.status, refused.headers.connection], [405, 'close']);
  agent.destroy();
}

async function manyConnectionsAtOnce() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
  const paths = Array.from({ length: 100 }, (_, at) => (at % 10 === 0 ? '/large.bin' : '/text.txt'));
  const answers = await Promise.all(paths.map((path) => ask(agent, path)));
  answers.forEach((answer, at) => {
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, paths[at] === '/large.bin' ? large : text.length);
  });
  assert.ok(new Set(answers.map((answer) => answer.connection)).size <= 10, 'connections were not kept');
  agent.destroy();
}

async function fetchFollowsAndStops() {
  const page = await fetch(`http://${address}/folder?q=1`);
  assert.deepEqual([page.status, page.url, await page.text()],
    [200, `http://${address}/folder/?q=1`, '<h1>folder</h1>']);
  const gone = await fetch(`http://${address}/not-there`);
  assert.equal(gone.status, 404);
  assert.equal((await gone.text()).length, Number(gone.headers.get('content-length')));
  // A reader that goes away in the middle of a file is no trouble for the next.
  const stop = new AbortController();
  const cut = await fetch(`http://${address}/large.bin`, { signal: stop.signal });
  await cut.body.getReader().read();
  stop.abort();
  const odd = await fetch(`http://${address}/${encodeURIComponent('a b&c#d?e%.txt')}`);
  assert.equal(await odd.text(), 'odd');
}

async function main() {
  await anAgentKeepsItsConnection();
  await manyConnectionsAtOnce();
  await fetchFollowsAndStops();
  console.log('all is well');
}

main();
