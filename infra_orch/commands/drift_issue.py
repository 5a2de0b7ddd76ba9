"""One issue for each group of stacks that has drifted, closed when nothing has any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.git.repository import find_repository
from infra_orch.hosts.comments import find_issue, put_issue
from infra_orch.hosts.find import Place, find_place
from infra_orch.hosts.host import Host
from infra_orch.project import Project
from infra_orch.redact import Redactor
from infra_orch.report.drift import Looked, drift_markdown
from infra_orch.report.mark import mark_of
from infra_orch.report.style import safe
from infra_orch.run.outcome import Status


@dataclass(frozen=True)
class DriftIssue:
    """Where the issue of a *group* of stacks is, and the *labels* that a new one gets."""

    place: Place
    group: str
    labels: Sequence[str]
    console: Console

    def post(self, looked: Mapping[str, Looked], redactor: Redactor) -> None:
        """Open the issue, change it, or close it, as it looks. What cannot be posted is said, and changes nothing."""
        try:
            self._post(self.place.host(), looked, redactor)
        except UserError as error:
            hint = f"; {error.hint}" if error.hint else ""
            text = redactor.text(f"the drift could not be posted: {error.summary}{hint}")
            self.console.warn(safe(text, keep_newlines=False))

    def _post(self, host: Host, looked: Mapping[str, Looked], redactor: Redactor) -> None:
        mark = mark_of("drift", self.group)
        if any(one.drifted for one in looked.values()):
            title = "infra-orch: drift" + (f" in {self.group}" if self.group != "default" else "")
            body = redactor.text(drift_markdown(looked, host.limit - len(mark) - 2))
            put_issue(host, mark, title, f"{body}\n\n{mark}", self.labels)
        elif looked and all(one.outcome.status is Status.UNCHANGED for one in looked.values()):
            found = find_issue(host, mark)
            if found:
                host.close_issue(found.number, "Nothing has drifted any more.")
                self.console.note(f"closed issue {found.number}: nothing has drifted any more")
        else:
            self.console.note("nothing, or not everything, was looked at, so the issue stays as it is")


def drift_issue(project: Project, console: Console, group: str, kind: str, labels: Sequence[str]) -> DriftIssue:
    """Return where the drift of a group of stacks is posted. Raises UsageError where nothing tells the host."""
    repository = find_repository(project.root)
    return DriftIssue(find_place(kind, None, repository.remote() if repository else ""), group, labels, console)
