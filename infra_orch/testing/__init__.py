"""What a test of a stack annotates and compares with; the fixtures themselves come with the pytest plugin.

from infra_orch.testing import UNKNOWN, Applied, Planned, Rendered, StackUnderTest
"""

from infra_orch.testing.applied import Applied
from infra_orch.testing.failed import RunFailedError
from infra_orch.testing.planned import Planned, PlannedUnit
from infra_orch.testing.rendered import Rendered
from infra_orch.testing.resources import Resource
from infra_orch.testing.stack import StackUnderTest, UnitUnderTest
from infra_orch.testing.values import SENSITIVE, UNKNOWN

__all__ = [
    "SENSITIVE",
    "UNKNOWN",
    "Applied",
    "Planned",
    "PlannedUnit",
    "Rendered",
    "Resource",
    "RunFailedError",
    "StackUnderTest",
    "UnitUnderTest",
]
