"""`infra-orch outdated --base BRANCH`: the previews of all pull requests into a branch, when that has moved."""

from __future__ import annotations

from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.git.repository import find_repository
from infra_orch.hosts.find import find_place
from infra_orch.project import Project
from infra_orch.report.mark import mark_of, moved, preview_mark
from infra_orch.report.mark import outdated as said_outdated
from infra_orch.report.markdown import code


def outdated(project: Project, base: str, kind: str, group: str, console: Console) -> int:
    """Mark the previews of open pull requests into the branch *base* as out of date; of one *group* of stacks, or all.

    Returns 0. Raises UsageError where nothing tells the host, UnavailableError where it does not do it.
    """
    repository = find_repository(project.root)
    host = find_place(kind, None, repository.remote() if repository else "").host()
    why = moved(code(base), host.branch(base))
    marked = 0
    for pull in host.pull_requests_into(base):
        for comment in host.comments(pull.number):
            mark = preview_mark(comment.body)
            if mark and (not group or mark == mark_of("preview", group)):
                body = said_outdated(comment.body, why, host.limit)
                if body != comment.body:
                    host.change_comment(pull.number, comment.id, body)
                marked += 1
    console.note(f"{marked} preview{'' if marked == 1 else 's'} of pull requests into {base} out of date")
    return ExitCode.DONE
