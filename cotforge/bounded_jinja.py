"""Jinja whose work is counted: a template ends, and fills no memory, whatever it says.

Every value that a template makes is charged to its render by its size before it is used, every round of a loop and every call of a macro
by what stands in it, and what grows by an argument (`indent`, `join`, `batch`) by that argument before it is done. The count depends on
template and values alone, never on time, so that the same row has the same outcome everywhere.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from types import BuiltinMethodType
from typing import Any

from jinja2 import StrictUndefined, Template, Undefined, UndefinedError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MOST_WORK = 2_000_000
"""Characters, items and steps of one render: some hundred times what a prompt of a thousand options takes, and about a second."""

_LARGEST_BITS = 64
"""Of a whole number that is reckoned with."""

_NOT_FOR_PROMPTS = ("center", "format", "pprint", "random", "urlize")
"""Filters that are left out: `random` says another text each time, the others are of no use in a prompt and slow or without bound."""

_GROWING = frozenset(("batch", "center", "indent", "join", "ljust", "replace", "rjust", "round", "slice", "zfill"))
"""What can multiply its input by the size of an argument."""

_COMPARING = (
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "eq",
    "equalto",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "le",
    "lessthan",
    "lower",
    "lt",
    "ne",
    "upper",
)

_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        """capitalize casefold center count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric
        isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust
        rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill""".split()  # noqa: SIM905 -- 46 quoted words are no better
    ),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    float: frozenset(("is_integer",)),
}
"""Methods of values that a template may call: those whose result is bounded by what they are given."""


_TEXTS, _MAPPINGS, _LISTS = (str, bytes, range), (dict, Mapping), (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)


class Exhausted(SecurityError):
    """The template makes more than it may."""


class Metered(Context):
    """A render's variables, and how much work it may still do."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.left = [MOST_WORK]

    def derived(self, locals: dict[str, Any] | None = None) -> "Metered":
        """The context of a scoped block: it spends what this one has."""
        inner: Metered = super().derived(locals)  # type: ignore[assignment]
        inner.left = self.left
        return inner

    def spend(self, work: int) -> None:
        """Raises Exhausted where there is not so much left."""
        self.left[0] -= work
        if self.left[0] < 0:
            raise Exhausted(f"makes more than {MOST_WORK:,} characters, items and steps; a prompt takes a hundredth of that")

    def charge(self, value: Any) -> Any:
        """The value, paid for by its size; an iterator as a list."""
        if isinstance(value, Iterator):
            value = list(islice(value, self.left[0] + 1))
        self.spend(bounded_size(value, self.left[0]))
        return value


def bounded_size(value: Any, limit: int = MOST_WORK) -> int:
    """Characters and items of a value, each as often as its text would show it; a count above `limit` is not finished."""
    if isinstance(value, str):
        return 1 + len(value)
    total, open_ = 0, [value]
    while open_ and total <= limit:
        one = open_.pop()
        total += 1
        if isinstance(one, _TEXTS):
            total += len(one)
        elif isinstance(one, int):
            total += one.bit_length() >> 6
        elif isinstance(one, _MAPPINGS):
            total += 3
            open_ += one.keys()
            open_ += one.values()
        elif isinstance(one, _LISTS):
            open_ += one
        elif isinstance(one, Namespace):
            total += 3
            open_.append(object.__getattribute__(one, "_Namespace__attrs"))
    return total


def _nesting_depth(value: Any) -> int:
    """How deep lists and mappings stand within one another."""
    depth, level = 0, [value]
    while level := [
        item for one in level if isinstance(one, Mapping | list | tuple) for item in (one.values() if isinstance(one, Mapping) else one)
    ]:
        depth += 1
    return depth + 1


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja that reaches no unsafe attribute, changes nothing, opens no other file, ends, and says the same every time."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    context_class = Metered

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, finalize=_charge_printed)
        del self.globals["lipsum"]  # another text at each run would be another Call
        self.filters = {name: _charged_filter(name, each) for name, each in self.filters.items() if name not in _NOT_FOR_PROMPTS}
        self.filters |= {_CHARGE: _charge_value, _ROUNDS: _charged_rounds, _STEP: _charge_step}
        self.tests = dict(self.tests) | {name: _charged_test(self.tests[name]) for name in _COMPARING}

    def metered(self, tree: nodes.Template) -> Template:
        """The template of a parsed source, with its work counted. It changes the tree."""
        counted = _Counting().visit(tree)
        counted.set_environment(self)
        return self.from_string(counted)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A macro, a function of ours or a method in `_METHODS`, called. Raises SecurityError for any other."""
        assert isinstance(__context, Metered)
        name = getattr(__obj, "__name__", "")
        owner = getattr(__obj, "__self__", None) if isinstance(__obj, BuiltinMethodType) else None
        if isinstance(name, str) and (name in ("format", "format_map") or (owner is not None and not _is_callable(owner, name))):
            raise SecurityError(f"{name}() is not available")
        given = (*args, owner) if name == "join" else (owner, *args)  # what `join` multiplies is its owner
        __context.spend(_call_cost(name, __context.left[0], *given, *kwargs.values()))
        return __context.charge(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers, without powers, and the sum of texts or lists. Raises SecurityError for anything else."""
        assert isinstance(context, Metered)
        if operator == "**":
            raise SecurityError("'**' is not available")
        if isinstance(left, int | float) and isinstance(right, int | float):
            if max(_bit_length(left), _bit_length(right)) > _LARGEST_BITS:
                raise SecurityError(f"{operator!r} is for numbers of at most {_LARGEST_BITS} bits")
        elif operator != "+" and not isinstance(left, Undefined) and not isinstance(right, Undefined):
            raise SecurityError(f"{operator!r} is for numbers only")
        else:
            context.spend(bounded_size(left) + bounded_size(right))
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`meta.items` is the row's value of that name where it has one, not the method of a mapping."""
        return obj[attribute] if isinstance(obj, Mapping) and attribute in obj else super().getattr(obj, attribute)


