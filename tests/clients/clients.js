// Slack's own clients (@slack/web-api, @slack/socket-mode) and a bare websocket against the lab.
'use strict';

const assert = require('node:assert');
const { SocketModeClient } = require('@slack/socket-mode');
const { WebClient } = require('@slack/web-api');
const WebSocket = require('ws');
const { startLab } = require('./lab.js');

const quiet = {
  debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel() { return 'error'; }, setName() {},
};
let lab;
let web;

function apiUrl() {
  return `${lab.url}api/`;
}

async function refused(promise, error) {
  await assert.rejects(promise, (e) => {
    assert.strictEqual(e.data && e.data.error, error);
    return true;
  });
}

// A client of Slack's that keeps what it was told.
async function connect() {
  const client = new SocketModeClient({
    appToken: lab.appToken, logger: quiet, clientOptions: { slackApiUrl: apiUrl(), logger: quiet },
  });
  const seen = [];
  client.on('slack_event', async ({ ack, body, type, retry_num: retry }) => {
    seen.push({ type, body, retry });
    if (ack && !client.silent) await ack();
  });
  await client.start();
  return { client, seen };
}

async function until(condition, what, limitMs = 15000) {
  const end = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}

// A websocket without any client's habits.
async function bareLink(url) {
  const opened = await web_open();
  const socket = new WebSocket(url || opened);
  const frames = [];
  socket.on('message', (data) => frames.push(JSON.parse(data.toString())));
  socket.on('error', () => {});
  socket.closed = new Promise((resolve) => { socket.on('close', (code) => resolve(code)); });
  await until(() => frames.length > 0 || socket.readyState === WebSocket.CLOSED, 'hello');
  return { socket, frames, url: opened };
}

async function web_open() {
  const app = new WebClient(lab.appToken, { slackApiUrl: apiUrl(), logger: quiet });
  return (await app.apps.connections.open()).url;
}

