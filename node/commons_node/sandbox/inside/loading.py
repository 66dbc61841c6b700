"""An agent's files as modules, and tracebacks that name nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import CodeType, ModuleType, TracebackType

_FRAMES = 20
_TEXT = 1_500


class Files:
    """Finds and loads ``helpers.py`` and ``parts/__init__.py`` among the agent's files."""

    def __init__(self, files: Mapping[str, str]) -> None:
        """``files``: path, with slashes, to text."""
        self._files = files

    def __contains__(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self._files

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib."""
        base = name.replace(".", "/")
        for path, package in ((f"{base}.py", False), (f"{base}/__init__.py", True)):
            if path in self._files:
                spec = ModuleSpec(name, self, origin=path, is_package=package)  # type: ignore[arg-type]  # all that importlib asks of a loader
                spec.has_location = False
                return spec
        return None

    def create_module(self, _spec: ModuleSpec) -> None:
        """The usual one."""
        return

    def exec_module(self, module: ModuleType) -> None:
        """Run the file."""
        spec = module.__spec__
        assert spec is not None
        assert spec.origin is not None
        module.__file__ = spec.origin
        exec(self.compiled(spec.origin), module.__dict__)  # noqa: S102 - this is what a runner does

    def compiled(self, path: str) -> CodeType:
        """Raises SyntaxError, ValueError."""
        code: CodeType = compile(self._files[path], path, "exec", dont_inherit=True)
        return code

    def module(self, path: str) -> ModuleType:
        """The module of this file. Raises whatever the file itself raises."""
        name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        spec = self.find_spec(name)
        assert spec is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        self.exec_module(module)
        return module

    def told(self, error: BaseException) -> str:
        """The traceback: the agent's own lines, the newest last, and the error."""
        lines = []
        step: TracebackType | None = error.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            if code.co_filename in self._files:
                lines.append(f"{code.co_filename}:{step.tb_lineno} in {code.co_name}")
                lines.append(f"    {self._line(code.co_filename, step.tb_lineno)}")
            step = step.tb_next
        path = error.filename if isinstance(error, SyntaxError) else None
        if path is not None and path in self._files and isinstance(error, SyntaxError):
            lines.append(f"{path}:{error.lineno}")
            lines.append(f"    {self._line(path, error.lineno or 0)}")
        return "\n".join([*lines[-2 * _FRAMES :], said(error)])

    def _line(self, path: str, number: int) -> str:
        lines = self._files[path].splitlines()
        return lines[number - 1].strip()[:200] if 0 < number <= len(lines) else ""


def said(error: BaseException) -> str:
    """``ValueError: text``; of an error whose text fails, only the name."""
    name = type(error).__name__
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        text = ""
    return f"{name}: {text[:_TEXT]}" if text else name
