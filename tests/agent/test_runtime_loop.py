"""The loop: coalesces, never overlaps, comes back by itself while something is left, survives errors."""

import asyncio

from bascule_agent.apply.loop import Loop


async def until(condition, seconds=3.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_burst_of_changes_makes_one_pass_and_those_during_a_pass_one_more():
    passes, running, gate = 0, 0, asyncio.Event()

    async def work():
        nonlocal passes, running
        running += 1
        assert running == 1
        passes += 1
        await gate.wait()
        running -= 1
        return True

    loop = Loop(work)
    task = asyncio.create_task(loop.run())
    for _ in range(50):
        loop.poke()
    await until(lambda: passes == 1)
    for _ in range(50):
        loop.poke()
        await asyncio.sleep(0)
    gate.set()
    await until(lambda: passes == 2)
    await asyncio.sleep(0.1)
    assert passes == 2
    task.cancel()


async def test_an_error_is_logged_and_tried_again_until_it_is_done(caplog):
    passes = 0

    async def work():
        nonlocal passes
        passes += 1
        if passes == 1:
            raise RuntimeError("the kernel said no")
        return passes == 3

    loop = Loop(work)
    task = asyncio.create_task(loop.run())
    loop.poke()
    await until(lambda: passes == 3)
    await asyncio.sleep(0.5)
    assert passes == 3
    assert "the kernel said no" in caplog.text
    task.cancel()
