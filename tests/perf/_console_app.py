"""One measured run of the console in a real terminal: `python tests/perf/_console_app.py SCENE OUT [KUBECONFIG]`.

Writes what it measured as JSON to OUT and ends. Started by tests/perf/console.py inside tmux, because a headless pilot
builds no terminal output and so understates what a frame costs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

SCENE, OUT = sys.argv[1], Path(sys.argv[2])
STARTED_NS = int(os.environ["BENCH_STARTED_NS"])
SECONDS = 8.0
RATE, BATCHES_S = 5_000, 20
FLOWS, VMS = 100_000, 20_000

if SCENE == "smallest":
    from textual.app import App
else:
    gc.disable()  # as cli/tui.py does
    from bascule_console.app import BasculeApp as App  # type: ignore[assignment]


class Measured(App):  # type: ignore[misc, valid-type]
    """The app with its frames counted and timed; everything else is as it ships."""

    frames = 0
    painted_at = 0.0
    result: dict[str, Any]

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        if renderable is not None:
            self.frames += 1
            self.painted_at = time.perf_counter()
            if self.frames == 1:
                self.result = {
                    "first_ms": (time.time_ns() - STARTED_NS) / 1e6,
                    "first_cpu_ms": time.process_time() * 1e3,
                }

    def on_ready(self) -> None:
        if SCENE != "smallest":
            super().on_ready()
        self.measuring = asyncio.create_task(self._measure())

    async def _measure(self) -> None:
        try:
            while not self.frames:
                await asyncio.sleep(0.005)
            if SCENE in SCENES:
                self.result |= await SCENES[SCENE](self)
        except Exception as error:  # told to whoever started this
            import traceback

            self.result = {"error": f"{error!r} {traceback.format_exc()}"}
        OUT.write_text(json.dumps(self.result))
        self.exit()


def rss_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def settle() -> None:
    """Until the process has been quiet for a moment."""
    for _ in range(100):
        before = time.process_time()
        await asyncio.sleep(0.2)
        if time.process_time() - before < 0.02:
            return


async def lags(into: list[float], walls: list[float]) -> None:
    """CPU that the loop's thread spends from one turn of ours to the next, in milliseconds, until cancelled: what keeps
    keys waiting, whoever else wants the processor. `walls` is how late we came by the clock on the wall."""
    while True:
        began, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.002)
        into.append((time.thread_time() - cpu) * 1e3)
        walls.append((time.perf_counter() - began - 0.002) * 1e3)


async def flows(app: Any) -> dict[str, Any]:
    """100,000 flows, 5,000 updates/s, every visible row among them; a key every 60 to 140 ms."""
    from textual import events

    feed = Feed(app.store)
    app.open("flows")
    await settle()
    gc.collect()
    table = app.screen.tables[0]
    table.focus()
    table.view.follow = False
    await settle()
    paints: list[float] = []
    fed, at, frames, cpu = 0.0, 0, app.frames, time.process_time()
    began = time.perf_counter()
    next_key, pressed = began + 0.5, 0.0
    while (now := time.perf_counter()) - began < SECONDS:
        if pressed and app.painted_at > pressed:
            paints.append((app.painted_at - pressed) * 1e3)
            pressed, next_key = 0.0, now + 0.06 + 0.08 * (len(paints) % 7) / 7
        if not pressed and now >= next_key:
            pressed = now
            app.post_message(events.Key("down" if len(paints) % 3 else "pagedown", None))
        if now - began >= at / BATCHES_S:
            mark = time.process_time()
            feed.batch(at)
            fed += time.process_time() - mark
            at += 1
        await asyncio.sleep(0.002)
    spent = time.perf_counter() - began
    feed.forget()
    cpu, frames = time.process_time() - cpu - fed, app.frames - frames
    return {
        "fps": frames / spent,
        "cpu_ms_per_frame": cpu * 1e3 / max(1, frames),
        "key_p95_ms": statistics.quantiles(paints, n=20)[-1],
        "key_p50_ms": statistics.median(paints),
        "keys": len(paints),
        "updates_s": at * RATE / BATCHES_S / spent,
        "rss_mib": rss_mib(),
    }


class Feed:
    """Batches as an agent's client decodes them: the first fills the store, the others update what is on screen."""

    def __init__(self, store: Any) -> None:
        import numpy as np

        from bascule.flows.ledger import Ledger
        from bascule.flows.names import PortId
        from bascule.flows.record import RECORD
        from bascule.flows.store import Batch

        self._np, self._batch, self._ledger, self._store = np, Batch, Ledger, store
        self._ports = tuple(
            PortId(
                "node1",
                20 + n,
                f"vm-{n:04d}",
                "vms",
                "net-0",
                "dc1",
                110,
                f"52:54:00:00:6e:{n % 256:02x}",
                f"10.110.{n // 250}.{n % 250}",
            )
            for n in range(200)
        )
        all_ = np.zeros(FLOWS, RECORD)
        numbers = np.arange(FLOWS)
        all_["ifindex"] = 20 + numbers % 200
        all_["direction"], all_["verdict"], all_["proto"], all_["vlan"] = 1, 1 + (numbers % 17 == 0), 6, 110
        all_["ethertype"], all_["dst_port"] = 0x0800, 443
        # 4,096 VMs talking to 250 others each from changing ports, as a cluster of this size would.
        vm, other = numbers % 4096, (numbers * 7 + numbers // 4096) % 4096
        for side, who, vlan in (("src", vm, 110), ("dst", other, 120)):
            fixed = np.full(FLOWS, 10), np.full(FLOWS, vlan)
            all_[f"{side}_ip"] = np.stack([*fixed, who // 250, who % 250], axis=1)
            all_[f"{side}_mac"] = np.stack(
                [*np.broadcast_to([[0x52], [0x54], [0], [vlan]], (4, FLOWS)), who // 256, who % 256], axis=1
            )
        all_["src_port"] = 1024 + numbers // 4096
        all_["packets"], all_["bytes"] = 1, 98
        all_["first"] = all_["last"] = time.time_ns()
        self._all, self._dice = all_, np.random.default_rng(7)
        self._add(all_)

    def batch(self, number: int) -> None:
        """One twentieth of a second: 250 records, the first rows among them."""
        np = self._np
        size = RATE // BATCHES_S
        chosen = np.concatenate([np.arange(60), self._dice.choice(FLOWS - 60, size - 60, replace=False) + 60])
        records = self._all[chosen].copy()
        records["last"] = time.time_ns()
        self._add(records)

    def forget(self) -> None:
        """Let go of what is the feeder's, not the console's."""
        self._all = None

    def _add(self, records: Any) -> None:
        self._store.add_flows(self._batch("node1", time.time_ns(), records, self._ports, self._ledger(1, 1, {})))


async def vms(app: Any) -> dict[str, Any]:
    """20,000 VMs: listed, filtered, sorted, scrolled, one of them changing four times a second."""
    from bascule_console.widgets.filtering import parse_filter

    def vm(number: int, node: int) -> tuple[dict[str, Any], dict[str, Any]]:
        meta = {"name": f"vm-{number:05d}", "namespace": f"ns-{number % 40}", "labels": {"app": f"a{number % 9}"}}
        status = {"phase": "Running", "nodeName": f"node{node}", "interfaces": []}
        return {"metadata": meta, "spec": {}}, {"metadata": meta, "status": status}

    def put(number: int, node: int) -> None:
        one, instance = vm(number, node)
        app.store.inventory.put("virtualmachines", one)
        app.store.inventory.put("virtualmachineinstances", instance)

    late: list[float] = []
    walls: list[float] = []
    app.open("vms")
    await settle()
    watching = asyncio.create_task(lags(late, walls))
    for number in range(VMS):
        put(number, number % 7)
        if number % 500 == 499:
            await asyncio.sleep(0.01)  # a page of the API's list
    await settle()
    listed = max(late)
    table = app.screen.tables[0]
    steps: dict[str, float] = {}

    async def step(name: str, does: Any) -> None:
        late.clear()
        does()
        await asyncio.sleep(0.6)
        steps[name] = max(late)

    await step("filter", lambda: table.set_filter(parse_filter("vm-1.*7$")))
    await step("labels", lambda: table.set_filter(parse_filter("-l app=a3")))
    await step("clear", lambda: table.set_filter(parse_filter("")))
    await step("sort", table.sort_next)
    await step("scroll", lambda: [table.action_page(1) for _ in range(40)])
    await step("change", lambda: [put(number, 8) for number in range(50)])
    late.clear()
    for number in range(8):
        put(number, number)
        await asyncio.sleep(0.25)
    steps["changes"] = max(late)
    watching.cancel()
    shown = len(app.screen.tables[0].view)
    worst = {"list_ms": listed, "worst_ms": max(listed, *steps.values()), "wall_ms": max(walls)}
    return {**worst, "steps": steps, "shown": shown}


async def idle(app: Any) -> dict[str, Any]:
    """Nothing changes: what the clocks cost."""
    await settle()
    before, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(6.0)
    return {"cpu_percent": (time.process_time() - before) * 100 / (time.perf_counter() - began), "rss_mib": rss_mib()}


async def live(app: Any) -> dict[str, Any]:
    """From the first frame to the first VM row, on a cluster."""
    first = app.painted_at
    while not len(app.screen.tables[0].view):
        await asyncio.sleep(0.005)
    return {"row_ms": (time.perf_counter() - first) * 1e3}


SCENES = {"flows": flows, "vms": vms, "idle": idle, "idle-live": idle, "live": live}


def main() -> None:
    """Run one scene."""
    if SCENE == "smallest":
        Measured().run()
        return
    from bascule_console.services.session import Session
    from bascule_console.store.store import Store

    store = Store()
    session = Session(store, Path(sys.argv[3])) if len(sys.argv) > 3 else None
    Measured(store, session).run()


main()
