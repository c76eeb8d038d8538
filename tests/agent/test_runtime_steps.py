"""A step that fails stops its own Network; the other's segments are built all the same."""

from bascule.errors import BasculeError
from bascule.hostplan import desired as d
from bascule.hostplan.names import link_name
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.plan import plan
from bascule.hostplan.simulate import run
from bascule_agent.apply.steps import carry_out, owners

TRUNKS = (ObservedLink(2, "trunk0", up=True), ObservedLink(3, "trunk1", up=True))
OBSERVED = Observed(TRUNKS)
DESIRED = d.Desired(
    (
        d.Segment("dc1", 110, "trunk0", 1500, "02:b5:00:00:00:01"),
        d.Segment("dc2", 120, "trunk1", 1500, "02:b5:00:00:00:02"),
    ),
    (d.TrunkUse("trunk0", None), d.TrunkUse("trunk1", None)),
)


class Node:
    """A node as hostplan's own model has it, with a fault to plant."""

    def __init__(self, fault=lambda step: False):
        self.observed, self.fault = OBSERVED, fault

    async def execute(self, step):
        if self.fault(step):
            raise BasculeError("the kernel refused", "ENOMEM")
        self.observed = run((step,), self.observed)


async def test_without_a_fault_the_plan_is_carried_out_whole():
    node, steps = Node(), plan(DESIRED, OBSERVED)
    outcome = await carry_out(steps, owners(DESIRED, OBSERVED), node.execute)
    assert tuple(outcome.done) == steps and not outcome.failed
    assert plan(DESIRED, node.observed) == ()


async def test_each_single_fault_stays_with_its_network():
    steps = plan(DESIRED, OBSERVED)
    for bad in steps:
        node = Node(lambda step, bad=bad: step == bad)
        outcome = await carry_out(steps, owners(DESIRED, OBSERVED), node.execute)
        (failed,) = outcome.failed
        other = "dc2" if failed == "dc1" else "dc1"
        vid = 120 if other == "dc2" else 110
        assert outcome.failed[failed][0] == bad
        assert link_name("b", other, vid) in node.observed.by_name
        # The next pass, the fault being gone, finishes what is left.
        rest = plan(DESIRED, node.observed)
        node.fault = lambda step: False
        await carry_out(rest, owners(DESIRED, node.observed), node.execute)
        assert plan(DESIRED, node.observed) == ()
