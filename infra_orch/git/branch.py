"""A new branch that begins at what is checked out: no file, and nothing that is staged, changes."""

from __future__ import annotations

from infra_orch.errors import UsageError, UserError
from infra_orch.git.remote import branch_ref
from infra_orch.git.repository import Repository, git_words


def start_branch(repository: Repository, name: str) -> None:
    """Make the branch *name* at HEAD, and check it out.

    Raises UsageError where there is one, or a branch cannot be called so, UserError where git fails.
    """
    ref = branch_ref(repository, name)
    if repository.resolve(ref):
        raise UsageError(f'there is a branch "{name}" already', hint="give another name")
    code, _, err = repository.ask("switch", "--quiet", "--no-track", "--create", name)
    if code:
        raise UserError(f'the branch "{name}" could not be made: {git_words(err)}')
