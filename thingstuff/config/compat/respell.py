"""Spell a few words of a library's function differently, in place, where one call is all that is outdated."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from types import CodeType, FunctionType

_RESPELT = "_respelt_words"


def respell(function: FunctionType, words: Mapping[str, str]) -> bool:
    """Compile `function` anew with every key of `words` written as its value. False: left alone, since a key is absent.

    A copy of the function with the change would fall behind the library; this follows it, and does nothing once the
    library itself is mended. The function object stays the same, so whoever imported it earlier has the mend too.
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:  # installed without its source
        return False
    if not all(old in source for old in words):
        return False
    respelt = {**getattr(function, _RESPELT, {}), **words}  # the file does not know what was respelt before
    for old, new in respelt.items():
        source = source.replace(old, new)
    function.__code__ = _compile_like(function, source)
    setattr(function, _RESPELT, respelt)
    return True


def _compile_like(function: FunctionType, source: str) -> CodeType:
    """The code of `source` with the file name and line numbers of `function`, so that tracebacks still point right."""
    # super() without arguments reads `__class__` from an enclosing scope: a method compiled alone needs one
    tree = ast.parse("def enclose(__class__): pass")
    tree.body[0].body = ast.parse(source).body
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    code = compile(tree, function.__code__.co_filename, "exec", dont_inherit=True)
    return _inner(_inner(code, "enclose"), function.__name__)


def _inner(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
