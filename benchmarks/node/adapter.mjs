// The commands the benchmark gives an adapter, and the tally of jobs begun: see ../adapter.py and ../tally.py.

import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";

export const PAYLOAD = { text: "x".repeat(89) };
export const url = (name) => process.env[`BENCH_${name.toUpperCase()}_URL`];

const RING = 16384;
const PLACE = process.env.BENCH_TALLY;
const PATIENCE_MS = 60_000;

const cells = new BigUint64Array(RING + 1);
let file = null;
let unwritten = false;

// Note that a handler begins now. Written once a turn of the loop: at full rate one write stands for many jobs.
export function hit() {
  cells[0] += 1n;
  cells[1 + (Number(cells[0] - 1n) % RING)] = process.hrtime.bigint();
  if (!unwritten) {
    unwritten = true;
    setImmediate(write);
  }
}

function write() {
  unwritten = false;
  file ??= fs.openSync(path.join(PLACE, `${process.pid}.tally`), "w+");
  fs.writeSync(file, new Uint8Array(cells.buffer), 0, cells.byteLength, 0);
}

function tallies() {
  const files = fs.readdirSync(PLACE).filter((name) => name.endsWith(".tally"));
  return files
    .map((name) => fs.readFileSync(path.join(PLACE, name)))
    .filter((content) => content.length === cells.byteLength)
    .map((content) => new BigUint64Array(content.buffer.slice(content.byteOffset, content.byteOffset + content.length)));
}

const total = () => tallies().reduce((sum, one) => sum + one[0], 0n);
const newest = () => tallies().flatMap((one) => [...one.slice(1)]).reduce((a, b) => (a > b ? a : b), 0n);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const now = () => process.hrtime.bigint();
const say = (found) => console.log(JSON.stringify(found));

async function oneLatency(adapter) {
  await sleep(2 + Math.random() * 18);
  const before = total();
  const begun = now();
  await adapter.enqueue();
  while (total() <= before) {
    if (Number(now() - begun) > PATIENCE_MS * 1e6) throw new Error("no worker began the job");
    await sleep(0.5);
  }
  return Number(newest() - begun) / 1e6;
}

const COMMANDS = {
  async fill(adapter, jobs) {
    const begun = now();
    await adapter.enqueueMany(jobs);
    return { seconds: Number(now() - begun) / 1e9 };
  },
  async latency(adapter, jobs) {
    for (let i = 0; i < 20; i++) await oneLatency(adapter);
    const ms = [];
    for (let i = 0; i < jobs; i++) ms.push(await oneLatency(adapter));
    return { ms };
  },
  async settled(adapter) {
    await adapter.outstanding();
    console.log("ready");
    await readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]().next();
    while ((await adapter.outstanding()) > 0) await sleep(2);
    return { at_ns: Number(now()) };
  },
};

export async function main(adapter) {
  const [command, ...words] = process.argv.slice(2);
  if (command === "prepare") await adapter.prepare?.();
  else if (command === "work") return adapter.work();
  else {
    await adapter.open();
    say(await COMMANDS[command](adapter, ...words.map(Number)));
    await adapter.close();
  }
  process.exit(0);
}
