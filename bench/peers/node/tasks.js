// SPDX-License-Identifier: MIT
// The workloads of tasks.lua with Node.js. Prints what that prints.
//
//   node tasks.js WORKLOAD TASKS ROUNDS
"use strict";
const sleep = require("timers/promises").setTimeout;

// Through the event loop: awaiting a promise alone lets nothing else in.
const checkpoint = () => new Promise(setImmediate);
const resident = () => process.memoryUsage.rss();

function processorTime() { // nanoseconds
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

async function cost(operations, work) {
  const start = processorTime();
  await work();
  console.log((processorTime() - start) / operations);
}

function together(count, task) {
  const all = new Array(count);
  for (let i = 0; i < count; i++) all[i] = task(i);
  return Promise.all(all);
}

class Line { // first in, first out, without moving what is left
  first = null;
  last = null;
  add(value) {
    const item = { value, next: null };
    if (this.first) this.last.next = item; else this.first = item;
    this.last = item;
  }
  take() {
    const item = this.first;
    this.first = item.next;
    return item.value;
  }
}

class Channel {
  senders = new Line();
  receivers = new Line();
  held = new Line();
  free;
  constructor(limit) { this.free = limit; }
  send(value) {
    if (this.receivers.first) {
      this.receivers.take()(value);
    } else if (this.free > 0) {
      this.free--;
      this.held.add(value);
    } else {
      return new Promise((go) => this.senders.add({ value, go }));
    }
  }
  receive() {
    if (this.held.first) {
      const value = this.held.take();
      if (this.senders.first) {
        const sender = this.senders.take();
        this.held.add(sender.value);
        sender.go();
      } else {
        this.free++;
      }
      return value;
    }
    if (this.senders.first) {
      const sender = this.senders.take();
      sender.go();
      return sender.value;
    }
    return new Promise((go) => this.receivers.add(go));
  }
}

function channel(producers, each, limit) {
  const c = new Channel(limit);
  let sum = 0;
  return cost(producers * each, () => together(producers + 1, async (i) => {
    if (i > 0) {
      for (let k = 1; k <= each; k++) await c.send(k);
      return;
    }
    for (let k = 0; k < producers * each; k++) sum += await c.receive();
    if (sum !== producers * each * (each + 1) / 2) throw new Error("sum");
  }));
}

const workloads = {
  checkpoint: (tasks, rounds) => cost(tasks * rounds,
    () => together(tasks, async () => {
      for (let i = 0; i < rounds; i++) await checkpoint();
    })),
  spawn: (tasks, rounds) => cost(tasks * rounds, async () => {
    for (let i = 0; i < rounds; i++) await together(tasks, async () => {});
  }),
  async sleep(tasks) {
    const start = performance.now();
    await together(tasks, () => sleep(Math.random() * 100));
    console.log((performance.now() - start) / 1000);
  },
  async sleep_mem(tasks) {
    const before = resident();
    together(tasks, async () => { await sleep(1e6); });
    await sleep(20);
    console.log((resident() - before) / tasks);
    process.exit(0);
  },
  async cancel_wide(tasks) {
    const controller = new AbortController();
    const signal = controller.signal;
    require("events").setMaxListeners(0, signal);
    const all = together(tasks,
      () => sleep(1e6, null, { signal }).catch((error) => {
        if (!signal.aborted) throw error;
      }));
    await sleep(20);
    await cost(tasks, () => { controller.abort(); return all; });
  },
  timeout: (_, rounds) => cost(rounds, async () => {
    const late = () => { throw new Error("late"); };
    for (let i = 0; i < rounds; i++) {
      const timer = setTimeout(late, 1000);
      await checkpoint();
      clearTimeout(timer);
    }
  }),
  channel0: (tasks, rounds) => channel(tasks, rounds, 0),
  channel1024: (tasks, rounds) => channel(tasks, rounds, 1024),
  fan: (tasks, rounds) => channel(tasks, rounds, 0),
};

const [name, tasks, rounds] = process.argv.slice(2);
workloads[name](Number(tasks), Number(rounds));
