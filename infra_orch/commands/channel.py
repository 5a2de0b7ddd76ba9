"""The way to a host for what a run posts. What goes wrong on it is said once, and is never why a run fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.hosts.find import Place, find_place
from infra_orch.hosts.host import Host, State, Status
from infra_orch.project import Project
from infra_orch.redact import Redactor
from infra_orch.report.style import safe


def channel_for(project: Project, console: Console, what: str, kind: str, number: int | None, url: str) -> Channel:
    """Return the way to *kind* and the pull request *number*, or to where the CI's variables say, for *what* is posted.

    *url* is the address of more; "": that of the job. Raises UsageError where nothing tells the host or the repository.
    """
    repository = find_repository(project.root)
    place = find_place(kind, number, repository.remote() if repository else "")
    redactor = Redactor(project.settings.redact)
    redactor.add_environment(os.environ)
    return Channel(place, url or place.url, console, repository, redactor, what)


@dataclass(frozen=True)
class Channel:
    """See channel_for()."""

    place: Place
    url: str
    console: Console
    repository: Repository | None
    redactor: Redactor
    what: str
    _told: set[str] = field(default_factory=set, init=False)

    def head(self) -> str:
        """Return the commit that is checked out; empty where there is none."""
        return (self.repository.head() if self.repository else None) or ""

    def status(self, host: Host, commit: str, context: str, state: State, description: str) -> None:
        """Set the status of a commit, if there is one. Raises UnavailableError."""
        if commit:
            text = safe(description.removeprefix("infra-orch: "), keep_newlines=False)
            host.set_status(commit, Status(context, state, text, self.url))

    @contextlib.contextmanager
    def tries(self) -> Iterator[None]:
        """Within it nothing that goes wrong is more than a warning."""
        try:
            yield
        except UserError as error:
            self._warn(error.summary, error.hint)
        except OSError as error:
            self._warn(f"{error.filename or ''} {error.strerror or error}".strip(), "")
        except Exception as error:  # noqa: BLE001  a defect here is no reason for a run to fail
            self._warn(f"a defect of infra-orch: {type(error).__name__}: {error}", "")

    def _warn(self, what: str, hint: str) -> None:
        text = self.redactor.text(f"{self.what} could not be posted: {what}{f'; {hint}' if hint else ''}")
        if text not in self._told:
            self._told.add(text)
            self.console.warn(safe(text, keep_newlines=False))
