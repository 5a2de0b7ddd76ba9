"""`infra-orch recover STACK`: see to the end of runs that died, and mend what they left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from infra_orch.commands.gone import open_gone
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.recovering import StandIn, as_it_was_run, conclude, owed, spec_tasks, standing_in, told
from infra_orch.commands.session import Session, session
from infra_orch.console import Console
from infra_orch.errors import ExitCode, RefusedError, UsageError, UserError
from infra_orch.project import Project, stack_and_unit
from infra_orch.recovery.adopt import Adoption, apply_adoption, forget_replaced, plan_adoption
from infra_orch.recovery.case import Case, examine
from infra_orch.recovery.lost import InFlight, Lost
from infra_orch.recovery.unsaved import save
from infra_orch.report.progress import progress_for
from infra_orch.report.style import safe
from infra_orch.report.terminal import plan_lines
from infra_orch.run.outcome import Status
from infra_orch.run.outputs import read_outputs
from infra_orch.run.prepare import UnitWork
from infra_orch.run.state_lock import release
from infra_orch.run.values import Output


def recover(project: Project, stack: str, options: RunOptions, console: Console, *, without_adopting: bool) -> int:
    """See to the end of every run of a stack that died.

    *without_adopting* leaves what was created and is in no state where it is. Returns the exit code: 1 where something
    may exist that no state has. Raises UserError where a state cannot be read, RefusedError where something has to be
    decided and nobody is there to be asked.
    """
    try:
        folder = project.stack(stack)
    except UsageError:
        gone = open_gone(project, stack.removeprefix("stacks/"), console, sandbox=options.sandbox)
        if gone is None:
            raise
        opened = gone
    else:
        if not folder.index.exists():
            console.note(f"nothing to recover: {folder.name} was never rendered, so nothing of it was run here")
            return ExitCode.DONE
        opened, from_rendered = as_it_was_run(folder, sandbox=options.sandbox)
        options = replace(options, from_rendered=from_rendered)
    with progress_for(console) as progress, session(project, opened, "recover", console, progress, options) as run:
        if not owed(run):
            console.note(f"nothing to recover: no run of {opened.rendered.name} died")
        with told():
            adopts = not without_adopting
            clean = [_recover(run_id, run, opened, options, console, adopts=adopts) for run_id in owed(run)]
        run.context.journal.write("done", durable=True, status="recovered")
        return ExitCode.DONE if all(clean) else ExitCode.FAILED


def _recover(run_id: str, run: Session, opened: Opened, options: RunOptions, console: Console, *, adopts: bool) -> bool:
    """See to the end of one run. Returns whether everything that it made is in a state."""
    with standing_in(run_id, run, console) as stand_in:
        if stand_in is None:
            console.note(f"run {run_id} died before it changed anything, or when all that it did was recorded")
            return True
        case = stand_in.case
        console.result(_report(case))
        desk = _Desk(stand_in, opened, options, console)
        case = desk.release_locks(case)
        case = desk.save_states(case)
        left = desk.adopt(case) if adopts else list(case.lost)
        flying = desk.look_for(case) if adopts else list(case.flying)
        if case.lost or case.flying:
            case = desk.look_again(case)
        tasks = spec_tasks(run.context.stack.folder.project, case, console)
        conclude(StandIn(case, stand_in.session), run, console, tasks, {})
        for lost in left:
            console.warn(f"{lost} is in no state")
        for flight in flying:
            console.warn(f"{flight.unit}: it may exist, and is in no state: {flight}")
        return not left and not flying


class _Desk:
    """Where the user is asked what is to be done about what a run left behind."""

    def __init__(self, stand_in: StandIn, opened: Opened, options: RunOptions, console: Console) -> None:
        self._context = stand_in.session.context
        self._others = stand_in.session.others
        self._opened = opened
        self._options = options
        self._console = console

    def look_again(self, case: Case) -> Case:
        """The case as it is once states, or their locks, have changed."""
        return examine(case.dead, case.intent, self._context)

    def release_locks(self, case: Case) -> Case:
        """Give back the state locks that the run left behind, and return the case without them."""
        for lock in case.locks:
            if not case.left_behind(lock):
                look = f"infra-orch unlock {case.intent.stack.folder.name} {lock.unit} shows whose it is"
                raise UserError(
                    f"the state of {lock.unit} is locked by {lock}, which is no run that died here",
                    hint=f"wait until that has ended; {look}",
                )
            self._asked(f"Release the lock of {lock.unit} by {lock}? The run that held it is gone.")
            release(lock, case.selection.units[lock.unit], self._context)
        return self.look_again(case) if case.locks else case

    def save_states(self, case: Case) -> Case:
        """Put states where they belong, and return the case as it is then."""
        for unsaved in case.unsaved:
            file = self._context.shown(unsaved.file)
            why = "was cut off as it was written" if unsaved.target else "could not be saved"
            self._asked(f"Write {file} to the state of {unsaved.unit}, which {why}?")
            save(unsaved, self._context)
        return self.look_again(case) if case.unsaved else case

    def adopt(self, case: Case) -> list[Lost]:
        """Bring what was created and is in no state into it, and return what cannot be."""
        left: list[Lost] = []
        for unit, lost in _by_unit(case.lost).items():
            stuck = [item for item in lost if item.in_state and not item.gone]
            for item in stuck:
                self._console.warn(
                    f"{item} cannot be brought in: {item.in_state} is in the state under its address, and still there"
                )
            wanted = [item for item in lost if item not in stuck]
            left += stuck
            if wanted:
                left += self._adopt(case, unit, wanted, f"Bring this into the state of {unit}?")
        return left

    def look_for(self, case: Case) -> list[InFlight]:
        """Look for what was begun under the name that the plan gave it, bring in what is there; return the rest."""
        named = [(item, flight) for flight in case.flying if (item := flight.under_its_name())]
        missing = {flight.address for flight in case.flying} - {item.address for item, _ in named}
        for unit, items in _by_unit([item for item, _ in named]).items():
            question = f"This exists now, and the run had begun to create it. Bring it into the state of {unit}?"
            missing |= {item.address for item in self._adopt(case, unit, items, question)}
        return [flight for flight in case.flying if flight.address in missing]

    def _adopt(self, case: Case, unit: str, lost: Sequence[Lost], question: str) -> list[Lost]:
        work = case.selection.units[unit]
        replaced = [item for item in lost if item.in_state]
        if replaced:
            old = ", ".join(f"{item.address} ({item.in_state})" for item in replaced)
            self._asked(f"Take {old} out of the state of {unit}? Terraform said that it had deleted that.")
            forget_replaced(replaced, self._context)
        adoption = plan_adoption(work, lost, self._context, self._outputs(case, work))
        self._show(adoption)
        if adoption.outcome.status is Status.PLANNED:
            self._asked(question)
            apply_adoption(adoption, self._context)
        return [item for item, _ in adoption.left]

    def _show(self, adoption: Adoption) -> None:
        if adoption.outcome.status is Status.PLANNED:
            self._console.result(plan_lines({adoption.outcome.name: adoption.outcome}, self._console.style))
        for item, reason in adoption.left:
            self._console.warn(f"{item} cannot be imported: {safe(reason)}")

    def _outputs(self, case: Case, work: UnitWork) -> dict[str, Mapping[str, Output]]:
        found: dict[str, Mapping[str, Output]] = {}
        for upstream in work.unit.needs:
            stack, _ = stack_and_unit(upstream)
            if stack:
                there = self._opened.elsewhere(upstream)
                found[upstream] = read_outputs(there, self._others[stack]) if there else {}
                continue
            unit = case.intent.stack.units[upstream]
            found[upstream] = read_outputs(case.selection.units.get(upstream) or UnitWork(unit, {}), self._context)
        return found

    def _asked(self, question: str) -> None:
        """Go on where the user says yes. Raises RefusedError where not."""
        if self._options.auto_approve:
            self._console.note(f"{question} yes, by --auto-approve")
            return
        if not self._console.interactive or self._options.json:
            raise RefusedError(
                f"{question} Nobody is there to be asked",
                hint=f"{self._console.again('--auto-approve')}, if that is meant",
            )
        if not self._console.ask(question, lambda: self._context.supervisor.stopping):
            raise RefusedError("nothing more was changed", hint="run the same command again to go on")


def _report(case: Case) -> Iterator[str]:
    facts = case.intent.facts
    yield f"{facts.command} {facts.run_id} of {facts.stack} died; it began at {facts.at}, by {safe(facts.by)}"
    for name, node in case.nodes.items():
        reason = f": {safe(node.outcome.failure.summary)}" if node.outcome.failure else ""
        yield f"  {name}: {node.outcome.status}{reason}"
    for title, things in (
        ("created, and in no state", case.lost),
        ("begun, and may exist", case.flying),
        ("left locked", [f"{lock.unit}, by {lock}" for lock in case.locks]),
        ("states that could not be saved", [f"{unsaved.unit}, in {unsaved.file.name}" for unsaved in case.unsaved]),
        ("due next, and not begun", case.due),
    ):
        if things:
            yield f"{title}:"
            yield from (f"  {safe(str(thing))}" for thing in things)


def _by_unit(lost: Sequence[Lost]) -> dict[str, list[Lost]]:
    units: dict[str, list[Lost]] = {}
    for item in lost:
        units.setdefault(item.unit, []).append(item)
    return units
