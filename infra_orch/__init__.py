"""infra-orch: what a stack spec imports.

from infra_orch import Provider, S3Backend, Stack
"""

from infra_orch import _interrupt, _isolation  # noqa: F401  before anything else is imported
from infra_orch._version import __version__
from infra_orch.policies.declare import policy
from infra_orch.policies.plan import Change, Plan
from infra_orch.spec.credentials import Credentials
from infra_orch.spec.provider import Backend, LocalBackend, Provider, S3Backend
from infra_orch.spec.stack import Stack, StackReference, Task, TaskContext, Unit, UnitReference
from infra_orch.spec.values import (
    Block,
    EnvironmentValue,
    Expression,
    Input,
    Outputs,
    Reference,
    block,
    env,
    expression,
)

__all__ = [
    "Backend",
    "Block",
    "Change",
    "Credentials",
    "EnvironmentValue",
    "Expression",
    "Input",
    "LocalBackend",
    "Outputs",
    "Plan",
    "Provider",
    "Reference",
    "S3Backend",
    "Stack",
    "StackReference",
    "Task",
    "TaskContext",
    "Unit",
    "UnitReference",
    "__version__",
    "block",
    "env",
    "expression",
    "policy",
]
