# SPDX-License-Identifier: MIT
# The workloads of tasks.lua with Python's Trio. Prints what that prints.
#
#   python3 tasks.py WORKLOAD TASKS ROUNDS
import contextlib
import os
import random
import sys
import time

import trio
import trio.testing

checkpoint = trio.lowlevel.checkpoint


class cost:
    """Prints the processor time of a block per operation."""

    def __init__(self, operations):
        self.operations = operations

    def __enter__(self):
        self.start = time.process_time_ns()

    def __exit__(self, kind, error, where):
        spent = time.process_time_ns() - self.start
        if kind is None:
            print(spent / self.operations)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def finish():  # taking the tasks down is no part of any workload
    sys.stdout.flush()
    os._exit(0)


async def together(count, function, *args):
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(function, *args)


async def run_checkpoint(tasks, rounds):
    async def work():
        for _ in range(rounds):
            await checkpoint()

    with cost(tasks * rounds):
        await together(tasks, work)


async def run_spawn(tasks, rounds):
    async def nothing():
        pass

    with cost(tasks * rounds):
        for _ in range(rounds):
            await together(tasks, nothing)


async def run_sleep(tasks, rounds):
    random.seed(1)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(trio.sleep, random.random() * 0.1)
    print(trio.current_time() - start)


async def run_sleep_mem(tasks, rounds):
    before = resident()
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(trio.sleep, 1000)
        await trio.testing.wait_all_tasks_blocked()
        print((resident() - before) / tasks)
        finish()


async def run_cancel_wide(tasks, rounds):
    async with contextlib.AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        for _ in range(tasks):
            nursery.start_soon(trio.sleep, 1000)
        await trio.testing.wait_all_tasks_blocked()
        with cost(tasks):
            nursery.cancel_scope.cancel()
            await stack.aclose()


async def run_cancel_deep(depth, rounds):
    with cost(depth * rounds):
        for _ in range(rounds):
            with contextlib.ExitStack() as scopes:
                for _ in range(depth):
                    scopes.enter_context(trio.move_on_after(1))
                await checkpoint()


async def run_timeout(tasks, rounds):
    with cost(rounds):
        for _ in range(rounds):
            with trio.move_on_after(1):
                await checkpoint()


async def channel(producers, each, limit):
    send, receive = trio.open_memory_channel(limit)

    async def produce():
        for i in range(1, each + 1):
            await send.send(i)

    with cost(producers * each):
        async with trio.open_nursery() as nursery:
            for _ in range(producers):
                nursery.start_soon(produce)
            total = 0
            for _ in range(producers * each):
                total += await receive.receive()
    assert total == producers * each * (each + 1) // 2


async def run_channel0(tasks, rounds):
    await channel(tasks, rounds, 0)


async def run_channel1024(tasks, rounds):
    await channel(tasks, rounds, 1024)


run_fan = run_channel0
name, tasks, rounds = sys.argv[1:]
trio.run(globals()["run_" + name], int(tasks), int(rounds))
