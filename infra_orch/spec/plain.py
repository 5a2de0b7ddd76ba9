"""Whether what a user's Python file does can be told from its text: nothing but compute, from nothing but its imports.

That is so where a file uses no name, attribute or module but those listed here. Nobody has to be kept from getting
around the list on purpose, who could only deceive himself; but what a spec may well do (read a file, the clock, the
environment, the order of a set) must not pass for computing. What is not known here counts as that.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What of Python's own library only computes, by module. Modules that hold others (json.codecs) are why each is named.
_MODULES: Mapping[str, frozenset[str]] = {
    "__future__": _words("annotations"),
    "abc": _words("ABC abstractmethod"),
    "base64": _words("b64encode b64decode urlsafe_b64encode urlsafe_b64decode b32encode b32decode b16encode"),
    "collections": _words("Counter OrderedDict ChainMap defaultdict deque namedtuple abc"),
    "collections.abc": _words(
        "Callable Collection Container Generator Hashable ItemsView Iterable Iterator KeysView Mapping MutableMapping "
        "MutableSequence Reversible Sequence Sized ValuesView"
    ),
    "copy": _words("copy deepcopy"),
    "dataclasses": _words("dataclass field asdict astuple replace fields is_dataclass KW_ONLY FrozenInstanceError"),
    "decimal": _words("Decimal InvalidOperation ROUND_HALF_UP ROUND_HALF_EVEN ROUND_UP ROUND_DOWN ROUND_CEILING"),
    "enum": _words("Enum IntEnum StrEnum Flag IntFlag auto unique"),
    "fractions": _words("Fraction"),
    "functools": _words("cache cached_property cmp_to_key lru_cache partial reduce total_ordering wraps"),
    "hashlib": _words("md5 sha1 sha224 sha256 sha384 sha512 blake2b blake2s"),
    "ipaddress": _words(
        "ip_address ip_network ip_interface IPv4Address IPv4Network IPv4Interface IPv6Address IPv6Network "
        "IPv6Interface collapse_addresses summarize_address_range AddressValueError NetmaskValueError"
    ),
    "itertools": _words(
        "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
        "groupby islice pairwise permutations product repeat starmap takewhile zip_longest"
    ),
    "json": _words("dumps loads JSONDecodeError"),
    "math": _words("ceil floor trunc gcd lcm log log2 log10 sqrt isqrt pow fabs fsum prod isfinite isnan inf pi e"),
    "operator": _words("itemgetter add sub mul truediv floordiv mod neg and_ or_ not_ eq ne lt le gt ge"),
    "re": _words(
        "compile match fullmatch search sub subn split findall finditer escape Pattern Match IGNORECASE MULTILINE "
        "DOTALL VERBOSE ASCII I M S X A"
    ),
    "string": _words("ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation capwords"),
    "textwrap": _words("dedent indent fill shorten wrap"),
    "typing": _words(
        "Annotated Any Callable ClassVar Collection Dict Final Generic Iterable Iterator List Literal Mapping "
        "MutableMapping NamedTuple NewType NoReturn Optional ParamSpec Protocol Self Sequence Tuple Type TypeAlias "
        "TypedDict TypeVar Union TYPE_CHECKING cast assert_never overload NotRequired Required"
    ),
}
_OURS = _words(
    "Backend Block Credentials EnvironmentValue Expression Input LocalBackend Outputs Provider Reference S3Backend "
    "Stack Task TaskContext Unit __version__ block env expression"
)
_BUILTINS = _words(
    "ArithmeticError AssertionError AttributeError Ellipsis Exception False IndexError KeyError LookupError None "
    "NotImplemented NotImplementedError OverflowError RuntimeError StopIteration True TypeError UnicodeDecodeError "
    "UnicodeEncodeError UnicodeError ValueError ZeroDivisionError abs all any ascii bin bool bytearray bytes callable "
    "chr classmethod complex dict divmod enumerate filter float format frozenset getattr hasattr hex int isinstance "
    "issubclass iter len list map max min next object oct ord pow property range repr reversed round set slice sorted "
    "staticmethod str sum super tuple type zip __name__"
)
_OTHERS = frozenset(dir(builtins)) - _BUILTINS
"""Names that mean something of Python's own which may do more than compute: not even as the name of something else."""
# Names of attributes that lead out of what is computed: to files of a machine, to frames, or to another stack.
_LEADS_OUT = _words("where mro format_map vformat sys os io codecs builtins importlib inspect types modules environ")
_FRAMES = re.compile(r"(?:gi|cr|ag|tb|f|co|func)_[a-z]+")
_DUNDERS = _words("__init__ __post_init__ __name__ __doc__ __qualname__ __new__ __str__ __repr__ __eq__")
_OWN_DUNDERS = _words("__name__ __all__ __slots__ __match_args__")
# Where a set may stand, as long as no key= tells what counts: there its order, which differs from run to run, tells
# nothing.
_ORDERLESS = _words("sorted len min max any all frozenset set isinstance")
_SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
_TAKES_SETS = frozenset({"isdisjoint", "issubset", "issuperset"})
_VIEWS = frozenset({"keys", "items"})


@dataclass(frozen=True)
class Import:
    """A module that a file imports and that is no module of Python's or ours: *name* (`lib.names`), or, *level* folders
    up, relative to the file's own package. *members*: what is taken out of it, each of which may be a module, too.
    """

    name: str
    level: int = 0
    members: tuple[str, ...] = ()


