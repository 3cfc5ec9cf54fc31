// BullMQ: a job's hash with status, times, attempts and return value stays in Redis.

import { Queue, Worker } from "bullmq";
import IORedis from "ioredis";
import { main, hit, PAYLOAD, url } from "./adapter.mjs";

const AT_ONCE = 1000;
const CONCURRENCY = 200;

const connect = () => new IORedis(url("redis"), { maxRetriesPerRequest: null });

main({
  open() {
    this.connection = connect();
    this.queue = new Queue("noops", { connection: this.connection });
  },
  async close() {
    await this.queue.close();
    this.connection.disconnect();
  },
  async enqueue() {
    await this.queue.add("noop", PAYLOAD);
  },
  async enqueueMany(jobs) {
    for (let begin = 0; begin < jobs; begin += AT_ONCE) {
      const size = Math.min(AT_ONCE, jobs - begin);
      await this.queue.addBulk(Array.from({ length: size }, () => ({ name: "noop", data: PAYLOAD })));
    }
  },
  async outstanding() {
    const counts = await this.queue.getJobCounts("wait", "active", "prioritized", "delayed");
    return Object.values(counts).reduce((a, b) => a + b, 0);
  },
  work() {
    const worker = new Worker("noops", async () => hit(), { connection: connect(), concurrency: CONCURRENCY });
    process.on("SIGTERM", async () => {
      await worker.close(true);
      process.exit(0);
    });
  },
});
