// graphile-worker, job by job, woken by NOTIFY: the row is deleted when the job has succeeded.

import { makeWorkerUtils, run, runMigrations, Logger } from "graphile-worker";
import pg from "pg";
import { main, hit, PAYLOAD, url } from "./adapter.mjs";

const AT_ONCE = 1000;
const CONCURRENCY = 24;
const logger = new Logger(() => () => {});
const connectionString = url("postgres");

main({
  async prepare() {
    await runMigrations({ connectionString, logger });
  },
  async open() {
    this.pool = new pg.Pool({ connectionString, max: 10 });
    this.utils = await makeWorkerUtils({ pgPool: this.pool, logger });
  },
  async close() {
    await this.utils.release();
    await this.pool.end();
  },
  async enqueue() {
    await this.utils.addJob("noop", PAYLOAD);
  },
  async enqueueMany(jobs) {
    for (let begin = 0; begin < jobs; begin += AT_ONCE) {
      const size = Math.min(AT_ONCE, jobs - begin);
      await this.utils.addJobs(Array.from({ length: size }, () => ({ identifier: "noop", payload: PAYLOAD })));
    }
  },
  async outstanding() {
    const found = await this.pool.query("SELECT count(*)::int AS live FROM graphile_worker.jobs");
    return found.rows[0].live;
  },
  async work() {
    await run({ connectionString, logger, concurrency: CONCURRENCY, maxPoolSize: CONCURRENCY + 4, taskList: { noop: async () => hit() } });
  },
});