const tests = {
  async 'auth.test names the bot and its scopes'() {
    const answer = await web.auth.test();
    assert.strictEqual(answer.user_id, 'U0BOT');
    assert.ok(answer.response_metadata.scopes.includes('chat:write'));
  },

  async 'an event is received and acked within three seconds'() {
    const { client, seen } = await connect();
    const { event_ids: ids } = await lab.post('say', { user: 'U0ALICE', channel: 'D0ALICE', text: 'hello' });
    const ack = await lab.wait(0, (e) => e.kind === 'ack' && e.event_id === ids[0], 'the ack');
    assert.ok(ack.latency_us < 3000000);
    assert.strictEqual(seen[0].body.event.text, 'hello');
    assert.strictEqual(seen[0].body.event.channel_type, 'im');
    await client.disconnect();
  },

  async 'a mention comes twice, as app_mention and as message'() {
    const { client, seen } = await connect();
    await lab.post('say', { user: 'U0BOB', channel: 'C0DEV', text: '@threadkeeper why?' });
    await until(() => seen.length >= 2, 'both copies');
    assert.deepStrictEqual(seen.map((e) => e.body.event.type).sort(), ['app_mention', 'message']);
    assert.strictEqual(seen[0].body.event.ts, seen[1].body.event.ts);
    assert.notStrictEqual(seen[0].body.event_id, seen[1].body.event_id);
    await client.disconnect();
  },

  async 'an event that is not acked comes again with its event_id'() {
    await lab.post('settings', { ack_timeout_ms: 200, redeliver_delays_ms: [0, 50, 50] });
    const { client, seen } = await connect();
    client.silent = true;
    await lab.post('say', { user: 'U0ALICE', channel: 'D0ALICE', text: 'anyone?' });
    await until(() => seen.length === 4, 'three redeliveries');
    assert.strictEqual(new Set(seen.map((e) => e.body.event_id)).size, 1);
    assert.deepStrictEqual(seen.map((e) => e.retry), [0, 1, 2, 3]);
    await client.disconnect();
    await lab.post('settings', { ack_timeout_ms: 3000, redeliver_delays_ms: [0, 60000, 300000] });
  },

  async 'a message is posted, changed, found by its metadata, and deleted'() {
    const metadata = { event_type: 'answer', event_payload: { key: 'k1' } };
    const posted = await web.chat.postMessage({ channel: 'C0DEV', markdown_text: '**one**', metadata });
    await web.chat.update({ channel: 'C0DEV', ts: posted.ts, text: 'two' });
    const { messages } = await web.conversations.history({ channel: 'C0DEV', include_all_metadata: true, limit: 5 });
    assert.strictEqual(messages[0].text, 'two');
    assert.strictEqual(messages[0].metadata.event_payload.key, 'k1');
    const link = await web.chat.getPermalink({ channel: 'C0DEV', message_ts: posted.ts });
    assert.ok(link.permalink.includes(posted.ts));
    await web.chat.delete({ channel: 'C0DEV', ts: posted.ts });
    await refused(web.chat.update({ channel: 'C0DEV', ts: posted.ts, text: 'x' }), 'message_not_found');
  },

  async 'files are uploaded, shared in a thread, looked up and downloaded'() {
    const { ts } = await lab.post('say', { user: 'U0BOB', channel: 'C0DEV', text: 'files', tell: false });
    const bytes = Buffer.from([0, 1, 2, 13, 10, 255, 45, 45]);
    await web.files.uploadV2({
      channel_id: 'C0DEV', thread_ts: ts,
      file_uploads: [{ file: bytes, filename: 'a.bin' }, { content: 'text', filename: 'b.txt', title: 'B' }],
    });
    const { messages } = await lab.get(`messages?channel=C0DEV&thread_ts=${ts}`);
    assert.deepStrictEqual(messages[1].files.map((f) => f.title), ['a.bin', 'B']);
    const { file } = await web.files.info({ file: messages[1].files[0].id });
    assert.strictEqual(file.shares.public.C0DEV[0].ts, messages[1].ts);
    const download = (headers) => fetch(file.url_private_download, { headers });
    const whole = await download({ authorization: `Bearer ${lab.botToken}` });
    assert.deepStrictEqual(Buffer.from(await whole.arrayBuffer()), bytes);
    assert.match((await download({})).headers.get('content-type'), /^text\/html/);
    await refused(web.files.completeUploadExternal({ files: [{ id: file.id }] }), 'file_not_found');
    await refused(web.files.getUploadURLExternal({ filename: 'none', length: 0 }), 'missing_argument');
  },

  async 'a message with a file comes as file_share, its mention without'() {
    await lab.post('settings', { mention_order: 'mention' });
    const { client, seen } = await connect();
    await lab.post('say', {
      user: 'U0BOB', channel: 'C0DEV', text: '@threadkeeper look', files: [{ name: 'a.txt', text: 'abc' }],
    });
    await until(() => seen.filter((e) => e.type === 'events_api').length >= 2, 'both copies');
    const events = seen.map((e) => e.body.event).filter((e) => e && e.ts);
    const mention = events.find((e) => e.type === 'app_mention');
    const message = events.find((e) => e.type === 'message' && e.subtype === 'file_share');
    assert.strictEqual(mention.files, undefined);
    assert.strictEqual(message.files[0].size, 3);
    await client.disconnect();
    await lab.post('settings', { mention_order: 'random' });
  },

  async 'reactions are added once'() {
    const { ts } = await lab.post('say', { user: 'U0BOB', channel: 'C0DEV', text: 'look', tell: false });
    await web.reactions.add({ channel: 'C0DEV', timestamp: ts, name: 'eyes' });
    await refused(web.reactions.add({ channel: 'C0DEV', timestamp: ts, name: 'eyes' }), 'already_reacted');
    await web.reactions.remove({ channel: 'C0DEV', timestamp: ts, name: 'eyes' });
    await refused(web.reactions.remove({ channel: 'C0DEV', timestamp: ts, name: 'eyes' }), 'no_reaction');
  },

  async 'an answer is streamed with the helper of the client'() {
    const { ts } = await lab.post('say', { user: 'U0BOB', channel: 'C0DEV', text: 'stream', tell: false });
    await web.assistant.threads.setStatus({ channel_id: 'C0DEV', thread_ts: ts, status: 'is reading' });
    assert.strictEqual((await lab.get('statuses')).statuses.find((s) => s.thread_ts === ts).status, 'is reading');
    const stream = web.chatStream({
      channel: 'C0DEV', thread_ts: ts, recipient_user_id: 'U0BOB', recipient_team_id: 'T0LAB', buffer_size: 4,
    });
    await stream.append({ markdown_text: 'Hello, ' });
    await stream.append({ markdown_text: '**world**' });
    await stream.stop({ markdown_text: '!' });
    const { messages } = await lab.get(`messages?channel=C0DEV&thread_ts=${ts}`);
    assert.strictEqual(messages[1].text, 'Hello, **world**!');
    assert.strictEqual(messages[1].streaming_state, 'completed');
    assert.strictEqual((await lab.get('statuses')).statuses.find((s) => s.thread_ts === ts).status, '');
  },

  async 'streams end: pressed Stop, full, too old'() {
    const { ts } = await lab.post('say', { user: 'U0ALICE', channel: 'D0ALICE', text: 'go', tell: false });
    const start = () => web.apiCall('chat.startStream', { channel: 'D0ALICE', thread_ts: ts });
    const append = (stream, text) => web.apiCall('chat.appendStream', { channel: 'D0ALICE', ts: stream, markdown_text: text });

    await web.apiCall('agents.sessions.setStatus', { channel_id: 'D0ALICE', thread_ts: ts, status: 'processing' });
    const first = (await start()).ts;
    await append(first, 'a');
    await lab.post('press_stop', { channel: 'D0ALICE', thread_ts: ts });
    await refused(append(first, 'b'), 'stopped_by_user');
    await web.apiCall('chat.stopStream', { channel: 'D0ALICE', ts: first });
    await refused(append(first, 'c'), 'message_not_in_streaming_state');

    const second = (await start()).ts;
    await append(second, 'x'.repeat(10000));
    await refused(append(second, 'x'.repeat(1000)), 'msg_too_long');

    await lab.post('settings', { stream_life_ms: 0 });
    const third = (await start()).ts;
    await new Promise((resolve) => { setTimeout(resolve, 5); });
    await refused(append(third, 'late'), 'message_not_in_streaming_state');
    await lab.post('settings', { stream_life_ms: 300000 });
  },

  async 'a click on a button comes as block_actions'() {
    const { client, seen } = await connect();
    const posted = await web.chat.postMessage({
      channel: 'D0ALICE', text: 'failed',
      blocks: [{ type: 'actions', elements: [{ type: 'button', action_id: 'retry', value: 'turn 7', text: { type: 'plain_text', text: 'Retry' } }] }],
    });
    await lab.post('click', { channel: 'D0ALICE', ts: posted.ts, action_id: 'retry', user: 'U0ALICE' });
    await until(() => seen.some((e) => e.type === 'interactive'), 'the click');
    const { body } = seen.find((e) => e.type === 'interactive');
    assert.strictEqual(body.actions[0].value, 'turn 7');
    assert.strictEqual(body.container.message_ts, posted.ts);
    await client.disconnect();
  },

  async 'rate limits carry Retry-After and the client waits for it'() {
    await lab.post('fault', { method: 'users.info', kind: 'http_429', retry_after: 1 });
    const patient = new WebClient(lab.botToken, { slackApiUrl: apiUrl(), logger: quiet });
    const begun = Date.now();
    const answer = await patient.users.info({ user: 'U0ALICE' });
    assert.strictEqual(answer.user.name, 'Alice');
    assert.ok(Date.now() - begun >= 950);
  },

  async 'tokens, scopes and arguments are checked'() {
    const wrong = new WebClient('xoxb-wrong', { slackApiUrl: apiUrl(), logger: quiet });
    await refused(wrong.auth.test(), 'invalid_auth');
    await refused(web.apiCall('apps.connections.open'), 'not_allowed_token_type');
    await refused(web.apiCall('chat.postMessage', { channel: 'C0DEV', text: 'x', tone: 'loud' }), 'invalid_arguments');
    await refused(web.apiCall('chat.postMessage', { text: 'x' }), 'invalid_arguments');
    await refused(web.chat.postMessage({ channel: 'C0NONE', text: 'x' }), 'channel_not_found');
    await refused(web.chat.postMessage({ channel: 'C0DEV', markdown_text: 'x'.repeat(12001) }), 'msg_too_long');
    await refused(web.apiCall('chat.postMessage', { channel: 'C0DEV', text: 'x', markdown_text: 'y' }), 'markdown_text_conflict');
    await lab.post('settings', { scopes: 'users:read' });
    await refused(web.chat.postMessage({ channel: 'C0DEV', text: 'x' }), 'missing_scope');
    await lab.post('settings', { scopes: 'app_mentions:read,chat:write,channels:history,channels:read,im:history,im:read,users:read,reactions:write' });
    await lab.post('violations');
  },

  async 'after a refresh the client is back on a new link'() {
    await lab.post('settings', { refresh_close_ms: 500 });
    const { client, seen } = await connect();
    const after = await lab.last();
    await lab.post('socket', { action: 'refresh' });
    await lab.wait(after, (e) => e.kind === 'hello', 'the new hello');
    await lab.post('say', { user: 'U0BOB', channel: 'D0BOB', text: 'still there?' });
    await until(() => seen.some((e) => e.body.event && e.body.event.text === 'still there?'), 'the event', 20000);
    await client.disconnect();
  },

  async 'a link that was told to refresh still delivers and acks beside its successor'() {
    await lab.post('settings', { refresh_close_ms: 1000 });
    const old = await bareLink();
    const after = await lab.last();
    await lab.post('socket', { action: 'warning' });
    await until(() => old.frames.some((f) => f.type === 'disconnect' && f.reason === 'warning'), 'the warning');
    const fresh = await bareLink();
    assert.strictEqual(fresh.frames[0].num_connections, 2);
    assert.strictEqual(old.socket.readyState, WebSocket.OPEN);
    for (let i = 0; i < 12; i++) await lab.post('say', { user: 'U0BOB', channel: 'D0BOB', text: `n${i}` });
    await until(() => old.frames.length + fresh.frames.length >= 3 + 12, 'twelve envelopes');
    for (const link of [old, fresh]) {
      for (const frame of link.frames) {
        if (frame.envelope_id) link.socket.send(JSON.stringify({ envelope_id: frame.envelope_id }));
      }
    }
    let acks = 0;
    await lab.wait(after, (e) => e.kind === 'ack' && ++acks === 12, 'twelve acks');
    assert.strictEqual(await old.socket.closed, 1000);
    fresh.socket.close(1000);
    await fresh.socket.closed;
  },

  async 'a ticket is good for one link, and ten links are the most'() {
    const first = await bareLink();
    const again = await bareLink(first.url);
    assert.strictEqual(again.frames.length, 0);
    const links = [first];
    while (links.length < 10) links.push(await bareLink());
    const eleventh = await bareLink();
    assert.strictEqual(eleventh.frames[0].reason, 'too_many_websockets');
    for (const link of [...links, eleventh]) link.socket.close(1000);
    for (const link of [...links, eleventh]) await link.socket.closed;
    assert.ok((await lab.violations()).some((v) => v.what === 'bad_ticket'));
    await lab.post('violations');
  },

  async 'bad acks are noted, and a large one closes the link with 1009'() {
    const { socket } = await bareLink();
    socket.send('not json');
    socket.send(JSON.stringify({ envelope_id: 'nobody' }));
    socket.send(Buffer.from('{}'));
    socket.send('{"envelope_id":', { fin: false });
    socket.send('"split"}', { fin: true });
    socket.send('x'.repeat(20480));
    assert.strictEqual(await socket.closed, 1009);
    const what = (await lab.violations()).map((v) => v.what);
    for (const each of ['message_not_json', 'ack_unknown_envelope', 'binary_message', 'fragmented_message']) {
      assert.ok(what.includes(each), `${each} in ${what}`);
    }
    await lab.post('violations');
  },

  async 'large and fragmented frames arrive whole'() {
    const { socket, frames } = await bareLink();
    const text = 'ä'.repeat(150000);
    await lab.post('say', { user: 'U0BOB', channel: 'D0BOB', text, fragments: 9 });
    await until(() => frames.length >= 2, 'the large message');
    assert.strictEqual(frames[1].payload.event.text, text);
    socket.send(JSON.stringify({ envelope_id: frames[1].envelope_id }));
    socket.close(1000);
    await socket.closed;
  },

  async 'a deaf link neither answers pings nor reads'() {
    const { socket } = await bareLink();
    let pongs = 0;
    socket.on('pong', () => { pongs++; });
    socket.ping('1');
    await until(() => pongs === 1, 'a pong');
    await lab.post('socket', { action: 'deaf' });
    socket.ping('2');
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    assert.strictEqual(pongs, 1);
    await lab.post('socket', { action: 'hear' });
    await until(() => pongs === 2, 'the late pong');
    const after = await lab.last();
    await lab.post('socket', { action: 'drop' });
    assert.strictEqual(await socket.closed, 1006);
    await lab.wait(after, (e) => e.kind === 'link_closed', 'the link gone');
  },

  async 'the clients broke no rule, and every link is closed'() {
    const broken = (await lab.violations()).filter((v) => v.what !== 'api_refused');
    assert.deepStrictEqual(broken, []);
    let links;
    const end = Date.now() + 5000;
    do links = (await lab.get('links')).links; while (links.length > 0 && Date.now() < end);
    assert.deepStrictEqual(links, []);
  },
};

async function main() {
  let passed = 0;
  let failed = 0;

  lab = await startLab(process.argv[2]);
  web = new WebClient(lab.botToken, { slackApiUrl: apiUrl(), logger: quiet, retryConfig: { retries: 0 } });
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      passed++;
      console.log(`ok   ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${name}\n     ${error.stack.split('\n').slice(0, 4).join('\n     ')}`);
    }
  }
  const code = await lab.stop();
  if (code !== 0) failed++;
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