def plain_imports(source: bytes) -> tuple[Import, ...] | None:
    """Return what a file that only computes imports of the user's, in the order of the text; None for any other file.

    A file that does not parse is none that only computes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # who evaluates it is to be warned each time
            tree = ast.parse(source)
        look = _Look()
        # All of them first: a function may use what is imported below it.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                look.imported(node)
            elif isinstance(node, ast.ImportFrom):
                look.imported_from(node)
        look.visit(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, _NotPlainError):
        return None
    return tuple(look.imports)


class _NotPlainError(Exception):
    """There is something in the file that is not known to only compute."""


class _Look(ast.NodeVisitor):
    """Looks at each node once, and knows what each may stand in."""

    def __init__(self) -> None:
        self.imports: list[Import] = []
        self._modules: dict[str, str] = {}
        self._fine: set[ast.AST] = set()
        """Nodes that would be refused if they stood elsewhere."""

    def imported(self, node: ast.Import) -> None:
        """Take note of `import x`."""
        for alias in node.names:
            if alias.name in _MODULES:
                # `import collections.abc` binds `collections`; with a name of its own it binds what it names.
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                self._bind(alias.asname or module, module)
            else:
                _must(not _is_known(alias.name))
                self.imports.append(Import(alias.name))

    def imported_from(self, node: ast.ImportFrom) -> None:
        """Take note of `from x import y`."""
        members, name = tuple(alias.name for alias in node.names), node.module or ""
        _must("*" not in members and not _LEADS_OUT.intersection(members))
        if node.level:
            self.imports.append(Import(name, node.level, members))
        elif name == "infra_orch":
            _must(_OURS.issuperset(members))
        elif name in _MODULES:
            _must(_MODULES[name].issuperset(members))
            for alias in node.names:
                if f"{name}.{alias.name}" in _MODULES:
                    self._bind(alias.asname or alias.name, f"{name}.{alias.name}")
        else:
            _must(not _is_known(name))
            self.imports.append(Import(name, 0, members))

    def _bind(self, bound: str, module: str) -> None:
        _must(module in _MODULES and self._modules.get(bound, module) == module)
        self._modules[bound] = module

    def visit_Name(self, node: ast.Name) -> None:
        _must(node.id not in _OTHERS)
        _must(not node.id.startswith("__") or node.id in _OWN_DUNDERS)
        # The module itself is good for nothing but what is named in it, so that nothing of it goes anywhere else.
        _must(node.id not in self._modules or node in self._fine)
        _must(node.id not in ("set", "frozenset", "getattr", "hasattr") or node in self._fine)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        _must(isinstance(node.ctx, ast.Load) or (isinstance(node.value, ast.Name) and node.value.id == "self"))
        _check_attribute(node.attr)
        _must(node.attr not in ("format", *_VIEWS) or node in self._fine)
        if isinstance(node.value, ast.Name) and node.value.id in self._modules:
            _must(node.attr in _MODULES[self._modules[node.value.id]])
            self._fine.add(node.value)
        elif isinstance(node.value, ast.Attribute) and (module := ast.unparse(node.value)) in _MODULES:
            _must(node.attr in _MODULES[module])
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            self._call(node, function)
        elif isinstance(function, ast.Attribute):
            if function.attr in _VIEWS and not node.args:
                # A view that is walked through is in the order of the dict; one that is computed with is a set.
                _must(node in self._fine)
                self._fine.add(function)
            elif function.attr == "format":
                # A text can reach any attribute of what is put into it: "{0.x[y]}".
                text = function.value
                _must(isinstance(text, ast.Constant) and isinstance(text.value, str))
                _must(not re.search(r"\{[^{}]*[.\[]", ast.literal_eval(text)))
                self._fine.add(function)
            elif function.attr in _TAKES_SETS:
                self._fine.update(node.args)
        self.generic_visit(node)

    def _call(self, node: ast.Call, function: ast.Name) -> None:
        if function.id in ("getattr", "hasattr"):
            named = node.args[1] if len(node.args) > 1 else None
            _must(isinstance(named, ast.Constant) and isinstance(named.value, str))
            _check_attribute(str(ast.literal_eval(named)) if named else "")
            self._fine.add(function)
        if function.id in ("set", "frozenset"):
            _must(node in self._fine)
            self._fine.add(function)
        if function.id in _BUILTINS:
            self._fine.update(argument for argument in node.args if _is_view(argument))
        if function.id == "isinstance":
            self._fine.update(part for argument in node.args for part in ast.walk(argument))
        elif function.id in _ORDERLESS and not node.keywords:
            for argument in node.args:
                self._orderless(argument)

    def _orderless(self, node: ast.AST) -> None:
        if isinstance(node, ast.BinOp) and isinstance(node.op, _SET_OPERATORS):
            self._orderless(node.left)
            self._orderless(node.right)
        elif isinstance(node, (ast.Set, ast.SetComp, ast.Call)):
            self._fine.add(node)

    def visit_Set(self, node: ast.Set) -> None:
        _must(node in self._fine)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        _must(node in self._fine)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for part in (node.left, *node.comparators):
            self._orderless(part)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._walked(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._walked(node.iter)
        self.generic_visit(node)

    def _walked(self, node: ast.AST) -> None:
        if _is_view(node):
            self._fine.add(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        _must(node.type is not None)  # it would go on where it was interrupted
        self.generic_visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for name in node.kwd_attrs:
            _check_attribute(name)
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for name in _bound(node):
            _must(name not in _OTHERS and name not in self._modules)
        super().generic_visit(node)


def _must(fine: bool) -> None:  # noqa: FBT001 - reads as an assertion
    if not fine:
        raise _NotPlainError


def _is_known(name: str) -> bool:
    """Whether a module is Python's own, or of this package: nothing of these that is not listed is looked into."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top == "infra_orch"


def _check_attribute(name: str) -> None:
    _must(name not in _LEADS_OUT and not _FRAMES.fullmatch(name))
    _must(not name.startswith("__") or name in _DUNDERS)


def _is_view(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a node binds besides those that are nodes of their own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
