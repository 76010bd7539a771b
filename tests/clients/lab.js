// The lab as a child process, and its control interface.
'use strict';

const { spawn } = require('node:child_process');
const readline = require('node:readline');

async function startLab(binary) {
  const child = spawn(binary, ['--quiet'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout });
  const line = await new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the lab ended with ${code}`)));
  });
  const [, url, appToken, botToken] = line.match(/^slack_lab (\S+) app_token=(\S+) bot_token=(\S+)$/);
  const lab = { url, appToken, botToken, child };

  lab.get = async (path) => (await fetch(`${url}lab/${path}`)).json();
  lab.post = async (command, body) => {
    const response = await fetch(`${url}lab/${command}`, { method: 'POST', body: JSON.stringify(body || {}) });
    const answer = await response.json();
    if (!answer.ok) throw new Error(`${command}: ${answer.error}`);
    return answer;
  };
  lab.last = async () => (await lab.get('links'), (await lab.get('state')).last);

  // The first journal entry after `after` that `wanted` accepts; fails after limitMs.
  lab.wait = async (after, wanted, what, limitMs = 15000) => {
    const end = Date.now() + limitMs;
    let from = after;
    while (Date.now() < end) {
      const page = await lab.get(`log?after=${from}&wait_ms=1000`);
      const found = page.entries.find(wanted);
      if (found) return found;
      from = page.last;
    }
    throw new Error(`waited ${limitMs} ms for ${what}`);
  };
  lab.violations = async () => (await lab.get('violations')).violations;
  lab.stop = () => new Promise((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.kill('SIGTERM');
  });
  return lab;
}

module.exports = { startLab };