def _bit_length(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


def _is_callable(owner: Any, name: str) -> bool:
    return any(isinstance(owner, kind) and name in names for kind, names in _METHODS.items())


def _call_cost(name: str, limit: int, *given: Any) -> int:
    """The most that a filter or method of that name may make of what it is given."""
    whole = sum(bounded_size(value, limit) for value in given)
    widths = [abs(value) if isinstance(value, int) else len(value) for value in given[1:] if isinstance(value, int | str)]
    if name in _GROWING:
        return whole * max(1, *widths, 1)
    if name == "tojson":
        return whole * (1 + _nesting_depth(given[0]) * max(widths, default=0)) if whole <= limit else whole
    if name == "wordwrap":  # it copies what is left of a long word at every line
        return whole * (1 + max((len(value) for value in given[1:] if isinstance(value, str)), default=0)) + whole * whole // (
            64 * max(1, *widths, 1)
        )
    if name == "sum" and any(isinstance(value, list | tuple) for value in given[1:]):
        return whole * whole
    return whole


def _charged_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is paid for."""
    wants = getattr(getattr(function, "jinja_pass_arg", None), "name", "")

    @pass_context
    def filter(context: Metered, value: Any, *args: Any, **kwargs: Any) -> Any:
        context.spend(_call_cost(name, context.left[0], value, *args, *kwargs.values()))
        first = {"context": (context,), "eval_context": (context.eval_ctx,), "environment": (context.environment,)}.get(wants, ())
        return context.charge(function(*first, value, *args, **kwargs))

    return filter


def _charged_test(function: Any) -> Callable[..., Any]:
    """A test that is paid for."""

    @pass_context
    def test(context: Metered, *given: Any) -> Any:
        context.spend(sum(bounded_size(value, context.left[0]) for value in given))
        return function(*given)

    return test


@pass_context
def _charge_value(context: Metered, value: Any) -> Any:
    return context.charge(value)


@pass_context
def _charge_step(context: Metered, work: Any) -> None:
    context.spend(abs(int(work)))


@pass_context
def _charged_rounds(context: Metered, values: Any, work: int) -> Any:
    """What a loop goes over, with all its rounds paid for."""
    values = context.charge(values)
    context.spend(abs(int(work)) * (len(values) if hasattr(type(values), "__len__") and not isinstance(values, Undefined) else 1))
    return values


_CHARGE, _ROUNDS, _STEP = " charge", " rounds", " step"
"""Filters that no source can name but by `map`, where they do no harm."""


@pass_context
def _charge_printed(context: Metered, value: Any) -> Any:
    if type(value) is str:
        left = context.left
        left[0] -= len(value)  # `spend`, written out for what nearly all of a prompt is
        if left[0] >= 0:
            return value
    if value is None:
        raise UndefinedError("a value is null; give it a default or leave it out with 'if'")
    if callable(value) and not isinstance(value, Undefined):
        raise SecurityError("a function is not text; call it")  # its text would hold an address of this process
    return context.charge(value)


class _Counting(NodeTransformer):
    """Puts the charges into a parsed template that no hook of the environment sees."""

    def __init__(self) -> None:
        self.nodes = 0
        """Met so far, and characters of text between them."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        self.nodes += 1 + (len(node.data) if isinstance(node, nodes.TemplateData) else 0)
        return super().visit(node, *args, **kwargs)

    def visit_List(self, node: nodes.Expr) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _paid_node(node) if getattr(node, "ctx", "load") == "load" else node

    visit_Dict = visit_Tuple = visit_List  # noqa: N815

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_paid_node(each) for each in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _paid_node(node.expr)
        for operand in node.ops:
            operand.expr = _paid_node(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _paid_node(node) if isinstance(node.arg, nodes.Slice) else node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        before = self.nodes
        self.generic_visit(node)
        if node.recursive:  # its rounds below are begun by `loop(...)`, past what stands here
            node.body.insert(0, self._charging_statement(node, before))
        work = nodes.Const(self.nodes - before, lineno=node.lineno)
        node.iter = nodes.Filter(node.iter, _ROUNDS, [work], [], None, None, lineno=node.lineno)
        return node

    def visit_Macro(self, node: Any) -> Any:  # noqa: N802
        before = self.nodes
        self.generic_visit(node)
        node.body.insert(0, self._charging_statement(node, before))
        return node

    visit_CallBlock = visit_Block = visit_Macro  # noqa: N815

    def _charging_statement(self, node: nodes.Node, before: int) -> nodes.ExprStmt:
        """What charges a body by what stands in it, each time that it is gone through."""
        work = nodes.Const(self.nodes - before, lineno=node.lineno)
        return nodes.ExprStmt(nodes.Filter(work, _STEP, [], [], None, None, lineno=node.lineno), lineno=node.lineno)


def _paid_node(node: Any) -> nodes.Filter:
    return nodes.Filter(node, _CHARGE, [], [], None, None, lineno=node.lineno)


def render_bounded(template: Template, values: Mapping[str, Any], *, longest: int, work: int = MOST_WORK) -> str:
    """What the template says of the values. Raises Exhausted above `longest` characters or `work`, and what the template raises."""
    context = template.new_context(dict(values))
    assert isinstance(context, Metered)
    context.left[0] = work
    parts, length = [], 0
    for part in template.root_render_func(context):
        length += len(part)
        if length > longest:
            raise Exhausted(f"writes more than {longest:,} characters")
        parts.append(part)
    return "".join(parts)
